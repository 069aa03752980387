"""Cases beside the pipeline: records, pictures, operators, supervisor and servers; an alarm, and mostly parts go on."""

import io
import os
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest

from bundle import encode_png
from edge.alarms import Alarms
from edge.config.page import PageSettings
from edge.engines.engine import Engine
from edge.forwarding.forwarder import Forwarder
from edge.forwarding.progress import Progress
from edge.page.feed import Feed
from edge.page.picture_inspection import InspectionBusy, PictureInspector
from edge.records.pending_write import PendingWrite
from edge.records.rows import Statement
from edge.servers.channel import write_message
from edge.servers.outbox import Outbox
from edge.servers.state import StationState
from edge.service import reload
from edge.signal_events import set_on_signal
from edge.station import Equipment
from edge.stopping import GAVE_UP
from edge.systemd import watchdog_fed
from tests.conftest import grey_frame, tiny_manifest
from tests.edge.page.doubles import station, welcome
from tests.edge.running_line import Run
from tests.edge.threads.registry import PATIENCE_S, Planted, planted, wait_until


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


class UnsettableEvent(threading.Event):
    """An event that cannot be set."""

    def set(self) -> None:
        """Fail."""
        raise Planted("at a signal")


@planted("edge/signal_events.py:set_on_signal")
def order_by_a_signal(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[str] = []  # what Python would write to the log
    monkeypatch.setattr(sys, "unraisablehook", lambda found: seen.append(type(found.exc_value).__name__))
    before = signal.getsignal(signal.SIGUSR1)
    try:
        set_on_signal(signal.SIGUSR1, UnsettableEvent())
        os.kill(os.getpid(), signal.SIGUSR1)
        wait_until(lambda: seen)
    finally:
        signal.signal(signal.SIGUSR1, before)

    assert seen == ["Planted"]


@planted("edge/trial/trial.py:__init__")
def verdict_of_a_candidate(run: Run) -> None:
    with run(page={}, trial={"bundle": "other"}) as line:
        wait_until(lambda: line.trial().bundle_id)
        line.candidates[0].error = Planted("at a verdict")
        assert line.verdicts(1) == ["OK"]
        wait_until(lambda: "trial" in line.alarms)

        assert line.verdicts(2) == ["OK", "OK"]
        assert line.runtime.alive


@planted("edge/trial/candidate.py:__init__")
def process_of_a_candidate(run: Run) -> None:
    with run(page={}, trial={"bundle": "other"}, doubles={"candidate_module": "json.no_such_module"}) as line:
        wait_until(lambda: "trial" in line.alarms)

        assert line.verdicts(1) == ["OK"]
        assert line.runtime.alive


@planted("edge/page/picture_inspection.py:_inspected")
def inspection_of_a_sent_picture(tmp_path: Path) -> None:
    with pytest.raises(InspectionBusy, match=r"the process of the inspection has failed: .*no-bundle"):
        PictureInspector(nice=0).inspect(str(tmp_path / "no-bundle"), encode_png(np.zeros((8, 8), np.uint8)))


@planted("edge/station.py:_serving")
def request_of_an_operator(run: Run) -> None:
    with run() as line:
        line.rows("INSERT INTO pauses (time, who, reason, began) VALUES ('now', 'Ada', 'lamp', 'no date')")
        wait_until(lambda: "operator requests" in line.alarms)

        assert line.verdicts(1) == ["OK"]


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


@planted("edge/servers/process_feed.py:__init__")
def state_for_the_page() -> None:
    def fail() -> StationState:
        raise Planted("at the state")

    page_alarm(fail, "Planted: at the state")


@planted("edge/servers/process_feed.py:_start_process")
def process_of_the_page() -> None:
    def kill(feed: Feed) -> None:
        wait_until(lambda: feed.process)
        os.kill(feed.process, signal.SIGKILL)

    page_alarm(station, "its process has ended with status -9", kill)


class PlantedTarget:
    """A target that fails."""

    batch_rows = 1

    def open(self) -> Progress:
        """Fail."""
        raise Planted("at the target")

    def requested_changeovers(self) -> tuple[int, ...]:
        """There are none."""
        return ()

    def close(self) -> None:
        """Nothing is held."""


@planted("edge/forwarding/forwarder.py:__init__")
def target_of_a_forwarder(tmp_path: Path) -> None:
    forwarder = Forwarder(PlantedTarget(), tmp_path / "records.sqlite", retry_s=0.01)  # type: ignore[arg-type]
    forwarder.start()
    wait_until(lambda: forwarder.problem)

    assert forwarder.take(station()).problem == "Planted: at the target"
    forwarder.stop(PATIENCE_S)


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
