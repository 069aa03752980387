"""Notifications to systemd by sd_notify(3): ready, watchdog, stopping. No effect without a supervisor."""

import os
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager


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
def watchdog_fed(alive: Callable[[], bool], every_s: float) -> Iterator[None]:
    """Feed the supervisor's watchdog from a separate thread, while `alive` returns true."""
    ended = threading.Event()

    def feed() -> None:
        while not ended.wait(every_s):
            if alive():
                notify("WATCHDOG=1")

    thread = threading.Thread(target=feed, name="watchdog")
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()
