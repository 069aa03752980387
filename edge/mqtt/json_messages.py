"""Plain JSON messages: their topics below `TOPIC/STATION/`, and what they hold."""

import json
from collections.abc import Iterator
from typing import Any

from bundle import Verdict
from edge.config.mqtt import MqttSettings
from edge.forwarding.row_source import ALARM_COLUMNS, DEFECT_COLUMNS, PART_COLUMNS, Row, StoredPart
from edge.mqtt.client import MqttMessage
from edge.servers.state import StationState

NOT_IN_A_RESULT = {"link", "acknowledged_us", "sent_us", "challenge", "ejection", "recorded_us"}
"""Columns that are written after the row, or while it is."""
COUNTERS = ("triggers", "overruns", "acknowledged", "undelivered", "rows_late")


class JsonTopics:
    """Messages of one station."""

    def __init__(self, settings: MqttSettings) -> None:
        self._station = settings.station
        self._base = f"{settings.topic}/{settings.station}"

    @property
    def commands(self) -> str:
        """Topics of the commands, to subscribe to."""
        return f"{self._base}/command/+"

    def offline(self) -> MqttMessage:
        """State of a station that is stopped, or whose connection has ended without a word: the last will."""
        return self._message("state", {"online": False}, retain=True)

    def result(self, part: StoredPart) -> MqttMessage:
        """Result of one part. Station and number identify it: a number that was seen before is a repetition."""
        named = dict(zip(PART_COLUMNS, part.row, strict=True))
        told = {name: value for name, value in named.items() if name not in NOT_IN_A_RESULT}
        verdicts = {name: Verdict(named[name]).name for name in ("verdict", "told")}
        defects = [dict(zip(DEFECT_COLUMNS, row, strict=True)) for row in part.defects]
        return self._message("result", {**told, **verdicts, "defects": defects})

    def alarm(self, row: Row) -> MqttMessage:
        """Begin or end of an alarm; number and `ended` identify it."""
        return self._message("alarm", dict(zip(ALARM_COLUMNS, row, strict=True)))

    def state(self, state: StationState) -> Iterator[MqttMessage]:
        """State, bundle, alarms and counters, all retained."""
        paused = None if state.paused is None else state.paused.model_dump(mode="json")
        cameras = {camera.name: camera.connected for camera in state.cameras}
        yield self._retained(
            "state",
            online=True, alive=state.alive, stopping=state.stopping, paused=paused, shadow=state.shadow,
            plc_connected=state.link_open, cameras=cameras, disk_refuses=state.disk_refuses, software=state.software,
            started=state.started.isoformat(timespec="milliseconds"), recipe=state.recipe,
        )  # fmt: skip
        yield self._retained(
            "bundle", name=state.bundle_name, id=state.bundle_id, recipe=state.recipe, engine=state.engine
        )
        yield self._retained("alarms", alarms=[alarm.model_dump(mode="json") for alarm in state.alarms])
        yield self._retained("counters", verdicts=state.verdicts, **{name: getattr(state, name) for name in COUNTERS})

    def answer(self, command: str, identity: str, done: str, error: str) -> MqttMessage:
        """Answer to a command."""
        return self._message("answer", {"command": command, "id": identity, "done": done, "error": error})

    def _retained(self, topic: str, /, **content: Any) -> MqttMessage:
        return self._message(topic, content, retain=True)

    def _message(self, name: str, content: dict[str, Any], retain: bool = False) -> MqttMessage:
        text = json.dumps({"station": self._station, **content}, ensure_ascii=False, allow_nan=False)
        return MqttMessage(f"{self._base}/{name}", text.encode("utf-8", "replace"), 1, retain)
