"""Feed of the page: a thread that starts the page's process and sends it updates through a pipe.

If the page hangs or crashes, only this thread waits for it.
"""

import logging
import os
import socket
import subprocess
import sys
import threading
from collections.abc import Callable
from contextlib import suppress
from importlib.util import find_spec
from itertools import count
from typing import IO

from bundle import Manifest
from edge.alarms import Alarms
from edge.config.schema import PageSettings
from edge.errors import PageError
from edge.page.channel import write_message
from edge.page.outbox import Outbox
from edge.page.state import StateUpdate, StationInfo, StationState, ViewPicture
from edge.part import Part
from edge.records.overlay import view_jpeg

log = logging.getLogger(__name__)

TICK_S = 0.25
"""Interval of the updates."""
RETRY_S = 30.0
"""Pause before the next attempt after a taken port or a crash of the page."""
END_S = 2.0
"""Longest wait for the page when the station stops."""
NICE = 10
"""Nice value of the page's process and of the drawing thread: inspection has priority."""
BACKLOG = 64
PAGE = "page"
"""Name of the alarm for a page that is not served."""
NEEDED = ("fastapi", "uvicorn", "prometheus_client")


class Feed:
    """Runs and updates the page from construction to `close`."""

    def __init__(
        self,
        settings: PageSettings,
        outbox: Outbox,
        station: Callable[[], StationState],
        manifest: Callable[[], Manifest],
        welcome: Callable[[], StationInfo],
        alarms: Alarms,
        retry_s: float = RETRY_S,
    ) -> None:
        """`station`: current state. `manifest`: of the bundle in use. `welcome`: first message of a new page.

        A page that is not served is an alarm, which ends when it has been served for `retry_s`.
        """
        self.address: str | None = None
        """Address of the page; None while it is not served."""
        self.process = 0
        """Process id of the page; 0 before the first start."""
        self.tries = 0
        """Number of attempts to start the page."""
        self._settings, self._outbox, self._retry_s = settings, outbox, retry_s
        self._station, self._manifest, self._welcome, self._alarms = station, manifest, welcome, alarms
        self._stop = threading.Event()
        # A daemon, because a hanging page must not block the end of the station.
        self._thread = threading.Thread(target=self._run, name="page", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Stop the page."""
        self._stop.set()
        self._thread.join(2 * END_S)

    def _run(self) -> None:
        while not self._stop.is_set():
            self.tries += 1
            try:
                _give_way()
                check_packages()
                self._serve()
            except PageError as error:
                self._raise_alarm(str(error))
            except Exception as error:  # the outermost loop: the line continues without a page
                log.exception("page: failed")
                self._raise_alarm(f"{type(error).__name__}: {error}")
            self.address = None
            self._stop.wait(self._retry_s)

    def _serve(self) -> None:
        with listening(*self._settings.host_and_port) as socket_:
            self.address = _url(*socket_.getsockname()[:2])
            page = _start_process(socket_)
            assert page.stdin is not None  # PIPE was requested
            self.process = page.pid
            log.info("page: %s", self.address)
            try:
                self._tell(page.stdin)
            except OSError:
                raise PageError(f"its process has ended with status {_end(page)}") from None
            finally:
                _end(page)

    def _tell(self, pipe: IO[bytes]) -> None:
        self._outbox.take()  # earlier parts are in the records
        write_message(pipe, self._welcome())
        for ticks in count():
            if ticks * TICK_S >= self._retry_s:
                self._alarms.clear(PAGE)
            parts, pictured = self._outbox.take()
            for part in pictured:
                self._draw(pipe, part)
            write_message(pipe, StateUpdate(station=self._station(), parts=parts))
            if self._stop.wait(TICK_S):  # the last state tells a planned stop from a crash
                parts, _ = self._outbox.take()
                write_message(pipe, StateUpdate(station=self._station(), parts=parts))
                return

    def _draw(self, pipe: IO[bytes], part: Part) -> None:
        manifest = self._manifest()
        for view in part.views if part.bundle_id == manifest.id else ():
            picture = view_jpeg(view, manifest)
            if picture is not None:
                write_message(pipe, ViewPicture(number=part.number, camera=view.camera), picture)

    def _raise_alarm(self, problem: str) -> None:
        found = f"{self._settings.listen}: {problem}; the line continues without it"
        self._alarms.raise_(PAGE, f"{found}, next attempt every {self._retry_s:g} s")


def check_packages() -> None:
    """Check that the packages of the page are installed; raises PageError."""
    missing = [name for name in NEEDED if find_spec(name) is None]
    if missing:
        raise PageError(f"{', '.join(missing)} not installed; pip install 'edge-inspect[page]'")


def listening(host: str, port: int) -> socket.socket:
    """Open the listening socket; raises PageError."""
    opened = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET, socket.SOCK_STREAM)
    try:
        opened.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        opened.bind((host, port))
        opened.listen(BACKLOG)
    except OSError as error:
        opened.close()
        raise PageError(f"cannot listen there ({error.strerror}); free the port, or set another in [page]") from None
    return opened


def _url(host: str, port: int) -> str:
    """Address of the page, with an IPv6 address in brackets (RFC 3986, section 3.2.2)."""
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


def _start_process(listening_socket: socket.socket) -> "subprocess.Popen[bytes]":
    """Start the page in a new session, so that Ctrl-C reaches only the station."""
    number = listening_socket.fileno()
    command = [sys.executable, "-m", "edge.page.server", str(number)]
    return subprocess.Popen(command, stdin=subprocess.PIPE, pass_fds=(number,), start_new_session=True)


def _end(page: "subprocess.Popen[bytes]") -> int:
    """End the process and return its exit status."""
    if page.stdin is not None:
        with suppress(OSError):
            page.stdin.close()
    try:
        return page.wait(END_S)
    except subprocess.TimeoutExpired:
        page.kill()
        return page.wait()


def _give_way() -> None:
    """Lower the priority of this thread and of the processes that it starts; per thread on Linux only."""
    with suppress(OSError, AttributeError):
        os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), NICE)
