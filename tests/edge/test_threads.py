"""An unexpected exception in any thread or child process of the station is seen: a FAULT or a stop, and an alarm."""

import ast
import io
import os
import signal
import socket
import sqlite3
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import closing, suppress
from pathlib import Path
from time import monotonic

import numpy as np
import pytest

import edge
import firmware_bridge
from bundle import Image, load_bundle
from edge.alarms import Alarms
from edge.cameras.device import DeviceLost
from edge.cameras.rtsp import RtspDevice, RtspOptions
from edge.config.schema import PageSettings
from edge.ejector.output import SimulatedOutput
from edge.engines.engine import Engine, Outputs
from edge.engines.onnxruntime_cpu import OnnxruntimeEngine
from edge.engines.probe import probe_bundle
from edge.engines.registry import EngineKind, open_engine
from edge.engines.tensorrt_.preprocess_kernel import compiled
from edge.errors import EngineError, RecordsError
from edge.page.feed import Feed
from edge.records.export import export
from edge.records.rows import Statement
from edge.records.writer import PendingWrite, Records
from edge.servers.channel import write_message
from edge.servers.outbox import Outbox
from edge.servers.state import StationState
from edge.service import reload
from edge.station import Equipment
from edge.stopping import GAVE_UP
from edge.systemd import watchdog_fed
from firmware_bridge.events import Event
from firmware_bridge.messages import Message, Result
from tests.conftest import grey_frame, tiny_manifest
from tests.edge.cameras.doubles import HandDevice, Plug, live
from tests.edge.line_doubles import HandPlc, ListCamera, NumpyEngine
from tests.edge.page.doubles import station, welcome
from tests.edge.running_line import Run

PATIENCE_S = 30.0
FOLDERS = (Path(edge.__file__).parent, Path(firmware_bridge.__file__).parent)
STARTERS = {"Thread", "Timer", "Popen", "Process", "ThreadPoolExecutor", "ProcessPoolExecutor", "start_new_thread"}
NOT_THE_STATION = ("simulator",)
"""Folders of what is at the other end of the line."""

Case = Callable[..., None]
CASES: dict[str, Case] = {}
THREADS = {"line", "grab camera", "infer", "report", "eject"}
"""Threads of the pipeline, all started in one place."""


def starts_of(path: Path, root: Path) -> Iterator[str]:
    """Yield `file:function` of each place that starts a thread or a process."""
    for function in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if not isinstance(function, (ast.FunctionDef, ast.AsyncFunctionDef)):
            continue
        for call in (node for node in ast.walk(function) if isinstance(node, ast.Call)):
            name = ast.unparse(call.func)
            if name.rpartition(".")[2] in STARTERS or name in ("subprocess.run", "os.fork"):
                yield f"{path.relative_to(root)}:{function.name}"


FOUND = sorted(
    {
        start
        for folder in FOLDERS
        for path in folder.rglob("*.py")
        if not set(NOT_THE_STATION) & set(path.parts)
        for start in starts_of(path, folder.parent)
    }
)


def planted(start: str) -> Callable[[Case], Case]:
    """Name the place, or the thread of the pipeline, in which a case plants an exception."""

    def keep(case: Case) -> Case:
        CASES[start] = case
        return case

    return keep


@pytest.mark.parametrize(
    "start", [*(start for start in FOUND if start != "edge/pipeline/runtime.py:_thread"), *sorted(THREADS)]
)
def test_an_exception_in_a_thread_or_child_process_is_seen(start: str, request: pytest.FixtureRequest) -> None:
    assert start in CASES, f"{start} starts a thread or process without a case here; plant an exception in it"
    case = CASES[start]
    names = case.__code__.co_varnames[: case.__code__.co_argcount]

    case(*(request.getfixturevalue(name) for name in names))


def test_there_is_no_case_of_a_thread_that_is_gone() -> None:
    assert set(CASES) <= {*FOUND, *THREADS}


def test_the_threads_of_the_pipeline_are_those_of_the_cases(run: Run) -> None:
    with run(ejector={"output": "simulated://", "delay_ms": 10, "length_ms": 10}) as line:
        started = {thread.name for thread in (*line.runtime._threads, *line.runtime._ejecting)}

    assert started == THREADS


def wait_until(condition: Callable[[], object]) -> None:
    """Let the threads run until something is true."""
    end = monotonic() + PATIENCE_S
    while not condition():
        assert monotonic() < end, "it never came true"
        threading.Event().wait(0.005)


class Planted(Exception):
    """An exception that the station does not expect."""


class PlantedPlc(HandPlc):
    """A link that fails at a poll or at a result."""

    def __init__(self, poll: bool = False, result: bool = False) -> None:
        super().__init__()
        self._fail_poll, self._fail_result = poll, result

    def poll(self, timeout_s: float) -> list[Event]:
        """Fail once the first part is there."""
        events = super().poll(timeout_s)
        if events and self._fail_poll:
            raise Planted("at a poll")
        return events

    def send(self, message: Message) -> None:
        """Fail at a result."""
        if isinstance(message, Result) and self._fail_result:
            raise Planted("at a result")
        super().send(message)


def stopped_by(run: Run, name: str, plc: HandPlc, **doubles: object) -> None:
    """Trigger two parts on a line whose thread of that name fails; the station stops, and passes neither."""
    with run(doubles={"plc": plc, "clock": monotonic, **doubles}) as line:
        plc.trigger(1, 2)
        wait_until(lambda: f"{name} thread" in line.alarms)

        assert line.runtime.finished.is_set()
        assert not line.runtime.alive
        assert isinstance(line.runtime.failure, Planted)
    assert line.rows(f"SELECT count(*) FROM alarms WHERE name = '{name} thread'") == [(1,)]
    if name != "report":
        assert line.rows("SELECT count(*) FROM parts WHERE verdict = 1 AND link = 'acknowledged'") == [(0,)]


@planted("line")
def poll_of_the_link(run: Run) -> None:
    stopped_by(run, "line", PlantedPlc(poll=True))


@planted("report")
def result_to_the_link(run: Run) -> None:
    stopped_by(run, "report", PlantedPlc(result=True))


class PlantedCamera(ListCamera):
    """A camera that fails outside of the work on one part."""

    @property
    def exhausted(self) -> bool:
        """Fail."""
        raise Planted("after a frame")


@planted("grab camera")
def question_after_a_frame(run: Run) -> None:
    stopped_by(run, "grab camera", HandPlc(), make_camera=lambda: PlantedCamera([grey_frame(255)]))


class PlantedEngine(NumpyEngine):
    """An engine that fails outside of the work on one part."""

    @property
    def slots(self) -> int:
        """Fail in the thread of the inference."""
        if threading.current_thread().name == "infer":
            raise Planted("between two parts")
        return 1


@planted("infer")
def slots_of_the_engine(run: Run) -> None:
    stopped_by(run, "infer", HandPlc(), engine_kind=PlantedEngine)


class PlantedOutput(SimulatedOutput):
    """An output that fails when it is to fire."""

    def _set(self, on: bool) -> None:
        if on:
            raise Planted("at a pulse")
        super()._set(on)


@planted("eject")
def pulse_of_the_output(run: Run) -> None:
    ejector = {"output": "simulated://", "delay_ms": 10, "length_ms": 10, "fail_safe": "off"}
    with run([grey_frame(255)], doubles={"output": PlantedOutput()}, ejector=ejector) as line:
        line.verdicts(1)
        line.clock.now = 0.015
        wait_until(lambda: "eject thread" in line.alarms)
        line.plc.trigger(2)
        line.plc.wait_for(2)

        assert not line.runtime.alive
        assert line.runtime.finished.is_set()
        assert line.verdicts()[1] == "FAULT"


class PlantedStatements(list[Statement]):
    """Statements that cannot even be read."""

    def __iter__(self) -> Iterator[Statement]:
        """Fail."""
        raise Planted("at a row")


@planted("edge/records/writer.py:__init__")
def row_of_the_records(run: Run) -> None:
    with run() as line:
        line.runtime.records._queue(PendingWrite(PlantedStatements(), 1))
        wait_until(lambda: "records" in line.alarms)

        assert line.verdicts(1) == ["FAULT"]
        assert not line.runtime.alive


@planted("edge/records/pictures.py:__init__")
def room_on_the_disk(run: Run) -> None:
    with run([grey_frame(255)], doubles={"free_gib": float("nan")}, pictures={"folder": "kept"}) as line:
        assert line.verdicts(1) == ["NG"]
        wait_until(lambda: "pictures" in line.alarms)
        line.free_gib = 100.0
        assert line.verdicts(2) == ["NG", "NG"]
        wait_until(lambda: "pictures" not in line.alarms)


@planted("edge/station.py:_serving")
def request_of_an_operator(run: Run) -> None:
    with run() as line:
        line.rows("INSERT INTO pauses (time, who, reason, began) VALUES ('now', 'Ada', 'lamp', 'no date')")
        wait_until(lambda: "operator requests" in line.alarms)

        assert line.verdicts(1) == ["OK"]


class PlantedDevice(HandDevice):
    """A device that fails to close, as a driver after its camera was pulled out."""

    def close(self) -> None:
        """Fail."""
        raise Planted("at the closing")


@planted("edge/cameras/live.py:__init__")
def closing_of_a_device(run: Run) -> None:
    device = PlantedDevice()
    plug = Plug(device)
    with run(doubles={"make_camera": lambda: live(plug)}) as line:
        device.fail(Planted("at a frame"))
        wait_until(lambda: plug.attempts >= 3)  # the thread goes on to connect
        wait_until(lambda: "camera camera" in line.alarms)

        assert line.verdicts(1) == ["FAULT"]
    assert "Planted: at a frame" in str(line.rows("SELECT cause FROM alarms"))


class PlantedCapture:
    """A stream whose decoder fails after its first frame."""

    def __init__(self, *_: object) -> None:
        self.reads, self.released = 0, False

    def read(self) -> tuple[bool, np.ndarray]:
        """Return one frame, then fail."""
        self.reads += 1
        if self.reads > 1:
            raise Planted("at a decoding")
        return True, np.zeros((12, 16, 3), np.uint8)

    def release(self) -> None:
        """Note it."""
        self.released = True


@planted("edge/cameras/rtsp.py:__init__")
def decoder_of_a_stream() -> None:
    device = RtspDevice("rtsp://", "rtsp://", RtspOptions(), PlantedCapture)

    with suppress(DeviceLost):  # the first frame may come before
        device.receive(PATIENCE_S)
    with pytest.raises(DeviceLost, match="ended by Planted: at a decoding"):
        device.receive(PATIENCE_S)
    device.close()


@planted("edge/service.py:_open_unless_stopped")
def opening_of_a_bundle(run: Run) -> None:
    def fail(*_: object) -> Engine:
        raise Planted("at the opening")

    with run() as line:
        reload(line.path, line.line, line.runtime, Equipment(open_engine=fail))

        assert "reload refused" in line.alarms
        assert line.verdicts(1) == ["OK"]


@planted("edge/systemd.py:watchdog_fed")
def socket_of_the_supervisor(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    alarms, lives = Alarms(), threading.Event()

    def alive() -> bool:
        if not lives.is_set():
            raise Planted("at the question")
        return True

    monkeypatch.setenv("NOTIFY_SOCKET", str(tmp_path / "notify"))
    with watchdog_fed(alive, 0.001, alarms):
        wait_until(lambda: any("Planted: at the question" in alarm.text for alarm in alarms.active))
        lives.set()
        wait_until(lambda: any("No such file" in alarm.text for alarm in alarms.active))
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as supervisor:
            supervisor.bind(str(tmp_path / "notify"))
            supervisor.settimeout(PATIENCE_S)
            assert supervisor.recv(100) == b"WATCHDOG=1"
            wait_until(lambda: not alarms.active)


LAST_RESORT = """
import sys
from edge.stopping import end_process
sys.stderr = None
end_process("infer")
"""


@planted("edge/stopping.py:ends_within")
def trace_of_the_threads() -> None:
    done = subprocess.run([sys.executable, "-c", LAST_RESORT], timeout=400, check=False, capture_output=True)

    assert done.returncode == GAVE_UP


def page_alarm(state: Callable[[], StationState], words: str, after: Callable[[Feed], None] = lambda _: None) -> None:
    """Serve a page; its failure is an alarm, and it is tried again."""
    pytest.importorskip("fastapi", reason="the page needs edge-inspect[page]")
    alarms = Alarms()
    settings = PageSettings(listen="127.0.0.1:0")
    feed = Feed(settings, Outbox(), state, tiny_manifest().sealed, welcome, alarms, retry_s=0.01)
    after(feed)
    wait_until(lambda: any(words in alarm.text for alarm in alarms.active) or feed.tries > 50)
    texts = [alarm.text for alarm in alarms.active]
    feed.close()

    assert any(words in text for text in texts), texts


@planted("edge/servers/feed.py:__init__")
def state_for_the_page() -> None:
    def fail() -> StationState:
        raise Planted("at the state")

    page_alarm(fail, "Planted: at the state")


@planted("edge/servers/feed.py:_start_process")
def process_of_the_page() -> None:
    def kill(feed: Feed) -> None:
        wait_until(lambda: feed.process)
        os.kill(feed.process, signal.SIGKILL)

    page_alarm(station, "its process has ended with status -9", kill)


@planted("edge/page/server.py:_serve")
def news_for_the_page() -> None:
    pytest.importorskip("fastapi", reason="the page needs edge-inspect[page]")
    pipe = io.BytesIO()
    write_message(pipe, welcome())
    with socket.create_server(("127.0.0.1", 0)) as listening:
        done = subprocess.run(
            [sys.executable, "-m", "edge.page.server", str(listening.fileno())],
            input=pipe.getvalue() + b"no head\nno message\n", pass_fds=(listening.fileno(),), timeout=400,
            capture_output=True, check=False,
        )  # fmt: skip

    assert done.returncode == 1
    assert b"JSONDecodeError" in done.stderr


@planted("edge/engines/probe.py:probe_bundle")
def trial_of_a_bundle(make_bundle: Callable[..., Path]) -> None:
    with pytest.raises(EngineError, match="found it ended by SIGABRT"):
        probe_bundle(make_bundle(), "aborts", kind=EngineKind("tests.edge.test_threads:aborting_engine", trial_s=400))


def aborting_engine(*_: object) -> Engine:
    """End the process that opens it."""
    os.abort()


def failing_engine(*_: object) -> Engine:
    """Fail to open."""
    raise Planted("at the opening")


@planted("edge/engines/registry.py:_within")
def opening_of_an_engine(make_bundle: Callable[..., Path]) -> None:
    kinds = {"fails": EngineKind(f"{__name__}:{failing_engine.__name__}")}

    with pytest.raises(Planted, match="at the opening"):
        open_engine("fails", load_bundle(make_bundle()), kinds=kinds)


@planted("edge/engines/onnxruntime_cpu.py:__init__")
def batch_of_the_engine(make_bundle: Callable[..., Path]) -> None:
    bundle = load_bundle(make_bundle())
    engine = PlantedSession(bundle, threads=1)
    frames = [grey_frame()]
    first, second = engine.begin(frames), engine.begin(frames)

    for pending in (first, second):
        with pytest.raises(Planted, match="at a batch"):
            pending()
    engine.close()


class PlantedSession(OnnxruntimeEngine):
    """onnxruntime with an error that is none of its own."""

    def _infer(self, inputs: Image) -> Outputs:
        raise Planted("at a batch")


@planted("edge/engines/tensorrt_/preprocess_kernel.py:compiled")
def compiler_of_the_kernel(tmp_path: Path) -> None:
    compiler = tmp_path / "nvcc"
    compiler.write_text("#!/bin/sh\nkill -SEGV $$\n")
    compiler.chmod(0o755)

    with pytest.raises(EngineError, match="cannot compile it"):
        compiled("sm_87", [str(compiler)])


@planted("edge/records/export.py:_write_csv")
def rows_of_an_export(tmp_path: Path) -> None:
    path = tmp_path / "records.sqlite"
    Records(path).close()
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.execute("DROP TABLE defects")

    with pytest.raises(RecordsError, match="no such table"):
        export(path, tmp_path / "parts.csv")
