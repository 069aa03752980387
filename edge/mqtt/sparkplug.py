"""Messages of one edge node with one device, after Sparkplug B 3.0: births, deaths, data and the rebirth command.

The node is the station, the device `inspection`. Data has QoS 0, as the specification wants (6.4.20); the JSON message
of the same row, which follows with QoS 1 on the same connection, tells that the broker has it.
"""

import json
from collections.abc import Callable, Iterator
from datetime import datetime

from bundle import Verdict
from edge.errors import ServerError
from edge.forwarding.row_source import PART_COLUMNS, StoredPart
from edge.mqtt.client import MqttMessage
from edge.mqtt.sparkplug_payload import DataType, Metric, Value, decode_booleans, encode
from edge.servers.state import VERDICTS, StationState

DEVICE = "inspection"
REBIRTH = "Node Control/Rebirth"
HISTORICAL_S = 10.0
"""Age of a row that was stored and forwarded."""
RESULT = {
    "Result/Number": ("number", DataType.INT64),
    "Result/PartId": ("part_id", DataType.INT64),
    "Result/Encoder": ("encoder", DataType.INT64),
    "Result/Verdict": ("verdict", DataType.STRING),
    "Result/VerdictSent": ("told", DataType.STRING),
    "Result/Class": ("class", DataType.STRING),
    "Result/Score": ("score", DataType.DOUBLE),
    "Result/Fault": ("fault", DataType.STRING),
    "Result/BundleId": ("bundle_id", DataType.STRING),
}
"""Metrics of a result with their columns of the records."""
STATE: dict[str, tuple[DataType, Callable[[StationState], Value]]] = {
    "Bundle/Id": (DataType.STRING, lambda state: state.bundle_id),
    "Bundle/Name": (DataType.STRING, lambda state: state.bundle_name),
    "Bundle/Recipe": (DataType.INT64, lambda state: state.recipe),
    "State/Alive": (DataType.BOOLEAN, lambda state: state.alive),
    "State/Paused": (DataType.BOOLEAN, lambda state: state.paused is not None),
    "State/PlcConnected": (DataType.BOOLEAN, lambda state: state.link_open),
    "State/Shadow": (DataType.BOOLEAN, lambda state: state.shadow),
    "State/Alarms": (DataType.STRING, lambda state: json.dumps([alarm.name for alarm in state.alarms])),
    "Counters/Triggers": (DataType.INT64, lambda state: state.triggers),
    "Counters/Overruns": (DataType.INT64, lambda state: state.overruns),
    "Counters/Acknowledged": (DataType.INT64, lambda state: state.acknowledged),
    "Counters/Undelivered": (DataType.INT64, lambda state: state.undelivered),
    **{
        f"Counters/{name}": (DataType.INT64, lambda state, name=name: state.verdicts.get(name, 0))  # type: ignore[misc]
        for name in VERDICTS
    },
}
"""Metrics of the station's state."""


class SparkplugNode:
    """Messages of one station, in the order in which they are to be published."""

    def __init__(self, group: str, station: str, now_ms: Callable[[], int]) -> None:
        """`now_ms`: UTC, since 1970."""
        self._group, self._station, self._now_ms = group, station, now_ms
        self._birth_death, self._sequence = -1, 0
        self._told: dict[str, Value] = {}

    @property
    def commands(self) -> str:
        """Topic of the node's commands, to subscribe to."""
        return self._topic("NCMD")

    def death(self) -> MqttMessage:
        """NDEATH of the next connection, its last will."""
        self._birth_death = (self._birth_death + 1) % 256
        return self.farewell()

    def farewell(self) -> MqttMessage:
        """NDEATH of this connection, before it is ended on purpose."""
        now = self._now_ms()
        return MqttMessage(self._topic("NDEATH"), encode(now, [self._birth_death_metric(now)], None), 1)

    def births(self, state: StationState | None) -> Iterator[MqttMessage]:
        """NBIRTH and DBIRTH, which begin the sequence; values that are not known yet are null."""
        now, self._sequence, self._told = self._now_ms(), 0, {}
        node = [self._birth_death_metric(now), Metric(REBIRTH, DataType.BOOLEAN, False, now)]
        yield self._message("NBIRTH", now, node)
        results = [Metric(name, kind, None, now) for name, (_, kind) in RESULT.items()]
        yield self._message("DBIRTH", now, [*results, *self._state_metrics(state, now)])

    def result(self, part: StoredPart) -> MqttMessage:
        """DDATA of one part, with the time of its trigger."""
        row = dict(zip(PART_COLUMNS, part.row, strict=True))
        row.update({name: Verdict(row[name]).name for name in ("verdict", "told")})
        now, at = self._now_ms(), round(datetime.fromisoformat(part.time).timestamp() * 1e3)
        historical = now - at > HISTORICAL_S * 1e3
        metrics = [Metric(name, kind, row[column], at, historical) for name, (column, kind) in RESULT.items()]
        return self._message("DDATA", now, metrics)

    def state(self, state: StationState) -> Iterator[MqttMessage]:
        """DDATA with what has changed of the state; nothing if nothing has."""
        now = self._now_ms()
        before = dict(self._told)
        changed = [each for each in self._state_metrics(state, now) if before.get(each.name, ...) != each.value]
        if changed:
            yield self._message("DDATA", now, changed)

    def wants_rebirth(self, message: MqttMessage) -> bool:
        """Whether a message is the command to publish the births again."""
        try:
            return message.topic == self.commands and decode_booleans(message.payload).get(REBIRTH, False)
        except ServerError:
            return False  # of a client that speaks something else on this topic

    def _state_metrics(self, state: StationState | None, now: int) -> list[Metric]:
        found = [
            Metric(name, kind, None if state is None else value(state), now) for name, (kind, value) in STATE.items()
        ]
        self._told.update({metric.name: metric.value for metric in found})
        return found

    def _birth_death_metric(self, now: int) -> Metric:
        return Metric("bdSeq", DataType.INT64, self._birth_death, now)

    def _message(self, kind: str, now: int, metrics: list[Metric]) -> MqttMessage:
        payload = encode(now, metrics, self._sequence)
        self._sequence = (self._sequence + 1) % 256
        return MqttMessage(self._topic(kind), payload, 0)

    def _topic(self, kind: str) -> str:
        device = f"/{DEVICE}" if kind.startswith("D") else ""
        return f"spBv1.0/{self._group}/{kind}/{self._station}{device}"
