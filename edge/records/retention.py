"""Which pictures go when there are too many: old ones, good ones first, rejects last."""

import errno
import os
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from datetime import date, timedelta
from pathlib import Path
from shutil import disk_usage

RANKS = ("good", "unsure", "reject")
"""Folders within a day's folder, in the order in which their pictures go."""
DRAFT = ".part"
"""Ending of a file that is being written."""


def free_bytes(folder: Path) -> int:
    """Bytes that are free on the disk of a folder that exists."""
    return disk_usage(folder).free


class Retention:
    """The pictures of a folder, `2026-05-04/reject/name.png`, held to an age, a size, and a rest of the disk.

    It looks into the folder once, when it is made; from then on it is told of each new picture. Files that are not
    named like this are none of its business. Used by one thread.
    """

    def __init__(
        self,
        folder: Path,
        keep_days: int,
        keep_bytes: float,
        leave_free_bytes: float = 0,
        free: Callable[[Path], int] = free_bytes,
    ) -> None:
        self.bytes = 0
        """What the pictures take up."""
        self.removed = 0
        self._folder, self._keep_days, self._keep_bytes = folder, keep_days, keep_bytes
        self._leave_free_bytes, self._free = leave_free_bytes, free
        self._files: dict[str, deque[tuple[str, int]]] = {rank: deque() for rank in RANKS}
        for path in sorted(folder.glob("????-??-??/*/*.png*")):
            self._find(path)

    def add(self, name: str, size: int) -> None:
        """Take note of a new picture; `name` is its path in the folder."""
        self._files[name.split("/")[1]].append((name, size))
        self.bytes += size

    def make_room(self, today: date) -> None:
        """Remove what is too old or too much. Raises OSError if the disk is too full all the same, or refuses."""
        oldest = (today - timedelta(days=self._keep_days)).isoformat()
        for rank, files in self._files.items():
            while files and files[0][0] < oldest:
                self._remove(rank)
        missing = max(self.bytes - self._keep_bytes, self._leave_free_bytes - self._free(self._folder))
        for rank, files in self._files.items():
            while files and missing > 0:
                missing -= self._remove(rank)
        if self._free(self._folder) < self._leave_free_bytes:
            asked = f"{self._leave_free_bytes / 2**30:g} GiB are to be left free"
            raise OSError(errno.ENOSPC, f"{os.strerror(errno.ENOSPC)}: {asked}", str(self._folder))

    def _find(self, path: Path) -> None:
        name = path.relative_to(self._folder).as_posix()
        with suppress(OSError):  # it may be gone by now, or not ours to remove
            if path.name.endswith(DRAFT):
                path.unlink()
            elif name.split("/")[1] in RANKS:
                self.add(name, path.stat().st_size)

    def _remove(self, rank: str) -> int:
        name, size = self._files[rank][0]
        path = self._folder / name
        path.unlink(missing_ok=True)
        self._files[rank].popleft()
        self.bytes -= size
        self.removed += 1
        with suppress(OSError):  # not empty yet
            path.parent.rmdir()
            path.parent.parent.rmdir()
        return size
