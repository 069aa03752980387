"""Notifications to systemd by sd_notify(3): ready, watchdog, stopping. No effect without a supervisor."""

import os
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from edge.alarms import Alarms

WATCHDOG = "watchdog"
"""Name of the alarm for a supervisor that cannot be told that the station is alive."""


def notify(state: str) -> None:
    """Send a state, such as `READY=1`, to the supervisor; no effect if `NOTIFY_SOCKET` is not set."""
    address = os.environ.get("NOTIFY_SOCKET")
    if not address:
        return
    if address.startswith("@"):
        address = "\0" + address[1:]  # an abstract socket, unix(7)
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as supervisor:
        supervisor.connect(address)
        supervisor.send(state.encode())


@contextmanager
def watchdog_fed(alive: Callable[[], bool], every_s: float, alarms: Alarms) -> Iterator[None]:
    """Feed the supervisor's watchdog from a separate thread, while `alive` returns true.

    A failure is an alarm, and the next attempt follows: a supervisor that hears nothing for long restarts the station.
    """
    ended = threading.Event()

    def feed() -> None:
        while not ended.wait(every_s):
            try:
                if alive():
                    notify("WATCHDOG=1")
            except Exception as error:  # the outermost loop of the thread
                found = f"{os.environ.get('NOTIFY_SOCKET')}: cannot be fed ({type(error).__name__}: {error})"
                alarms.raise_(WATCHDOG, f"{found}; if that goes on, systemd restarts the station")
            else:
                alarms.clear(WATCHDOG)

    thread = threading.Thread(target=feed, name="watchdog")
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()
