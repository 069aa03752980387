"""Child process that formats chunks of a table as CSV while its parent formats others.

SQLite's printf takes most of the time of an export, and threads of one process wait for each other at SQLite's count of
its memory. `python -m edge.records.csv_process` is the child. It reads its task as one line of JSON: database, SQL of
the view `exported`, SQL of a chunk, first and last key of each chunk. It answers each chunk with one line of JSON, the
number of rows, of bytes and an error, and then the bytes. It ends by SIGPIPE once its parent is gone.
"""

import fcntl
import json
import signal
import sqlite3
import sys
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import IO

from edge.errors import RecordsError
from edge.module_process import WaitingProcess
from edge.records.database import reading

_PIPE_BYTES = 2**20
"""Linux's limit for ordinary users, /proc/sys/fs/pipe-max-size; about one chunk, so that the child begins the next."""

Span = tuple[int, int]
"""First and last key of a chunk."""


def format_chunk(connection: sqlite3.Connection, query: str, span: Span) -> tuple[int, bytes]:
    """Return the number of rows of a chunk and their lines in UTF-8; query: SQL of both."""
    rows, lines = connection.execute(query, span).fetchone()
    return rows, lines or b""


class CsvProcess:
    """A child process that formats chunks in the order of `spans`; owned by its parent, which must close it."""

    def __init__(self, records: Path, view: str, query: str, spans: Sequence[Span]) -> None:
        """Start it; raises OSError."""
        self._records = records
        self.child = WaitingProcess(__name__)
        with suppress(OSError):  # refused to users who have many pipes; the child waits a little more often then
            fcntl.fcntl(self._output, fcntl.F_SETPIPE_SZ, _PIPE_BYTES)
        self.child.say(json.dumps([str(records.absolute()), view, query, spans]))

    def next_chunk(self) -> tuple[int, bytes]:
        """Return the number of rows of the next chunk and their lines; raises RecordsError."""
        header = self._output.readline()
        if not header.endswith(b"\n"):
            raise self._ended_early()
        rows, size, problem = json.loads(header)
        if problem:
            raise RecordsError(problem)
        text = self._output.read(size)
        if len(text) < size:
            raise self._ended_early()
        return rows, text

    def _ended_early(self) -> RecordsError:
        return RecordsError(
            f"records {self._records}: found the second process of the export ended with status "
            f"{self.child.process.wait()}, expected all of its rows; free some memory, or try again"
        )

    def close(self) -> None:
        """End the child."""
        self.child.close()

    @property
    def _output(self) -> IO[bytes]:
        assert self.child.process.stdout is not None
        return self.child.process.stdout


def _run_child(task: str, output: IO[bytes]) -> None:
    if not task:
        return
    records, view, query, spans = json.loads(task)
    try:
        with reading(Path(records)) as connection:
            connection.execute(f"CREATE TEMP VIEW exported AS {view}")
            for first, last in spans:
                rows, text = format_chunk(connection, query, (first, last))
                output.write(json.dumps([rows, len(text), ""]).encode() + b"\n" + text)
                output.flush()
    except RecordsError as error:
        output.write(json.dumps([0, 0, str(error)]).encode() + b"\n")


if __name__ == "__main__":
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches the parent, which ends this process
    signal.signal(signal.SIGPIPE, signal.SIG_DFL)
    _run_child(sys.stdin.readline(), sys.stdout.buffer)
