"""Framing of the pipe from station to page: a JSON head with kind and size, the message as JSON, binary content."""

import json
from collections.abc import Iterator
from typing import IO

from edge.page.state import PageMessage, StateUpdate, StationInfo, ViewPicture

KINDS: dict[str, type[PageMessage]] = {kind.__name__: kind for kind in (StationInfo, StateUpdate, ViewPicture)}


def write_message(pipe: IO[bytes], message: PageMessage, content: bytes = b"") -> None:
    """Write one message; `content` is the JPEG of a `ViewPicture`. Raises OSError if the pipe is closed."""
    head = {"kind": type(message).__name__, "bytes": len(content)}
    pipe.write(json.dumps(head).encode() + b"\n" + message.model_dump_json().encode() + b"\n" + content)
    pipe.flush()


def read_messages(pipe: IO[bytes]) -> Iterator[tuple[PageMessage, bytes]]:
    """Yield each message with its content until the pipe ends; drops an incomplete last message."""
    while head := pipe.readline():
        line = pipe.readline()
        if not line.endswith(b"\n"):
            return
        described = json.loads(head)
        content = pipe.read(described["bytes"])
        if len(content) == described["bytes"]:
            yield KINDS[described["kind"]].model_validate_json(line), content
