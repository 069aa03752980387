"""Framing of the pipe from station to server: a JSON head with kind and size, the message as JSON, binary content."""

import json
import os
import select
from collections.abc import Callable, Iterator
from typing import IO, Protocol, TypeVar

from pydantic import BaseModel

from edge.errors import ServerError

SLICE_S = 0.25
"""Longest time in which a waiting pipe does not look whether the station stops."""


Kind = TypeVar("Kind", bound=BaseModel)


class Writable(Protocol):
    """Target to which a message is written."""

    def write(self, data: bytes, /) -> object:
        """Write all of it."""

    def flush(self) -> object:
        """Let nothing wait."""


class ServerPipe:
    """Pipes to and from a server's process, which give a hanging process up.

    Raises OSError if the process has ended, ServerError if it hangs.
    """

    def __init__(self, to_server: IO[bytes], answers: IO[bytes], hang_s: float, stopped: Callable[[], bool]) -> None:
        """`hang_s`: longest wait for the process. `stopped`: whether the station stops, which ends a wait."""
        self._out, self._in = to_server.fileno(), answers.fileno()
        os.set_blocking(self._out, False)
        self._hang_s, self._stopped = hang_s, stopped
        self._answered = b""

    def write(self, data: bytes) -> None:
        """Write all of it."""
        left = memoryview(data)
        while left:
            self._wait([], [self._out])
            left = left[os.write(self._out, left) :]

    def flush(self) -> None:
        """Nothing waits."""

    def answer(self) -> str:
        """Wait for one line of the process."""
        while b"\n" not in self._answered:
            self._wait([self._in], [])
            data = os.read(self._in, 4096)
            if not data:
                raise BrokenPipeError("the process has ended")
            self._answered += data
        line, _, self._answered = self._answered.partition(b"\n")
        return line.decode("utf-8", "replace")

    def _wait(self, readable: list[int], writable: list[int]) -> None:
        for _ in range(max(1, round(self._hang_s / SLICE_S))):
            if any(select.select(readable, writable, [], min(SLICE_S, self._hang_s))):
                return
            if self._stopped():
                break
        raise ServerError(f"its process has not answered for {self._hang_s:g} s; it is ended")


def write_message(pipe: Writable, message: BaseModel, content: bytes = b"") -> None:
    """Write one message; `content` is binary, such as a JPEG. Raises OSError if the pipe is closed."""
    head = {"kind": type(message).__name__, "bytes": len(content)}
    pipe.write(json.dumps(head).encode() + b"\n" + message.model_dump_json().encode() + b"\n" + content)
    pipe.flush()


def read_messages(pipe: IO[bytes], *kinds: type[Kind]) -> Iterator[tuple[Kind, bytes]]:
    """Yield each message of these kinds with its content until the pipe ends; drops an incomplete last message.

    Raises ServerError for bytes that are no message.
    """
    by_name = {kind.__name__: kind for kind in kinds}
    while head := pipe.readline():
        line = pipe.readline()
        if not line.endswith(b"\n"):
            return
        try:
            described = json.loads(head)
            message, size = by_name[described["kind"]].model_validate_json(line), int(described["bytes"])
        except (ValueError, KeyError, TypeError, OverflowError, RecursionError) as error:
            raise ServerError(f"pipe: found {head[:80]!r} ({type(error).__name__}), expected a message") from None
        content = pipe.read(max(0, size))
        if len(content) == size:
            yield message, content
