"""Test messages from a station to its page."""

from collections.abc import Callable
from datetime import datetime, timedelta, timezone

from edge.config.page import PageSettings
from edge.page.state import StationInfo
from edge.servers.state import AlarmState, CameraState, PartState, StationState

NOON = datetime(2026, 5, 4, 12, 30, 15, tzinfo=timezone.utc)

Serve = Callable[..., str]


class Clock:
    """A clock that is set by hand."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


def station(**changes: object) -> StationState:
    """The state of a station that is well."""
    camera = CameraState(name="top", connected=True, frames=7, damaged=1, lost=0, last_error="")
    content = {
        "time": NOON, "started": NOON, "software": "0.1.0", "bundle_name": "tiny", "bundle_id": "ab" * 32,
        "engine": "numpy", "shadow": False, "alive": True, "link_open": True, "cameras": (camera,), "alarms": (),
        "triggers": 9, "overruns": 0, "acknowledged": 8, "undelivered": 0, "rows_late": 0, "disk_refuses": "",
    }  # fmt: skip
    return StationState.model_validate({**content, **changes})


def alarm(name: str, text: str = "look", ago_s: float = 0.0, **changes: object) -> AlarmState:
    """An active alarm, raised the given number of seconds before noon."""
    content = {"name": name, "text": text, "since": NOON - timedelta(seconds=ago_s), "part_id": 0}
    return AlarmState.model_validate({**content, **changes})


def part(number: int, verdict: str = "OK", ago_s: float = 0.0, **more: object) -> PartState:
    """A part reported the given number of seconds before noon."""
    content = {"number": number, "time": NOON - timedelta(seconds=ago_s), "part_id": number + 100}
    return PartState.model_validate({**content, "verdict": verdict, "told": verdict, "latency_ms": number, **more})


def welcome(**changes: object) -> StationInfo:
    """The beginning of a page; a change may be a key of `[page]`."""
    keys = {"title": "Line 3", "shift_starts": ("06:00",)}
    keys |= {name: changes.pop(name) for name in PageSettings.model_fields if name in changes}
    content = {"settings": PageSettings.model_validate(keys), "records": "none", "next_number": 1}
    return StationInfo.model_validate({**content, **changes})
