"""A running station on doubles, put together by `open_station` from the text of a line.toml."""

import json
import sqlite3
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, closing, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from bundle import Bundle, Image
from bundle.manifest import read_manifest
from edge.cameras.camera import Camera, Clock
from edge.central.feed import CentralFeed
from edge.cli import main
from edge.config.line import Line, load_line
from edge.ejector.output import SimulatedOutput
from edge.engines.engine import Engine
from edge.forwarding.messages import ForwardingTask
from edge.mqtt.feed import MqttFeed
from edge.opcua.feed import OpcUaFeed
from edge.page.feed import Feed
from edge.part import Part
from edge.pipeline.runtime import Runtime
from edge.s3.feed import PictureFeed
from edge.servers.state import TrialState
from edge.station import Equipment, open_station
from edge.trial.candidate import Candidate, CandidateProcess
from firmware_bridge.events import HelloReceived
from firmware_bridge.messages import BeltPosition, Fault, FaultCode, Hello, Role
from tests.edge.line_doubles import HandPlc, NumpyEngine
from tests.edge.station_doubles import (
    PATIENCE_S,
    Closable,
    FilmCamera,
    HandCandidate,
    HandClock,
    OpcUaDouble,
    PageDouble,
)

GIB = 2**30


@dataclass
class RunningLine:
    """A running station with the doubles that it was given."""

    path: Path
    """The line.toml."""
    frames: Sequence[Image]
    plc: HandPlc = field(default_factory=HandPlc)
    clock: HandClock = field(default_factory=HandClock)
    output: SimulatedOutput = field(default_factory=SimulatedOutput)
    rolling: threading.Event = field(default_factory=threading.Event)
    """Cleared, cameras wait before their next frame."""
    rolls_at_once: bool = True
    """Whether cameras begin with the station."""
    inferring: threading.Event = field(default_factory=threading.Event)
    """Cleared, the engine waits before its next answer."""
    disk: threading.Event = field(default_factory=threading.Event)
    """Cleared, the disk of the pictures hangs."""
    free_gib: float = 100
    endless: bool = False
    """Whether each part that is reported triggers the next one."""
    cameras: list[FilmCamera] = field(default_factory=list)
    engines: list[tuple[str, int | None, int, bool]] = field(default_factory=list)
    """Name, threads, batch and whether it is opened again, of each engine that was opened."""
    networks: list[NumpyEngine] = field(default_factory=list)
    """Engines that were opened."""
    make_camera: Callable[[], Camera] | None = None
    """Makes the cameras; None makes those that play the frames."""
    engine_kind: type[NumpyEngine] = NumpyEngine
    outputs: list[str] = field(default_factory=list)
    links: list[tuple[str, Hello, bool]] = field(default_factory=list)
    """Address, first message and whether it is in shadow mode, of each link that was opened."""
    pages: list[PageDouble] = field(default_factory=list)
    feeds: list[Feed] = field(default_factory=list)
    """Pages that have a process, as in production."""
    opcua: list[OpcUaDouble] = field(default_factory=list)
    opcua_feeds: list[OpcUaFeed] = field(default_factory=list)
    """OPC UA servers with their processes, opened instead of doubles where `serves_opcua` is set."""
    mqtt: list[ForwardingTask] = field(default_factory=list)
    """Tasks of the MQTT clients, which are opened with their processes where `forwards` is set."""
    central: list[ForwardingTask] = field(default_factory=list)
    """Tasks of the central records, the same way."""
    s3: list[ForwardingTask] = field(default_factory=list)
    """Tasks of the upload of pictures, the same way."""
    forwards: bool = False
    candidates: list[HandCandidate] = field(default_factory=list)
    """Candidates that were opened."""
    candidate_module: str = ""
    """Module of a process for the candidate, where it is to have one."""
    serves_opcua: bool = False
    serves_page: bool = False
    runtime: Runtime = field(init=False)
    line: Line = field(init=False)

    @property
    def equipment(self) -> Equipment:
        """The doubles, as a station takes them."""
        return Equipment(
            self._open_camera,
            self._open_engine,
            self._open_output,
            self._open_link,
            self._open_page,
            self._open_opcua,
            self._open_candidate,
            self._free,
            self._open_mqtt,
            self._open_central,
            self._open_s3,
        )

    @property
    def folder(self) -> Path:
        """Folder of the line."""
        return self.path.parent

    @property
    def faults(self) -> list[str]:
        """Texts of the Fault messages that the PLC was sent, but for refused recipes."""
        return [sent.text for sent in self.plc.others if isinstance(sent, Fault) and sent.code is not FaultCode.BUNDLE]

    @property
    def alarms(self) -> list[str]:
        """Names of the active alarms."""
        return [alarm.name for alarm in self.runtime.alarms.active]

    def verdicts(self, *part_ids: int) -> list[str]:
        """Trigger these parts one by one; the verdicts that the PLC was sent so far."""
        for part_id in part_ids:
            count = len(self.plc.results)
            self.plc.trigger(part_id)
            self.plc.wait_for(count + 1)
        return [result.verdict.name for result in self.plc.results]

    def connect(self) -> None:
        """Let the PLC say hello."""
        self.plc.tell(HelloReceived(Hello(Role.PLC), restarted=False))
        self.plc.drain()

    def ejects_at(self, encoder: int) -> bool:
        """Move the belt there; whether the ejector then fires."""
        self.plc.tell(BeltPosition(encoder))
        self.plc.drain()
        return self.ejects()

    def ejects(self, at_s: float | None = None) -> bool:
        """Whether the ejector fires now, or at this time of the clock."""
        self.clock.now = self.clock.now if at_s is None else at_s
        self.clock.wait_for_step()
        return self.output.on

    def command(self, name: str, *options: str) -> str:
        """Run a subcommand of `edge-inspect` on this line; its complaint, empty if it succeeds."""
        try:
            main([name, str(self.path), "--who", "Ada", *options])
        except SystemExit as ended:
            return "" if ended.code in (0, None) else str(ended.code)
        finally:
            self.endless = False
        return ""

    def rows(self, query: str) -> list[tuple[object, ...]]:
        """Ask the database."""
        with closing(sqlite3.connect(self.line.records)) as connection, connection:
            return connection.execute(query).fetchall()

    def pictures(self) -> list[str]:
        """The pictures without their overlays, as `rank/name`."""
        assert self.line.pictures is not None
        found = self.line.pictures.folder.glob("*/*/*.png")
        return sorted(f"{path.parent.name}/{path.name}" for path in found if "overlay" not in path.name)

    def trigger_next(self, part: Part) -> None:
        """Watch the parts."""
        if self.endless:
            self.plc.trigger(part.part_id + 1)

    def _open_camera(self, address: str, clock: Clock) -> Camera:
        if self.make_camera is not None:
            return self.make_camera()
        self.cameras.append(FilmCamera(address, clock, self.frames, self.rolling))
        return self.cameras[-1]

    def _open_engine(self, name: str, bundle: Bundle, threads: int | None, batch: int, reopens: bool) -> Engine:
        self.engines.append((name, threads, batch, reopens))
        self.networks.append(self.engine_kind(bundle.manifest, gate=self.inferring))
        return self.networks[-1]

    def _open_output(self, address: str) -> SimulatedOutput:
        self.outputs.append(address)
        return self.output

    def _open_link(self, address: str, hello: Hello, clock: Clock, shadow: bool) -> HandPlc:
        self.links.append((address, hello, shadow))
        return self.plc

    def _open_page(self, *given: Any) -> PageDouble | Feed:
        if self.serves_page:
            self.feeds.append(Feed(*given))
            return self.feeds[-1]
        self.pages.append(PageDouble(*given))
        return self.pages[-1]

    def _open_opcua(self, *given: Any) -> OpcUaFeed | OpcUaDouble:
        if self.serves_opcua:
            self.opcua_feeds.append(OpcUaFeed(*given))
            return self.opcua_feeds[-1]
        self.opcua.append(OpcUaDouble(*given))
        return self.opcua[-1]

    def _open_mqtt(self, peer: str, task: ForwardingTask, *given: Any) -> MqttFeed | Closable:
        self.mqtt.append(task)
        return MqttFeed(peer, task, *given) if self.forwards else Closable()

    def _open_central(self, peer: str, task: ForwardingTask, *given: Any) -> CentralFeed | Closable:
        self.central.append(task)
        return CentralFeed(peer, task, *given) if self.forwards else Closable()

    def _open_s3(self, peer: str, task: ForwardingTask, *given: Any) -> PictureFeed | Closable:
        self.s3.append(task)
        return PictureFeed(peer, task, *given) if self.forwards else Closable()

    def _open_candidate(self, line: Line, stopped: Callable[[], bool]) -> Candidate:
        if self.candidate_module:
            return CandidateProcess(line, stopped, self.candidate_module)
        self.candidates.append(HandCandidate(read_manifest(line.bundle).id))
        return self.candidates[-1]

    def trial(self) -> TrialState:
        """State of the trial, as the page is told."""
        state = self.pages[0].state().trial
        assert state is not None
        return state

    def _free(self, folder: Path) -> int:
        assert self.disk.wait(PATIENCE_S)
        return int(self.free_gib * GIB)


Run = Callable[..., AbstractContextManager[RunningLine]]


def toml(value: object) -> str:
    """A value as TOML has it."""
    if isinstance(value, dict):
        return "{" + ", ".join(f"{json.dumps(str(key))} = {toml(inner)}" for key, inner in value.items()) + "}"
    if isinstance(value, (list, tuple)):
        return "[" + ", ".join(toml(inner) for inner in value) + "]"
    return json.dumps(value)


@contextmanager
def run_line(
    folder: Path, frames: Sequence[Image], keys: dict[str, object], **doubles: object
) -> Iterator[RunningLine]:
    """Run a line of these keys over the smallest that works and waits for a slow machine."""
    patient = {"deadline_ms": 60_000, "grab_timeout_ms": 30_000, "record_wait_ms": 1000}
    given = {"bundle": "tiny", "plc": "serial:///dev/none", "camera": [{"address": "film://a"}], **patient, **keys}
    path = folder / "line.toml"
    path.write_text("".join(f"{key} = {toml(value)}\n" for key, value in given.items()), encoding="utf-8")
    running = RunningLine(path, frames, **doubles)  # type: ignore[arg-type]
    running.line = load_line(path)
    for gate in (running.inferring, running.disk, *([running.rolling] if running.rolls_at_once else [])):
        gate.set()
    with open_station(running.line, running.trigger_next, clock=running.clock, equipment=running.equipment) as runtime:
        running.runtime = runtime
        try:
            yield running
        finally:
            running.endless = False
            for gate in (running.rolling, running.inferring, running.disk):
                gate.set()
