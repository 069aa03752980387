"""Retention of pictures by age, size and free disk space: old days first, good parts before rejects."""

import errno
import os
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from datetime import date, timedelta
from pathlib import Path
from shutil import disk_usage
from time import monotonic

OVERLAYS = "overlays"
"""Folder of the pictures with outlined defects, apart from the frames: they are no training images."""
DRAWN = ".jpg"
"""Suffix, after the frame's name, of its overlay; none where an earlier version has written it, as PNG."""
BLOBS = ".json"
"""Suffix, after the frame's name, of the outlines that are drawn in its overlay."""
RANKS = ("good", "unsure", "reject")
"""Folders of a day, in order of deletion."""
AGE_EVERY_S = 3600.0
"""One day's pictures go by their age in this time, and none before the first has passed: a wall clock that is wrong for
a moment costs no picture, one that stays wrong costs one day's an hour."""
DRAFT = ".part"
"""Suffix of an incomplete file."""


def free_bytes(folder: Path) -> int:
    """Return the free bytes of the disk of an existing folder."""
    return disk_usage(folder).free


class Retention:
    """Limits the pictures of a folder, `2026-05-04/reject/name.png`, by age, total size and free disk space.

    Overlays, `overlays/2026-05-04/reject/name.png.jpg`, count as pictures of their day and rank. The folder is scanned
    once, on construction; each new picture is registered with `add`. Other files are ignored. Used by one thread.
    """

    def __init__(
        self,
        folder: Path,
        keep_days: int,
        keep_bytes: float,
        leave_free_bytes: float = 0,
        free: Callable[[Path], int] = free_bytes,
        clock: Callable[[], float] = monotonic,
        removed: Callable[[str], None] = lambda _: None,
    ) -> None:
        """removed: called with the path in the folder of each picture that has been removed, overlays left out."""
        self.bytes = 0
        """Total size of the pictures."""
        self.removed = 0
        self._folder, self._keep_days, self._keep_bytes = folder, keep_days, keep_bytes
        self._leave_free_bytes, self._free, self._clock = leave_free_bytes, free, clock
        self._tell_removed = removed
        self._age_at = clock() + AGE_EVERY_S
        self._files: dict[str, deque[tuple[str, int]]] = {rank: deque() for rank in RANKS}
        found = [path for root in (folder, folder / OVERLAYS) for path in root.glob("????-??-??/*/*.png*")]
        for path in sorted(found, key=lambda path: path.parts[-3:]):
            self._find(path)

    def add(self, name: str, size: int) -> None:
        """Register a new picture; `name` is its path in the folder."""
        self._files[name.split("/")[-2]].append((name, size))
        self.bytes += size

    def make_room(self, today: date) -> None:
        """Remove pictures beyond the limits. Raises OSError if the disk is still too full, or refuses."""
        if self._clock() >= self._age_at:
            self._age_at = self._clock() + AGE_EVERY_S
            self._remove_oldest_day((today - timedelta(days=self._keep_days)).isoformat())
        missing = max(self.bytes - self._keep_bytes, self._leave_free_bytes - self._free(self._folder))
        for rank, files in self._files.items():
            while files and missing > 0:
                missing -= self._remove(rank, files[0])
        if self._free(self._folder) < self._leave_free_bytes:
            asked = f"{self._leave_free_bytes / 2**30:g} GiB are to be left free"
            raise OSError(errno.ENOSPC, f"{os.strerror(errno.ENOSPC)}: {asked}", str(self._folder))

    def _find(self, path: Path) -> None:
        name = path.relative_to(self._folder).as_posix()
        with suppress(OSError):  # already removed, or owned by another user
            if path.name.endswith(DRAFT):
                path.unlink()
            elif path.parent.name in RANKS:
                self.add(name, path.stat().st_size)

    def _remove_oldest_day(self, before: str) -> None:
        """Remove the pictures of the oldest day, if it is earlier than this one.

        The days are out of order where the wall clock was wrong.
        """
        day = min((_day(file) for files in self._files.values() for file in files), default=before)
        for rank, files in self._files.items() if day < before else ():
            for file in [file for file in files if _day(file) == day]:
                self._remove(rank, file)

    def _remove(self, rank: str, file: tuple[str, int]) -> int:
        name, size = file
        path = self._folder / name
        path.unlink(missing_ok=True)
        self._files[rank].remove(file)  # fast: it is one of the first
        self.bytes -= size
        self.removed += 1
        if not name.startswith(f"{OVERLAYS}/"):
            self._tell_removed(name)
        with suppress(OSError):  # not empty yet
            path.parent.rmdir()
            path.parent.parent.rmdir()
        return size


def _day(file: tuple[str, int]) -> str:
    return file[0].split("/")[-3]
