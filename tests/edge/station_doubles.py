"""Doubles that a running station is given: clock, camera, page, OPC UA server, candidate."""

import asyncio
import json
import threading
from collections.abc import Callable, Mapping, MutableMapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta, timezone
from time import monotonic
from typing import Any

from bundle import Image, Manifest, Verdict
from edge.alarms import Alarms
from edge.cameras.camera import Clock, Frame
from edge.cameras.on_demand import OnDemandCamera
from edge.config.opcua import OpcUaSettings
from edge.config.page import PageSettings
from edge.errors import CameraFinished
from edge.page.gate import Application
from edge.page.page_model import PageModel
from edge.page.state import StationInfo
from edge.part import Part
from edge.servers.outbox import Outbox
from edge.servers.state import StateUpdate, StationState
from edge.trial.candidate import TrialAnswer

PATIENCE_S = 10.0


class HandClock:
    """A clock that is set by hand, and knows when the ejector's thread reads it."""

    def __init__(self) -> None:
        self.now = 0.0
        self._reads, self._read = 0, threading.Condition()

    def __call__(self) -> float:
        if threading.current_thread().name == "eject":
            with self._read:
                self._reads += 1
                self._read.notify_all()
        return self.now

    def wait_for_step(self) -> None:
        """Wait until the ejector has made one whole step from now on: it reads the clock at the start of each."""
        with self._read:
            wanted = self._reads + 2
            assert self._read.wait_for(lambda: self._reads >= wanted, PATIENCE_S), "the ejector does not step"


class FilmCamera(OnDemandCamera):
    """Plays given frames: again and again where each is triggered, once where it runs by itself."""

    def __init__(self, address: str, clock: Clock, frames: Sequence[Image], rolling: threading.Event) -> None:
        super().__init__(address, clock, rate_hz=1000)
        self.timeouts_s: list[float] = []
        self.due_s: list[float] = []
        """Time of each exposure from its part's arrival."""
        self._frames, self._rolling = frames, rolling

    def _expose(self, exposure: int, age_s: float | None, after_s: float) -> None:
        self.due_s.append(after_s)
        super()._expose(exposure, age_s, after_s)

    def _grab(self, timeout_s: float) -> Frame:
        self.timeouts_s.append(timeout_s)
        assert self._rolling.wait(PATIENCE_S)
        exposure = self._next_exposure(timeout_s)
        if exposure > len(self._frames) and self._next_at is not None:
            raise CameraFinished("film: the end")
        return Frame(self._frames[(exposure - 1) % len(self._frames)], exposure, self.clock(), f"film#{exposure}")


@dataclass
class PageDouble:
    """A page without a process of its own, with what the station gave it."""

    settings: PageSettings
    outbox: Outbox
    state: Callable[[], StationState]
    manifest: Callable[[], Manifest]
    welcome: Callable[[], StationInfo]
    alarms: Alarms
    later: timedelta = timedelta()
    """Lead of the page's clock over the station's."""

    def answer(self, path: str, **headers: str) -> tuple[int, str]:
        """Status and text that a browser of this computer gets, once the page has the station's latest state."""
        from edge.page.routes.app import make_app  # needs FastAPI

        model = PageModel(self.welcome(), monotonic, lambda: datetime.now(timezone.utc) + self.later)
        parts, _ = self.outbox.take()
        model.take(StateUpdate(station=self.state(), parts=parts), b"")
        return ask(make_app(model), path, headers)

    def post(self, path: str, **content: str) -> tuple[int, str]:
        """Status and text that an operator's request gets, with the operators' token."""
        from edge.page.routes.app import make_app

        headers = {"authorization": f"Bearer {self.settings.operator_token}", "content-type": "application/json"}
        return ask(make_app(PageModel(self.welcome(), monotonic)), path, headers, json.dumps(content).encode())

    def close(self) -> None:
        """Nothing is held."""


class Closable:
    """A resource that does nothing."""

    def close(self) -> None:
        """Nothing is held."""


def ask(app: Application, path: str, headers: Mapping[str, str], content: bytes | None = None) -> tuple[int, str]:
    """Send a GET request to an ASGI application, or a POST request with content; status and text of its answer."""
    sent: list[MutableMapping[str, Any]] = []

    async def receive() -> MutableMapping[str, Any]:
        return {"type": "http.request", "body": content or b""}

    async def send(message: MutableMapping[str, Any]) -> None:
        sent.append(message)

    asked = {"host": "localhost", "accept": "text/html", **headers}
    scope = {
        "type": "http", "method": "GET" if content is None else "POST", "scheme": "http", "path": path,
        "query_string": b"", "root_path": "",
        "headers": [(name.encode(), value.encode()) for name, value in asked.items()],
    }  # fmt: skip
    asyncio.run(app(scope, receive, send))  # type: ignore[arg-type]
    return sent[0]["status"], b"".join(message.get("body", b"") for message in sent[1:]).decode()


@dataclass
class OpcUaDouble:
    """An OPC UA server without a process of its own, with what the station gave it."""

    settings: OpcUaSettings
    outbox: Outbox
    state: Callable[[], StationState]
    alarms: Alarms

    def close(self) -> None:
        """Nothing is held."""


@dataclass
class HandCandidate:
    """A candidate without a process of its own, with the brightness of the tiny model."""

    bundle_id: str
    gate: threading.Event = field(default_factory=threading.Event)
    """Cleared, it waits before its next verdict."""
    error: Exception | None = None
    """Raised at its next verdict."""
    answer: TrialAnswer | None = None
    """Given to each part, instead of its own."""

    def __post_init__(self) -> None:
        self.gate.set()

    def judge(self, part: Part) -> TrialAnswer:
        """NG if a pixel is white."""
        assert self.gate.wait(PATIENCE_S)
        if self.error is not None:
            raise self.error
        if self.answer is not None:
            return self.answer
        (view,) = part.views
        if view.frame is not None and view.frame.pixels.max() == 255:
            return TrialAnswer(verdict=Verdict.NG, class_name="Bright", score=1.0)
        return TrialAnswer(verdict=Verdict.OK)

    def close(self) -> None:
        """Nothing is held."""
