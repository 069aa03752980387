"""Word to systemd: ready, alive, stopping (sd_notify(3)); silent where nobody listens."""

import os
import socket


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
