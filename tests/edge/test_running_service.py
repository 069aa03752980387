"""A service that runs: its signals, its releases, its word to the supervisor."""

import os
import queue
import signal
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from bundle import load_bundle
from edge.alarms import Alarms
from edge.config.line import load_line
from edge.service import serve
from edge.signal_events import reload_on_sighup
from firmware_bridge.messages import Changeover
from tests.edge.running_line import Run, RunningLine
from tests.edge.test_service import write_line

Make = Callable[..., Path]


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
        try:
            serve(line.path, line.line, line.runtime, line.equipment)
        finally:  # a SIGHUP after the handler is put back would end the process
            line.runtime.finished.set()
            hang_up.join()
            waiting.join()

    assert line.plc.others[0] == Changeover(0, load_bundle(line.folder / "other").id)


@pytest.mark.usefixtures("signals")
def test_a_sighup_that_came_before_the_station_served_is_a_reload_then(run: Run) -> None:
    with run() as line:
        asked = reload_on_sighup()
        line.path.write_text(line.path.read_text().replace('"tiny"', '"other"'))
        signal.raise_signal(signal.SIGHUP)
        waiting = end_when(line, lambda: line.plc.wait_for_other(1))
        serve(line.path, line.line, line.runtime, line.equipment, asked)
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
