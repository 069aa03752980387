"""An OPC UA client reads the state of the station under the names of OPC 40100-1."""

import json
from datetime import datetime, timezone

import pytest

from edge.opcua.vision_system import RESULT, STATION, automatic_state, vision_state
from edge.servers.state import DefectState, PauseInForce
from tests.edge.page.doubles import NOON, alarm, part, station

PAUSE = PauseInForce(who="Ada", reason="lamp", since=datetime(2026, 5, 4, tzinfo=timezone.utc))
MACHINE = "VisionStateMachine/CurrentState"
AUTOMATIC = "VisionStateMachine/AutomaticModeStateMachine/CurrentState"


@pytest.mark.parametrize(
    ("changes", "vision", "automatic"),
    [
        ({}, ("Operational", 4), ("ContinuousExecution", 8)),
        ({"link_open": False}, ("Operational", 4), ("Ready", 6)),
        ({"paused": PAUSE}, ("Operational", 4), ("Initialized", 5)),
        ({"paused": PAUSE, "link_open": False}, ("Operational", 4), ("Initialized", 5)),
        ({"stopping": True}, ("Halted", 2), ("", 0)),
        ({"alive": False}, ("Error", 3), ("", 0)),
        ({"alive": False, "stopping": True}, ("Error", 3), ("", 0)),
    ],
)
def test_the_state_machine_follows_the_station(
    changes: dict[str, object], vision: tuple[str, int], automatic: tuple[str, int]
) -> None:
    state = station(**changes)

    assert (vision_state(state), STATION[f"{MACHINE}/Number"].of(state)) == vision
    assert (automatic_state(state), STATION[f"{AUTOMATIC}/Number"].of(state)) == automatic


def test_each_figure_of_the_station_is_that_of_its_name() -> None:
    verdicts = {"OK": 21, "NG": 22, "UNSURE": 23, "TIMEOUT": 24, "FAULT": 25}
    counters = {"triggers": 11, "overruns": 12, "acknowledged": 13, "undelivered": 14, "rows_late": 15}
    state = station(verdicts=verdicts, recipe=3, shadow=True, alarms=(alarm("lamp", "dark"),), paused=PAUSE, **counters)
    found = {path.removeprefix("Station/Counters/"): value.of(state) for path, value in STATION.items()}

    assert {name: found[name] for name in verdicts} == verdicts
    names = {"triggers": "Triggers", "overruns": "Overruns", "acknowledged": "Acknowledged"}
    names |= {"undelivered": "Undelivered", "rows_late": "RowsLate"}
    assert {name: found[browse] for name, browse in names.items()} == counters
    assert (found["Station/Shadow"], found["Station/PlcConnected"]) == (True, True)
    assert (found["Station/Alarms"], found["Station/Pause"]) == (["lamp: dark"], "Ada: lamp")
    active = "RecipeManagement/Recipes/Active"
    assert (found[f"{active}/ExternalId"], found[f"{active}/InternalId"]) == ("3", state.bundle_id)
    assert (found["Station/Started"], found["Station/Software"], found["Station/Engine"]) == (NOON, "0.1.0", "numpy")


def test_each_component_of_a_result_is_that_of_its_name() -> None:
    defect = DefectState(class_name="Dark", score=0.9, area_px=16, camera="top")
    one = part(7, "NG", defects=(defect,), bundle_id="ab", recipe=3, encoder=70, told="OK")
    found = {name: value.of(one) for name, value in RESULT.items()}

    assert (found["ResultId"], found["PartId"], found["Encoder"], found["LatencyMs"]) == ("7", "107", 70, 7)
    assert (found["Verdict"], found["VerdictSent"], found["ResultState"], found["IsPartial"]) == ("NG", "OK", 1, False)
    assert (found["ExternalRecipeId"], found["InternalRecipeId"], found["CreationTime"]) == ("3", "ab", NOON)
    assert [json.loads(one) for one in found["ResultContent"]] == [defect.model_dump()]  # type: ignore[union-attr]


@pytest.mark.parametrize(("verdict", "state"), [("OK", 1), ("NG", 1), ("UNSURE", 1), ("TIMEOUT", 3), ("FAULT", 4)])
def test_only_a_part_that_was_judged_is_completed(verdict: str, state: int) -> None:
    assert RESULT["ResultState"].of(part(1, verdict)) == state
