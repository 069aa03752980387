"""The station's end of the pipe to its page: a thread that starts the page's process, and tells it what is new.

Whatever the page does, hang or die, this thread alone waits for it.
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
from typing import IO

from bundle import Manifest
from edge.config.schema import PageSettings
from edge.errors import PageError
from edge.page.channel import write_message
from edge.page.outbox import Outbox
from edge.page.state import StateUpdate, StationInfo, StationState, ViewPicture
from edge.part import Part
from edge.records.overlay import view_jpeg

log = logging.getLogger(__name__)

TICK_S = 0.25
"""How often the page hears from the station."""
RETRY_S = 30.0
"""A port that is taken, or a page that has died, is tried again after so long."""
END_S = 2.0
"""How long a stopping station waits for its page."""
NICE = 10
"""Of the page's process and of the thread that draws for it: inspecting goes first."""
BACKLOG = 64
NEEDED = ("fastapi", "uvicorn", "prometheus_client")


class Feed:
    """Keeps the page up and to date from construction to `close`."""

    def __init__(
        self,
        settings: PageSettings,
        outbox: Outbox,
        station: Callable[[], StationState],
        manifest: Callable[[], Manifest],
        welcome: Callable[[], StationInfo],
        retry_s: float = RETRY_S,
    ) -> None:
        """`station` gives the state of now, `manifest` that of the bundle in use, `welcome` a new page's beginning."""
        self.address: str | None = None
        """Where the page is served, None while it is not."""
        self.process = 0
        """Number of the page's process, 0 before the first."""
        self.tries = 0
        """How often the page was opened, or could not be."""
        self._settings, self._outbox, self._retry_s = settings, outbox, retry_s
        self._station, self._manifest, self._welcome = station, manifest, welcome
        self._said = ""
        self._stop = threading.Event()
        # A daemon, because a page that hangs must not keep the station from ending.
        self._thread = threading.Thread(target=self._run, name="page", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """End the page."""
        self._stop.set()
        self._thread.join(2 * END_S)

    def _run(self) -> None:
        _give_way()
        missing = [name for name in NEEDED if find_spec(name) is None]
        if missing:
            log.error("page: %s not installed, so there is none; pip install 'edge-inspect[page]'", ", ".join(missing))
            return
        while not self._stop.is_set():
            self.tries += 1
            try:
                self._serve()
            except PageError as error:
                self._say(str(error))
            except Exception:  # the outermost loop: the line goes on without a page
                log.exception("page: it failed; the line goes on without it")
            self.address = None
            self._stop.wait(self._retry_s)

    def _serve(self) -> None:
        with listening(*self._settings.host_and_port) as socket_:
            self.address = "http://{}:{}".format(*socket_.getsockname()[:2])
            page = _start_process(socket_)
            assert page.stdin is not None  # it was asked for
            self.process = page.pid
            log.info("page: %s", self.address)
            self._said = ""
            try:
                self._tell(page.stdin)
            except OSError:
                raise PageError(f"its process has ended with status {_end(page)}") from None
            finally:
                _end(page)

    def _tell(self, pipe: IO[bytes]) -> None:
        self._outbox.take()  # what was noted before stands in the records
        write_message(pipe, self._welcome())
        while True:
            parts, pictured = self._outbox.take()
            for part in pictured:
                self._draw(pipe, part)
            write_message(pipe, StateUpdate(station=self._station(), parts=parts))
            if self._stop.wait(TICK_S):
                return

    def _draw(self, pipe: IO[bytes], part: Part) -> None:
        manifest = self._manifest()
        for view in part.views if part.bundle_id == manifest.id else ():
            picture = view_jpeg(view, manifest)
            if picture is not None:
                write_message(pipe, ViewPicture(number=part.number, camera=view.camera), picture)

    def _say(self, problem: str) -> None:
        """Say a problem once, not with each try."""
        if problem != self._said:
            log.error(
                "page %s: %s; the line goes on without it, and it is tried again every %g s",
                self._settings.listen, problem, self._retry_s,
            )  # fmt: skip
        self._said = problem


def listening(host: str, port: int) -> socket.socket:
    """Open the port; raises PageError."""
    opened = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET, socket.SOCK_STREAM)
    try:
        opened.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        opened.bind((host, port))
        opened.listen(BACKLOG)
    except OSError as error:
        opened.close()
        raise PageError(f"cannot listen there ({error.strerror}); free it, or name another in [page]") from None
    return opened


def _start_process(listening_socket: socket.socket) -> "subprocess.Popen[bytes]":
    """Start the page in a session of its own, so that Ctrl-C reaches the station alone."""
    number = listening_socket.fileno()
    command = [sys.executable, "-m", "edge.page.server", str(number)]
    return subprocess.Popen(command, stdin=subprocess.PIPE, pass_fds=(number,), start_new_session=True)


def _end(page: "subprocess.Popen[bytes]") -> int:
    """Let the process come to its end, and give its exit status."""
    if page.stdin is not None:
        with suppress(OSError):
            page.stdin.close()
    try:
        return page.wait(END_S)
    except subprocess.TimeoutExpired:
        page.kill()
        return page.wait()


def _give_way() -> None:
    """Lower the priority of this thread, and of the processes that it starts; Linux alone has it for threads."""
    with suppress(OSError, AttributeError):
        os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), NICE)
