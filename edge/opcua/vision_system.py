"""Variables of the vision system, with browse names of OPC 40100-1, from the station's state and its parts.

OPC 40100-1:2019, Machine Vision: state machines (8.2, 8.3), results (9.1, 12.17, 12.19), recipes (7.4). What the
specification does not name is below `Station`.
"""

import json
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from math import nan
from typing import Generic, TypeVar

from edge.servers.state import VERDICTS, PartState, StationState

STATES = {"Preoperational": 1, "Halted": 2, "Error": 3, "Operational": 4}
"""States of VisionStateMachineType with their StateNumber (Table 82)."""
AUTOMATIC_STATES = {"": 0, "Initialized": 5, "Ready": 6, "SingleExecution": 7, "ContinuousExecution": 8}
"""States of VisionAutomaticModeStateMachineType; none while the vision system is not Operational."""
RESULT_STATES = {"OK": 1, "NG": 1, "UNSURE": 1, "TIMEOUT": 3, "FAULT": 4}
"""ResultStateDataType (Table 153): 1 Completed, 3 Aborted, 4 Failed."""

Source = TypeVar("Source")
Value = bool | int | float | str | datetime | list[str]


@dataclass(frozen=True)
class NodeValue(Generic[Source]):
    """Variable below the vision system."""

    kind: str
    """Built-in type of OPC UA; `String[]` is an array."""
    of: Callable[[Source], Value]


def vision_state(station: StationState) -> str:
    """State of the vision system: Error after a failure, Halted once the station is told to stop, else Operational."""
    if not station.alive:
        return "Error"
    return "Halted" if station.stopping else "Operational"


def automatic_state(station: StationState) -> str:
    """State in automatic mode: paused by an operator Initialized, without a PLC Ready, else ContinuousExecution."""
    if vision_state(station) != "Operational":
        return ""
    if station.paused is not None:
        return "Initialized"
    return "ContinuousExecution" if station.link_open else "Ready"


STATION: dict[str, NodeValue[StationState]] = {
    "VisionStateMachine/CurrentState": NodeValue("LocalizedText", vision_state),
    "VisionStateMachine/CurrentState/Number": NodeValue("UInt32", lambda state: STATES[vision_state(state)]),
    "VisionStateMachine/AutomaticModeStateMachine/CurrentState": NodeValue("LocalizedText", automatic_state),
    "VisionStateMachine/AutomaticModeStateMachine/CurrentState/Number": NodeValue(
        "UInt32", lambda state: AUTOMATIC_STATES[automatic_state(state)]
    ),
    "RecipeManagement/Recipes/Active/ExternalId": NodeValue("String", lambda state: str(state.recipe)),
    "RecipeManagement/Recipes/Active/InternalId": NodeValue("String", lambda state: state.bundle_id),
    "RecipeManagement/Recipes/Active/IsPrepared": NodeValue("Boolean", lambda state: True),
    "Station/Software": NodeValue("String", lambda state: state.software),
    "Station/Started": NodeValue("DateTime", lambda state: state.started),
    "Station/BundleName": NodeValue("String", lambda state: state.bundle_name),
    "Station/Engine": NodeValue("String", lambda state: state.engine),
    "Station/Shadow": NodeValue("Boolean", lambda state: state.shadow),
    "Station/PlcConnected": NodeValue("Boolean", lambda state: state.link_open),
    "Station/Pause": NodeValue(
        "String", lambda state: f"{state.paused.who}: {state.paused.reason}" if state.paused else ""
    ),
    "Station/Alarms": NodeValue("String[]", lambda state: [f"{alarm.name}: {alarm.text}" for alarm in state.alarms]),
    "Station/LostCameras": NodeValue(
        "String[]", lambda state: [camera.name for camera in state.cameras if not camera.connected]
    ),
    "Station/Counters/Triggers": NodeValue("UInt64", lambda state: state.triggers),
    "Station/Counters/Overruns": NodeValue("UInt64", lambda state: state.overruns),
    "Station/Counters/Acknowledged": NodeValue("UInt64", lambda state: state.acknowledged),
    "Station/Counters/Undelivered": NodeValue("UInt64", lambda state: state.undelivered),
    "Station/Counters/RowsLate": NodeValue("UInt64", lambda state: state.rows_late),
    **{
        f"Station/Counters/{name}": NodeValue("UInt64", lambda state, name=name: state.verdicts.get(name, 0))  # type: ignore[misc]
        for name in VERDICTS
    },
}
"""Variables by the path of their browse names, from the station's state."""


def _defects(part: PartState) -> list[str]:
    return [json.dumps(defect.model_dump()) for defect in part.defects]


RESULT: dict[str, NodeValue[PartState]] = {
    "ResultId": NodeValue("String", lambda part: str(part.number)),
    "IsPartial": NodeValue("Boolean", lambda part: False),
    "ResultState": NodeValue("Int32", lambda part: RESULT_STATES[part.verdict]),
    "PartId": NodeValue("String", lambda part: str(part.part_id)),
    "ExternalRecipeId": NodeValue("String", lambda part: str(part.recipe)),
    "InternalRecipeId": NodeValue("String", lambda part: part.bundle_id),
    "CreationTime": NodeValue("DateTime", lambda part: part.time),
    "ResultContent": NodeValue("String[]", _defects),
    "Verdict": NodeValue("String", lambda part: part.verdict),
    "VerdictSent": NodeValue("String", lambda part: part.told),
    "Fault": NodeValue("String", lambda part: part.fault),
    "Encoder": NodeValue("UInt32", lambda part: part.encoder),
    "LatencyMs": NodeValue("Double", lambda part: nan if part.latency_ms is None else part.latency_ms),
}
"""Components of a result: those of ResultType, and from `Verdict` on the station's own."""

LATEST = "ResultManagement/Results/Latest"
"""Path of the latest result."""
