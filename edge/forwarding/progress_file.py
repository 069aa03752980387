"""Progress of a forwarder whose peer keeps none, in a file beside the records."""

import fcntl
import os
from pathlib import Path

from pydantic import ValidationError

from bundle import os_problem
from bundle.files import write_whole
from edge.errors import ServerError
from edge.forwarding.progress import Progress


class ProgressFile:
    """The progress beside the records, such as `NAME.mqtt.json`, locked for one writer."""

    def __init__(self, records: Path, table: str, station: str) -> None:
        """`table`: of the peer in line.toml."""
        self.path = records.with_name(f"{records.stem}.{table}.json")
        self._table = table
        self._station = station
        self._lock: int | None = None
        self._written: Progress | None = None

    def read(self) -> Progress:
        """Lock and read it; begins where there is none, or one of another station name. Raises ServerError."""
        try:
            self._take_lock()
            text = self.path.read_text(encoding="utf-8") if self.path.exists() else ""
        except OSError as error:
            raise ServerError(f"{self.path}: {os_problem(error)}") from None
        if not text:
            return Progress(station=self._station)
        try:
            found = Progress.model_validate_json(text)
        except ValidationError:
            raise ServerError(
                f"{self.path}: found no progress of [{self._table}]; restore the file, or remove it, after which "
                "every row is sent again"
            ) from None
        return found if found.station == self._station else Progress(station=self._station)

    def write(self, progress: Progress) -> None:
        """Replace it if it has changed; raises ServerError."""
        if progress == self._written:
            return
        try:
            write_whole(self.path, progress.model_dump_json())
        except OSError as error:
            raise ServerError(f"{self.path}: cannot be written ({error.strerror}); rows may be sent again") from None
        self._written = progress

    def close(self) -> None:
        """Give up the lock."""
        if self._lock is not None:
            os.close(self._lock)
            self._lock = None

    def _take_lock(self) -> None:
        if self._lock is not None:
            return
        place = self.path.with_name(f"{self.path.name}.lock")
        opened = os.open(place, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
        try:
            fcntl.flock(opened, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            os.close(opened)
            raise ServerError(
                f"{place}: found it locked by another process, expected one process of [{self._table}] a station"
            ) from None
        self._lock = opened
