"""Process of a forwarder: one thread takes the station's updates, another forwards rows and state.

The updates are answered at once, whatever the broker or the database does. The process ends when its pipe is closed.
"""

import logging
import os
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from time import monotonic
from typing import Protocol

from edge.errors import StationError
from edge.forwarding.messages import ForwarderAnswer, ForwardingTask
from edge.forwarding.progress import Progress
from edge.forwarding.row_source import RowBatch, read_batch
from edge.log_lines import log_handler
from edge.rate_limited_log import RateLimitedHandler
from edge.servers.channel import read_messages
from edge.servers.state import StateUpdate, StationState

log = logging.getLogger(__name__)

POLL_S = 0.25
"""Interval in which the records are read while they have nothing new."""
RETRY_S = 2.0
"""Pause after an error of the peer."""
HANGS_S = 60.0
"""Time without a step after which the peer is said to hang."""
END_S = 1.5
"""Time for the last rows and state once the station has stopped."""


class Target(Protocol):
    """Peer to which rows are forwarded. Each method raises StationError where it does not work."""

    batch_rows: int
    """Parts in a batch."""

    def open(self) -> Progress:
        """Connect, and return what was forwarded before; called again after each error."""

    def send(self, batch: RowBatch) -> None:
        """Forward rows; when it returns, they and the progress are safe."""

    def tell(self, state: StationState) -> None:
        """Forward the latest state of the station."""

    def requested_changeovers(self) -> tuple[int, ...]:
        """Return the recipes that were requested since the last call."""

    def close(self) -> None:
        """Disconnect; the peer learns that the station has stopped."""


class Forwarder:
    """Forwards the records to one target until `stop`."""

    def __init__(
        self, target: Target, records: Path, retry_s: float = RETRY_S, clock: Callable[[], float] = monotonic
    ) -> None:
        """`retry_s`: pause after an error."""
        self._clock, self._stepped_at = clock, clock()
        self.problem = ""
        """Problem that stops the forwarding; empty without one."""
        self._target, self._records, self._retry_s = target, records, retry_s
        self._state: StationState | None = None
        self._stop = threading.Event()
        # A daemon: a peer that hangs must not keep the process from ending.
        self._thread = threading.Thread(target=self._run, name="forward", daemon=True)

    def start(self) -> None:
        """Begin."""
        self._thread.start()

    def take(self, state: StationState) -> ForwarderAnswer:
        """Take over the latest state; returns the answer for the station."""
        self._state = state
        problem = self.problem
        if self._clock() - self._stepped_at > HANGS_S:
            problem = problem or f"found no answer of the peer for {HANGS_S:g} s; check whether it hangs"
        return ForwarderAnswer(problem=problem, changeovers=self._target.requested_changeovers())

    def stop(self, wait_s: float = END_S) -> None:
        """Forward the rest for at most `wait_s` seconds, and end."""
        self._stop.set()
        self._thread.join(wait_s)

    def _run(self) -> None:
        while True:
            try:
                self._forward(self._target.open())
            except StationError as error:
                self._failed(str(error))
            except Exception as error:  # the outermost loop: tried again
                log.exception("forwarding failed")
                self._failed(f"{type(error).__name__}: {error}")
            if self._stop.is_set():
                break
            self._stop.wait(self._retry_s)
        self._close()

    def _forward(self, progress: Progress) -> None:
        told: StationState | None = None
        while True:
            self._stepped_at = self._clock()
            stopping = self._stop.is_set()  # before the last batch is read
            batch = read_batch(self._records, progress, self._target.batch_rows)
            self._target.send(batch)
            progress, self.problem = batch.progress, ""
            if self._state is not None and self._state is not told:
                told = self._state
                self._target.tell(told)
            if batch.complete and (stopping or self._stop.wait(POLL_S)) and stopping:
                return

    def _failed(self, problem: str) -> None:
        self.problem = problem  # the station logs it

    def _close(self) -> None:
        try:
            self._target.close()
        except StationError as error:
            log.warning("%s", error)


def serve(make_target: Callable[[ForwardingTask], Target]) -> None:
    """Forward until standard input, the pipe from the station, ends; each update is answered on standard output."""
    handler = log_handler(journal="JOURNAL_STREAM" in os.environ)
    logging.basicConfig(level=logging.INFO, handlers=[RateLimitedHandler(handler)])
    messages = read_messages(sys.stdin.buffer, ForwardingTask, StateUpdate)
    task, _ = next(messages, (None, b""))
    if not isinstance(task, ForwardingTask):
        return  # the station has ended already
    forwarder = Forwarder(make_target(task), task.records)
    forwarder.start()
    for update, _ in messages:
        if isinstance(update, StateUpdate):
            print(forwarder.take(update.station).model_dump_json(), flush=True)
    forwarder.stop()
