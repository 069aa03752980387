"""Waiting for what other threads and processes do, ports for servers, and a peer that says nothing."""

import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest

PATIENCE_S = 60.0


def free_port() -> int:
    """A port that was free a moment ago, for servers that choose none themselves."""
    with socket.create_server(("127.0.0.1", 0)) as opened:
        return int(opened.getsockname()[1])


@contextmanager
def silent_peer() -> Iterator[int]:
    """A port that accepts connections and says nothing; yields it."""
    with socket.create_server(("127.0.0.1", 0), backlog=64) as opened:
        yield int(opened.getsockname()[1])


def wait_for(condition: Callable[[], object], words: str = "it never came true") -> None:
    """Look again and again until something is true."""
    for _ in range(round(PATIENCE_S / 0.02)):
        if condition():
            return
        threading.Event().wait(0.02)
    pytest.fail(words)
