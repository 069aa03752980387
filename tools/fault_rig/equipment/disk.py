"""Small disk that can be filled and frozen: ext4 in a file, mounted for the duration of a test."""

import fcntl
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

FREEZE, THAW = 0xC0045877, 0xC0045878
"""FIFREEZE and FITHAW of linux/fs.h; between the two every write blocks."""
MIB = 2**20


class Disk:
    """A mounted disk that can be filled and frozen."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._ballast = folder / "ballast"

    def fill(self) -> None:
        """Fill the disk; call it repeatedly, because other files may be deleted in the meantime."""
        free = os.statvfs(self._folder)
        size = free.f_bavail * free.f_frsize
        with self._ballast.open("ab") as ballast:
            while size >= free.f_frsize:
                try:
                    os.posix_fallocate(ballast.fileno(), os.fstat(ballast.fileno()).st_size, size)
                except OSError:  # the disk needs some of it for its own books
                    size //= 2
                else:
                    size = 0

    def empty(self) -> None:
        """Free the space."""
        self._ballast.unlink(missing_ok=True)

    def freeze(self) -> None:
        """Block every write."""
        self._control(FREEZE)

    def thaw(self) -> None:
        """Unblock the writes; no effect if they are not blocked."""
        with suppress(OSError):
            self._control(THAW)

    def _control(self, command: int) -> None:
        descriptor = os.open(self._folder, os.O_RDONLY)
        try:
            fcntl.ioctl(descriptor, command, 0)
        finally:
            os.close(descriptor)


@contextmanager
def small_disk(folder: Path, size_mib: int) -> Iterator[Disk]:
    """Mount a new disk of that size at `folder` until the block ends; needs root."""
    if os.geteuid() != 0:
        sys.exit(
            "fault rig: found no right to mount a small disk, which the rig fills, expected root; start it with sudo"
        )
    image = folder.with_suffix(".ext4")
    with image.open("wb") as file:
        file.truncate(size_mib * MIB)
    folder.mkdir()
    _run("mkfs.ext4", "-q", "-F", "-m", "0", str(image))
    _run("mount", "-o", "loop", str(image), str(folder))
    disk = Disk(folder)
    try:
        yield disk
    finally:
        disk.thaw()
        _run("umount", "--lazy", str(folder))
        image.unlink()


def _run(*command: str) -> None:
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode:
        sys.exit(f"fault rig: {' '.join(command)}: {done.stderr.strip()}")
