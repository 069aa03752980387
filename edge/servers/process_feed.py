"""Feed of a child process: a thread that runs the process, restarts it, and sends it updates through a pipe.

If the process hangs or crashes, only this thread waits for it.
"""

import logging
import os
import subprocess
import threading
from abc import ABC, abstractmethod
from contextlib import suppress
from importlib.util import find_spec

from edge.alarms import Alarms
from edge.errors import ServerError
from edge.module_process import module_command
from edge.servers.channel import ServerPipe

log = logging.getLogger(__name__)

TICK_S = 0.25
"""Interval of the updates."""
RETRY_S = 30.0
"""Pause before the next attempt after a taken port or a crash of the process."""
HANG_S = 60.0
"""A process that takes or answers nothing for this long is ended; the imports of a start take seconds."""
END_S = 2.0
"""Longest wait for the process when the station stops."""
NICE = 10
"""Nice value of the process and of the thread: inspection has priority."""


class ProcessFeed(ABC):
    """Runs and updates a child process from construction to `close`."""

    table: str
    """Name of the table in line.toml."""
    alarm: str
    """Name of the alarm for a process that does not run; it ends once the process has run for `retry_s`."""
    module: str
    """Module of the process."""

    def __init__(self, peer: str, alarms: Alarms, retry_s: float = RETRY_S, hang_s: float = HANG_S) -> None:
        """`peer`: address in alarms. `retry_s`: pause between attempts. `hang_s`: longest wait for the process."""
        self.process = 0
        """Process id; 0 before the first start."""
        self.tries = 0
        """Number of attempts to start it."""
        self._peer, self._alarms, self._retry_s, self._hang_s = peer, alarms, retry_s, hang_s
        self._updates_sent = 0  # to the process that runs
        self._stop = threading.Event()
        # A daemon, because a hanging process must not block the end of the station.
        self._thread = threading.Thread(target=self._run, name=self.table, daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Stop the process."""
        self._stop.set()
        self._thread.join(2 * END_S)

    @abstractmethod
    def _check(self) -> None:
        """Check what the process needs; raises ServerError."""

    @abstractmethod
    def _begin(self, pipe: ServerPipe) -> None:
        """Send the first message; raises OSError or ServerError as the pipe does."""

    @abstractmethod
    def _update(self, pipe: ServerPipe) -> None:
        """Send one update; raises as `_begin` does."""

    @abstractmethod
    def _serve(self) -> None:
        """Run the process once, by `_run_process`; raises ServerError."""

    def _tell(self, pipe: ServerPipe) -> None:
        self._begin(pipe)
        while True:
            self._update(pipe)
            if self._stops_before_next():  # the last update tells a planned stop from a crash
                self._update(pipe)
                return

    def _stops_before_next(self) -> bool:
        """Wait after an update until the next is due; true if the station stops."""
        stops = self._stop.wait(TICK_S)
        self._updates_sent += 1
        if not stops and self._updates_sent * TICK_S >= self._retry_s:
            self._alarms.clear(self.alarm)
        return stops

    def _failed(self, problem: str) -> None:
        """Raise the alarm."""
        found = f"{self._peer}: {problem}; the line continues without it"
        self._alarms.raise_(self.alarm, f"{found}, next attempt every {self._retry_s:g} s")

    def _run(self) -> None:
        while not self._stop.is_set():
            self.tries += 1
            try:
                _give_way()
                self._check()
                self._serve()
            except ServerError as error:
                if not self._stop.is_set():
                    self._failed(str(error))
            except Exception as error:  # the outermost loop: the line continues without the process
                log.exception("%s: failed", self.table)
                self._failed(f"{type(error).__name__}: {error}")
            self._stop.wait(self._retry_s)

    def _run_process(self, *arguments: str, pass_fds: tuple[int, ...] = ()) -> None:
        """Run the process and tell it updates until its end; raises ServerError if it ends by itself."""
        process = _start_process(self.module, arguments, pass_fds)
        assert process.stdin is not None  # PIPE was requested
        assert process.stdout is not None
        self.process, self._updates_sent = process.pid, 0
        pipe = ServerPipe(process.stdin, process.stdout, self._hang_s, self._stop.is_set)
        try:
            self._tell(pipe)
        except OSError:
            raise ServerError(f"its process has ended with status {_end(process)}") from None
        finally:
            _end(process)


def check_packages(needed: tuple[str, ...], extra: str) -> None:
    """Check that packages are installed; raises ServerError with the extra that brings them."""
    missing = [name for name in needed if find_spec(name) is None]
    if missing:
        raise ServerError(f"{', '.join(missing)} not installed; pip install 'edge-inspect[{extra}]'")


def _start_process(module: str, arguments: tuple[str, ...], pass_fds: tuple[int, ...]) -> "subprocess.Popen[bytes]":
    """Start the process in a new session, so that Ctrl-C reaches only the station."""
    return subprocess.Popen(
        module_command(module, *arguments),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        pass_fds=pass_fds,
        start_new_session=True,
    )


def _end(process: "subprocess.Popen[bytes]") -> int:
    """End the process and return its exit status."""
    if process.stdin is not None:
        with suppress(OSError):
            process.stdin.close()
    try:
        return process.wait(END_S)
    except subprocess.TimeoutExpired:
        process.kill()
        return process.wait()
    finally:
        if process.stdout is not None:
            process.stdout.close()


def _give_way() -> None:
    """Lower the priority of this thread and of the processes that it starts; per thread on Linux only."""
    with suppress(OSError, AttributeError):
        os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), NICE)
