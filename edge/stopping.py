"""Last resort of a station that is told to stop: the process ends, whatever hangs in a vendor's library."""

import faulthandler
import logging
import os
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

log = logging.getLogger(__name__)

STOP_S = 20.0
"""Longest time from the order to stop to the end; systemd kills after 30 s (TimeoutStopSec), without a word."""
GAVE_UP = 75
"""Exit status of a process that had to be ended (EX_TEMPFAIL of sysexits.h)."""


def end_process(hanging: str) -> None:
    """End the process without its exit handlers, which would wait for the threads that hang."""
    try:
        log.error("stopping: %s did not end within %g s; the process ends without them", hanging, STOP_S)
        faulthandler.dump_traceback(sys.stderr)
        logging.shutdown()
    finally:  # also where standard error is closed
        os._exit(GAVE_UP)


@contextmanager
def ends_within(seconds: float = STOP_S, end: Callable[[str], None] = end_process) -> Iterator[Callable[[], None]]:
    """Give the function that begins the time to stop; `end` is called if the block has not ended by then.

    end: called in a thread of its own, with the names of the threads that are left.
    """
    timer = threading.Timer(seconds, lambda: end(_alive()))
    timer.daemon = True
    timer.name = "last resort"
    try:
        yield timer.start
    finally:
        timer.cancel()


def _alive() -> str:
    own = threading.current_thread()
    return ", ".join(sorted(thread.name for thread in threading.enumerate() if thread is not own))
