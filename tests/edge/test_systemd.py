"""Messages to the supervisor, and its watchdog."""

import socket
import threading
from contextlib import suppress
from pathlib import Path

import pytest

from edge.alarms import Alarms
from edge.systemd import notify, watchdog_fed


def test_the_supervisor_gets_the_notifications(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as supervisor:
        supervisor.bind(str(tmp_path / "notify"))
        monkeypatch.setenv("NOTIFY_SOCKET", str(tmp_path / "notify"))
        notify("READY=1")

        assert supervisor.recv(100) == b"READY=1"


def test_the_watchdog_is_fed_while_the_line_lives_whatever_else_takes_time(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    alive = True
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as supervisor:
        supervisor.bind(str(tmp_path / "notify"))
        supervisor.settimeout(10)
        monkeypatch.setenv("NOTIFY_SOCKET", str(tmp_path / "notify"))
        asked = threading.Semaphore(0)

        def is_alive() -> bool:
            asked.release()
            return alive

        with watchdog_fed(is_alive, 0.001, Alarms()):
            heard = {supervisor.recv(100) for _ in range(3)}  # this thread does nothing but wait
            alive = False
            for _ in range(50):
                assert asked.acquire(timeout=10)
            supervisor.settimeout(0.0)
            with suppress(BlockingIOError):  # what was said before
                while True:
                    supervisor.recv(100)
            for _ in range(10):
                assert asked.acquire(timeout=10)
            with pytest.raises(BlockingIOError):
                supervisor.recv(100)

    assert heard == {b"WATCHDOG=1"}


def test_without_a_supervisor_nothing_happens(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("NOTIFY_SOCKET", raising=False)

    notify("READY=1")
