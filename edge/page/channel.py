"""The pipe from station to page: each message a line of JSON with the size of what follows it, then that."""

import json
from collections.abc import Iterator
from typing import IO

from edge.page.state import PageMessage, StateUpdate, StationInfo, ViewPicture

KINDS: dict[str, type[PageMessage]] = {kind.__name__: kind for kind in (StationInfo, StateUpdate, ViewPicture)}


def write_message(pipe: IO[bytes], message: PageMessage, content: bytes = b"") -> None:
    """Write one message; `content` belongs to `ViewPicture`. Raises OSError where nobody reads any more."""
    head = {"kind": type(message).__name__, "bytes": len(content)}
    pipe.write(json.dumps(head).encode() + b"\n" + message.model_dump_json().encode() + b"\n" + content)
    pipe.flush()


def read_messages(pipe: IO[bytes]) -> Iterator[tuple[PageMessage, bytes]]:
    """Give each message with its content until the pipe ends; a message that was cut off is not given."""
    while head := pipe.readline():
        line = pipe.readline()
        if not line.endswith(b"\n"):
            return
        described = json.loads(head)
        content = pipe.read(described["bytes"])
        if len(content) == described["bytes"]:
            yield KINDS[described["kind"]].model_validate_json(line), content
