"""A running station: reload, and word to the supervisor."""

import logging
import os
import queue
import signal
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from time import monotonic

import pytest

from bundle import Bundle, Threshold, load_bundle
from edge.alarms import Alarms
from edge.config.line import load_line
from edge.engines.engine import Engine
from edge.engines.registry import open_engine
from edge.errors import EngineError
from edge.pipeline.inspector import Inspector
from edge.service import change_over, reload, serve
from edge.station import Equipment, open_inspector
from firmware_bridge.messages import Changeover, Fault, FaultCode
from tests.conftest import CLASSES
from tests.edge.line_doubles import NumpyEngine
from tests.edge.running_line import Run, RunningLine

Make = Callable[..., Path]


class Taker:
    """Stands in for a runtime: takes inspectors."""

    def __init__(self) -> None:
        self.taken: list[tuple[str, int]] = []
        self.refused: list[int] = []
        self.reloads_refused: list[str] = []
        self.changeovers: queue.SimpleQueue[int] = queue.SimpleQueue()
        self.finished = threading.Event()

    def clock(self) -> float:
        """Stand still."""
        return 0.0

    def use(self, inspector: Inspector, recipe: int = 0) -> None:
        """Note the bundle."""
        self.taken.append((inspector.bundle.id, recipe))

    def refuse_changeover(self, recipe: int, reason: str) -> None:
        """Note the recipe."""
        self.refused.append(recipe)

    def refuse_reload(self, reason: str) -> None:
        """Note the reason."""
        self.reloads_refused.append(reason)


def write_line(folder: Path, bundle: Path, more: str = "") -> Path:
    path = folder / "line.toml"
    path.write_text(f'bundle = "{bundle}"\nplc = "serial:///x"\ncamera = [{{ address = "synthetic://" }}]\n{more}')
    return path


@pytest.mark.parametrize(("recipes", "number"), [("", 0), ('[recipes]\n3 = "b"\n', 3)])
def test_a_new_bundle_is_taken_over_with_its_recipe_number(
    make_bundle: Make, tmp_path: Path, recipes: str, number: int
) -> None:
    path, runtime = write_line(tmp_path, make_bundle("a"), recipes), Taker()
    line = load_line(path)
    other = make_bundle("b", thresholds={name: Threshold(score=0.8) for name in CLASSES})
    write_line(tmp_path, other, recipes)

    line = reload(path, line, runtime)  # type: ignore[arg-type]

    assert runtime.taken == [(load_bundle(other).id, number)]
    assert line.bundle == other


@pytest.mark.parametrize(
    ("key", "value", "takes_effect"),
    [
        ("unsure_margin", 0.125, True),
        ("engine_threads", 1, True),
        ("engine_reopens", False, True),
        ("deadline_ms", 250, False),
        ("record_wait_ms", 7, False),
    ],
)
def test_a_reload_takes_the_keys_that_need_no_restart_and_names_the_others(
    make_bundle: Make,
    tmp_path: Path,
    key: str,
    value: float | bool,
    takes_effect: bool,
    caplog: pytest.LogCaptureFixture,
) -> None:
    bundle, runtime = make_bundle("a"), Taker()
    path = write_line(tmp_path, bundle)
    line = load_line(path)
    write_line(tmp_path, bundle, f"{key} = {str(value).lower()}\n")

    after = reload(path, line, runtime)  # type: ignore[arg-type]

    assert (getattr(after, key) == value) is takes_effect
    assert (f"reload: {key} changed too" in caplog.text) is not takes_effect


@pytest.mark.parametrize("damage", ["model", "line"])
def test_a_bad_reload_changes_nothing(make_bundle: Make, tmp_path: Path, damage: str) -> None:
    path, runtime = write_line(tmp_path, make_bundle("a")), Taker()
    line = load_line(path)
    other = make_bundle("b")
    (other / "model.onnx").write_bytes(b"damaged")
    write_line(tmp_path, other if damage == "model" else line.bundle, "" if damage == "model" else "shaddow = true\n")

    assert reload(path, line, runtime) == line  # type: ignore[arg-type]
    assert runtime.taken == []
    assert len(runtime.reloads_refused) == 1


def break_down(*_: object) -> Engine:
    """Fail in a way that no engine announces."""
    raise MemoryError("no room for the engine")


def test_an_unexpected_error_does_not_stop_the_line(make_bundle: Make, tmp_path: Path) -> None:
    path, runtime = write_line(tmp_path, make_bundle("a"), '[recipes]\n3 = "a"\n'), Taker()
    line, equipment = load_line(path), Equipment(open_engine=break_down)
    runtime.changeovers.put(3)

    assert reload(path, line, runtime, equipment) == line  # type: ignore[arg-type]
    assert runtime.reloads_refused == ["MemoryError: no room for the engine"]
    assert change_over(line, runtime, equipment) == line  # type: ignore[arg-type]
    assert (runtime.taken, runtime.refused) == ([], [3])


def test_an_engine_that_cannot_be_warmed_up_is_closed(make_bundle: Make, tmp_path: Path) -> None:
    bundle = load_bundle(make_bundle("a"))
    engine = NumpyEngine(bundle.manifest, fail_on=1)

    line, equipment = load_line(write_line(tmp_path, bundle.folder)), Equipment(open_engine=lambda *_: engine)

    with pytest.raises(EngineError):
        open_inspector(line, monotonic, equipment)
    assert engine.closed


def test_a_reload_keeps_to_the_cameras_that_are_open(make_bundle: Make, tmp_path: Path) -> None:
    path, runtime = write_line(tmp_path, make_bundle("a")), Taker()
    line, batches = load_line(path), []

    def open_one(name: str, bundle: Bundle, threads: int | None, batch: int, reopens: bool) -> Engine:
        batches.append(batch)
        return open_engine(name, bundle, threads, batch, reopens)

    path.write_text(path.read_text().replace("camera = [", 'camera = [{ address = "synthetic://", name = "second" }, '))
    reload(path, line, runtime, Equipment(open_engine=open_one))  # type: ignore[arg-type]

    assert batches == [1]


def test_what_needs_a_restart_is_said(make_bundle: Make, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    path, runtime = write_line(tmp_path, make_bundle("a")), Taker()
    line = load_line(path)
    write_line(tmp_path, line.bundle, "deadline_ms = 100\n")

    with caplog.at_level(logging.WARNING):
        after = reload(path, line, runtime)  # type: ignore[arg-type]

    assert after.deadline_ms == line.deadline_ms
    assert "deadline_ms changed too" in caplog.text


def test_the_plc_s_recipe_is_taken_over(make_bundle: Make, tmp_path: Path) -> None:
    other = make_bundle("b", thresholds={name: Threshold(score=0.8) for name in CLASSES})
    path, runtime = write_line(tmp_path, make_bundle("a"), '[recipes]\n3 = "b"\n'), Taker()
    runtime.changeovers.put(2)
    runtime.changeovers.put(3)

    line = change_over(load_line(path), runtime)  # type: ignore[arg-type]

    assert runtime.taken == [(load_bundle(other).id, 3)]
    assert line.bundle == other


def test_a_station_that_stops_does_not_wait_for_a_bundle_that_never_opens(make_bundle: Make, tmp_path: Path) -> None:
    path, runtime, released = write_line(tmp_path, make_bundle("a"), '[recipes]\n3 = "a"\n'), Taker(), threading.Event()
    line = load_line(path)

    def never_open(*_: object) -> Engine:
        runtime.finished.set()  # as SIGTERM does, once the opening has begun
        assert released.wait(60)
        raise EngineError("released")

    runtime.changeovers.put(3)
    try:
        assert change_over(line, runtime, Equipment(open_engine=never_open)) == line  # type: ignore[arg-type]
    finally:
        released.set()
    assert runtime.refused == [3]


@pytest.mark.parametrize("number", [4, 5])
def test_a_recipe_that_is_not_to_be_had_is_refused(make_bundle: Make, tmp_path: Path, number: int) -> None:
    path, runtime = write_line(tmp_path, make_bundle("a"), '[recipes]\n4 = "nothing-here"\n'), Taker()
    line = load_line(path)
    runtime.changeovers.put(number)

    assert change_over(line, runtime) == line  # type: ignore[arg-type]
    assert (runtime.taken, runtime.refused) == ([], [number])


def test_a_refused_reload_is_an_alarm_until_one_succeeds(run: Run, caplog: pytest.LogCaptureFixture) -> None:
    with run() as line:
        right = line.path.read_text()
        line.path.write_text(right + "shaddow = true\n")
        for _ in range(2):
            reload(line.path, line.line, line.runtime, line.equipment)
        assert caplog.text.count("reload refused, the station continues unchanged: ") == 2
        (alarm,) = line.runtime.alarms.active
        line.path.write_text(right.replace('"tiny"', '"other"'))
        reload(line.path, line.line, line.runtime, line.equipment)
        line.plc.wait_for_other(2)

        assert line.plc.others[0] == Fault(FaultCode.BUNDLE, text="reload refused")
        assert "shaddow" in alarm.text
        assert line.alarms == []


def test_a_refused_recipe_is_an_alarm_and_each_request_is_answered(run: Run) -> None:
    with run(recipes={3: "other"}) as line:
        for _ in range(2):
            line.runtime.changeovers.put(9)
            change_over(line.line, line.runtime, line.equipment)
        refused = line.alarms
        faults = [sent for sent in line.plc.others if isinstance(sent, Fault)]
        line.runtime.changeovers.put(3)
        change_over(line.line, line.runtime, line.equipment)
        line.plc.wait_for_other(5)

        assert (refused, len(faults)) == (["recipe 9 refused"], 2)
        assert line.alarms == []


def test_a_recipe_without_its_bundle_is_said_at_the_start(run: Run) -> None:
    with run(recipes={3: "other", 4: "nothing-here"}) as line:
        (alarm,) = line.runtime.alarms.active

    assert alarm.name == "recipe 4 unusable"
    assert "nothing-here" in alarm.text


@pytest.fixture
def signals() -> Iterator[None]:
    """Put the handlers of a service's signals back."""
    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)}
    yield
    for number, handler in before.items():
        signal.signal(number, handler)


def end_when(line: RunningLine, arrived: Callable[[], object]) -> threading.Thread:
    """End the service once something has arrived at the PLC, or not in time."""

    def wait() -> None:
        try:
            arrived()
        finally:
            line.runtime.finished.set()

    thread = threading.Thread(target=wait)
    thread.start()
    return thread


@pytest.mark.usefixtures("signals")
def test_a_running_service_changes_over_to_the_recipe_that_the_plc_asks_for(run: Run) -> None:
    with run(recipes={3: "other"}) as line:
        line.plc.tell(Changeover(3))
        waiting = end_when(line, lambda: line.plc.wait_for_other(1))
        serve(line.path, line.line, line.runtime, line.equipment)
        waiting.join()

    assert line.plc.others == [Changeover(3, load_bundle(line.folder / "other").id)]


@pytest.mark.usefixtures("signals")
def test_a_running_service_reads_its_line_again_on_sighup(run: Run) -> None:
    with run() as line:
        line.path.write_text(line.path.read_text().replace('"tiny"', '"other"'))
        waiting = end_when(line, lambda: line.plc.wait_for_other(1))
        signal.signal(signal.SIGHUP, signal.SIG_IGN)  # until the service has its own
        hang_up = threading.Thread(target=send_until, args=(signal.SIGHUP, line.runtime.finished))
        hang_up.start()
        serve(line.path, line.line, line.runtime, line.equipment)
        hang_up.join()
        waiting.join()

    assert line.plc.others[0] == Changeover(0, load_bundle(line.folder / "other").id)


class Interrupted(threading.Event):
    """Gets a signal while its lock is held, as a busy main thread may."""

    def __init__(self, number: int) -> None:
        super().__init__()
        self.number = number
        self.waiter: int | None = None
        self.arrived = threading.Event()

    def wait(self, timeout: float | None = None) -> bool:
        """Be interrupted once, then wait until the handler's work is done."""
        if self.waiter is None:
            self.waiter = threading.get_ident()
            signal.raise_signal(self.number)
            self.arrived.wait(60)
            self.waiter = 0
        return super().wait(timeout)

    def set(self) -> None:
        """Refuse to wait for the lock's own holder."""
        deadlocked = self.waiter == threading.get_ident()
        self.arrived.set()
        assert not deadlocked, "the main thread waits for a lock that it holds"
        super().set()


@pytest.mark.usefixtures("signals")
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_that_comes_while_the_main_thread_holds_a_lock_ends_the_service(run: Run, number: int) -> None:
    with run() as line:
        line.runtime.finished = Interrupted(number)
        serve(line.path, line.line, line.runtime, line.equipment)

        assert line.runtime.finished.is_set()


@pytest.mark.usefixtures("signals")
@pytest.mark.parametrize("before_it_serves", [True, False])
def test_a_running_service_takes_over_what_a_release_points_to(
    run: Run, tmp_path: Path, before_it_serves: bool
) -> None:
    def turn() -> None:
        (tmp_path / "draft").symlink_to("other")
        (tmp_path / "draft").replace(tmp_path / "current")

    (tmp_path / "current").symlink_to("tiny")
    with run(bundle="current") as line:
        if before_it_serves:
            turn()
        turning = threading.Timer(0.5, turn if not before_it_serves else lambda: None)
        turning.start()
        waiting = end_when(line, lambda: line.plc.wait_for_other(1))
        serve(line.path, line.line, line.runtime, line.equipment)
        for thread in (waiting, turning):
            thread.join()

    assert line.plc.others == [Changeover(0, load_bundle(line.folder / "other").id)]


def send_until(number: int, ended: threading.Event) -> None:
    """Send ourselves a signal again and again."""
    while not ended.wait(0.1):
        os.kill(os.getpid(), number)


class Counted:
    """Stands in for a runtime that lives or does not, and ends the service when that has been asked three times."""

    def __init__(self, lives: bool) -> None:
        self.finished = threading.Event()
        self.changeovers: queue.SimpleQueue[int] = queue.SimpleQueue()
        self.alarms = Alarms()
        self.asked = 0
        self._lives = lives

    @property
    def alive(self) -> bool:
        """Count the question."""
        self.asked += 1
        if self.asked == 3:
            self.finished.set()
        return self._lives


@pytest.mark.usefixtures("signals")
@pytest.mark.parametrize("lives", [True, False])
def test_the_watchdog_of_a_service_is_fed_only_while_its_threads_live(
    lives: bool, make_bundle: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path, runtime = write_line(tmp_path, make_bundle("a")), Counted(lives)
    heard: list[bytes] = []
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as supervisor:
        supervisor.bind(str(tmp_path / "notify"))
        supervisor.settimeout(10)
        monkeypatch.setenv("NOTIFY_SOCKET", str(tmp_path / "notify"))

        def hear() -> None:
            """Read what is sent at once, or the socket's queue fills and its sender waits; end a fed service."""
            with suppress(TimeoutError):
                while b"STOPPING=1" not in heard:
                    heard.append(supervisor.recv(100))
                    if heard.count(b"WATCHDOG=1") == 3:
                        runtime.finished.set()
            runtime.finished.set()

        listener = threading.Thread(target=hear)
        listener.start()
        serve(path, load_line(path), runtime)  # type: ignore[arg-type]
        listener.join()

    assert (heard[0], heard[-1]) == (b"READY=1", b"STOPPING=1")
    assert runtime.asked
    assert (b"WATCHDOG=1" in heard) is lives
