"""Word to systemd: ready, alive, stopping (sd_notify(3)); silent where nobody listens."""

import os
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager


def notify(state: str) -> None:
    """Send one state, such as `READY=1`, to the supervisor that started us, if it asked for it."""
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
    """Tell the supervisor's watchdog that we live, from a thread of its own, as long as `alive` says so."""
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
