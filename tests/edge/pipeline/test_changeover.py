"""Changeover of the bundle between two parts, and the recipe of a trigger."""

from collections.abc import Callable
from pathlib import Path
from time import monotonic

import pytest

from bundle import load_bundle
from edge.pipeline.inspector import Inspector
from edge.pipeline.runtime import RECIPES_REFUSED
from firmware_bridge.events import HelloReceived
from firmware_bridge.messages import (
    Changeover,
    Fault,
    FaultCode,
    Hello,
    Role,
    Trigger,
)
from tests.edge.line_doubles import HandPlc, ListCamera, NumpyEngine
from tests.edge.pipeline.conftest import GOOD, Run, verdicts


def test_between_a_changeover_s_wish_and_its_answer_every_part_is_a_fault(
    station: Run, make_bundle: Callable[..., Path]
) -> None:
    plc, other = HandPlc(), load_bundle(make_bundle("other"))
    runtime = station(plc, ListCamera([GOOD]))
    plc.tell(Changeover(7))
    plc.trigger(1)
    plc.wait_for(1)
    wanted = runtime.changeovers.get()
    runtime.use(Inspector(other, NumpyEngine(other.manifest), monotonic), wanted)
    plc.wait_for_other(1)
    plc.trigger(2)

    assert verdicts(plc.wait_for(2)) == ["FAULT", "OK"]
    assert plc.others == [Changeover(7, other.id)]


def test_a_refused_changeover_leaves_the_bundle_in_use(station: Run) -> None:
    plc = HandPlc()
    runtime = station(plc, ListCamera([GOOD]))
    plc.tell(Changeover(7))
    assert runtime.changeovers.get() == 7
    runtime.refuse_changeover(7, "there is none")
    plc.trigger(1)

    assert verdicts(plc.wait_for(1)) == ["OK"]
    assert plc.others == [
        Fault(FaultCode.BUNDLE, text="recipe 7 refused"),
        Changeover(0, runtime.bundle.id),
    ]


def test_a_changeover_to_the_recipe_in_use_is_answered_at_once(station: Run, tmp_path: Path) -> None:
    plc = HandPlc()
    runtime = station(plc, ListCamera([GOOD]), recipes={3: tmp_path / "tiny"}, bundle=tmp_path / "tiny")
    for asked in (3, 0):
        plc.tell(Changeover(asked))
    plc.trigger(1)

    assert verdicts(plc.wait_for(1)) == ["OK"]
    assert plc.others == [Changeover(3, runtime.bundle.id)] * 2


def test_the_plc_hears_at_its_hello_which_recipe_is_in_use(station: Run, tmp_path: Path) -> None:
    plc = HandPlc()
    runtime = station(plc, ListCamera([GOOD]), recipes={3: tmp_path / "tiny"}, bundle=tmp_path / "tiny")
    plc.tell(HelloReceived(Hello(Role.PLC), restarted=False))
    assert plc.wait_for_other(1) == [Changeover(3, runtime.bundle.id)]


def test_a_result_says_by_what_its_part_was_judged(
    station: Run, make_bundle: Callable[..., Path], tmp_path: Path
) -> None:
    plc, other = HandPlc(), load_bundle(make_bundle("other"))
    runtime = station(plc, ListCamera([GOOD]), recipes={3: tmp_path / "tiny"}, bundle=tmp_path / "tiny")
    before = runtime.bundle.id
    plc.trigger(1)
    plc.wait_for(1)
    runtime.use(Inspector(other, NumpyEngine(other.manifest), monotonic), 5)
    plc.wait_for_other(1)
    plc.trigger(2)

    judged_by = [(result.recipe, result.bundle) for result in plc.wait_for(2)]
    assert judged_by == [(3, before[:8]), (5, other.id[:8])]


@pytest.mark.parametrize(("wanted", "verdict"), [(0, "OK"), (3, "OK"), (5, "FAULT")])
def test_a_trigger_for_another_recipe_than_the_one_in_use_is_a_fault(
    station: Run, tmp_path: Path, wanted: int, verdict: str
) -> None:
    plc = HandPlc()
    station(plc, ListCamera([GOOD]), recipes={3: tmp_path / "tiny"}, bundle=tmp_path / "tiny")
    plc.tell(Trigger(1, 10, recipe=wanted))

    assert verdicts(plc.wait_for(1)) == [verdict]


def test_alarms_about_refused_recipes_are_few_however_many_are_asked_for(station: Run) -> None:
    runtime = station(HandPlc(), ListCamera([GOOD]))
    for recipe in range(1, 1000):
        runtime.refuse_changeover(recipe, "there is none")

    assert [alarm.name for alarm in runtime.alarms.active] == [
        f"recipe {recipe} refused" for recipe in range(1000 - RECIPES_REFUSED, 1000)
    ]
