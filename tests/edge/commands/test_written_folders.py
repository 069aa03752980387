"""A station writes only where its systemd unit allows it."""

import os
import re
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import unquote, urlsplit

from edge.commands.systemd_unit import unit_text
from edge.monitoring.operator_requests import pause, resume
from edge.review.marks import Mark, MarkedDefect, add_mark
from tests.conftest import grey_frame
from tests.edge.running_line import Run

CHANGES = {"os.mkdir": 0, "os.remove": 0, "os.rename": 1, "os.rmdir": 0, "os.truncate": 0, "os.symlink": 1}
"""Audit event -> position of the path that it changes."""


class WrittenPaths:
    """Paths that this process changes while it listens; an audit hook stays for good."""

    def __init__(self) -> None:
        self.paths: set[str] | None = None
        sys.addaudithook(self._hear)

    def _hear(self, event: str, arguments: tuple[object, ...]) -> None:
        if self.paths is None:
            return
        if event == "open":
            path, _, flags = arguments
            if isinstance(path, (str, os.PathLike)) and isinstance(flags, int) and flags & (os.O_WRONLY | os.O_RDWR):
                self.paths.add(str(path))
        elif event == "sqlite3.connect":
            uri = urlsplit(os.fsdecode(arguments[0]))  # bytes on Python 3.10
            if uri.query != "mode=ro":
                self.paths.add(unquote(uri.path))
        elif event in CHANGES and not isinstance(arguments[CHANGES[event]], int):  # open files are known already
            self.paths.add(str(arguments[CHANGES[event]]))


WRITTEN = WrittenPaths()


@contextmanager
def written() -> Iterator[set[str]]:
    """Collect the paths that are changed in a `with` block."""
    WRITTEN.paths = found = set()
    try:
        yield found
    finally:
        WRITTEN.paths = None


def test_a_station_writes_only_where_its_unit_allows_it(run: Run, tmp_path: Path) -> None:
    records, pictures = tmp_path / "rows" / "line.sqlite", tmp_path / "kept"
    with written() as paths:
        with run([grey_frame(255)], records=str(records), pictures={"folder": str(pictures)}, page={}) as line:
            line.verdicts(1, 2)
            pause(records, "Ada", "lamp")
            line.verdicts(3)
            resume(records, "Ada")
            add_mark(records, Mark(1, "defective", "Ada", (MarkedDefect("camera", "Bright"),)))
        left = set(paths)
    allowed = re.findall(r'ReadWritePaths="-(.*)"', unit_text(line.path, "inspector"))
    others = {path for path in left if not path.startswith((*allowed, str(line.path)))}

    assert {str(records), f"{records}.lock"} & left, left
    assert any(path.startswith(str(pictures)) for path in left)
    assert others == set()
