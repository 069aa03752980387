"""Files on disk: atomic writing, and reading that is bounded and follows no links."""

import errno
import os
import secrets
import stat
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import partial
from pathlib import Path

from bundle.errors import BundleDamaged, BundleError


def write_whole(path: Path, content: bytes | str, mode: int = 0o666) -> None:
    """Replace a file in one step, with its content flushed to the disk before the name points to it.

    Text is written as UTF-8. Missing parent folders are made. On any error the old file is left as it was and no
    temporary file remains. `mode`: permissions of the file, less the umask's. Raises OSError with the name of the file.
    """
    data = content.encode() if isinstance(content, str) else content
    path.parent.mkdir(parents=True, exist_ok=True)
    with replacing(path) as draft, open(draft, "xb", opener=partial(os.open, mode=mode)) as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())
    sync_folder(path.parent)


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Yield a new name for a file that replaces `path` at the end of the block, or is removed after an error.

    OSError of the new file, and of a write to it, gets the name of `path`.
    """
    draft = path.with_name(f".{path.name}.{secrets.token_hex(4)}.part")
    try:
        yield draft
        draft.replace(path)
    except BaseException as error:
        with suppress(OSError):
            draft.unlink(missing_ok=True)
        if isinstance(error, OSError) and str(error.filename) in (str(None), str(draft)):
            error.filename, error.filename2 = str(path), None
        raise


def sync_folder(folder: Path) -> None:
    """Flush a folder's entries to the disk, so that a new name survives a power cut. Raises OSError."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def read_regular(folder: Path, name: str, most_bytes: int) -> bytes:
    """Read a regular file below a folder, `name` with forward slashes, without following links or waiting on pipes.

    Raises BundleDamaged for a missing or unreadable file, a link, a pipe or device, or more than `most_bytes`, and
    BundleError where the system has no memory to read it.
    """
    where = folder / name
    try:
        descriptor = _opened(folder, name)
    except FileNotFoundError:
        raise BundleDamaged(f"{where}: found no such file, expected one; check the path, or copy it again") from None
    except OSError as error:
        if error.errno == errno.ENOTDIR and folder.is_file():
            raise BundleDamaged(
                f"{folder}: found a file, expected the folder of a bundle; make one with `edge-export bundle best.pt`"
            ) from None
        if error.errno in (errno.ELOOP, errno.ENOTDIR):
            raise BundleDamaged(
                f"{where}: found a link or no folder on its path, expected a regular file; copy the bundle itself"
            ) from None
        raise unreadable(where, error, "copy the bundle again") from None
    with os.fdopen(descriptor, "rb") as file:
        found = os.fstat(descriptor)
        if not stat.S_ISREG(found.st_mode):
            raise BundleDamaged(f"{where}: found a pipe, device or folder, expected a regular file; copy it again")
        if found.st_size > most_bytes:
            raise BundleDamaged(f"{where}: found {found.st_size} bytes, expected at most {most_bytes}; do not use it")
        try:
            content = file.read(found.st_size + 1)
        except OSError as error:
            raise unreadable(where, error, "copy the bundle again") from None
    if len(content) != found.st_size:
        raise BundleDamaged(f"{where}: found another size than before, expected a file at rest; try again")
    return content


def unreadable(where: Path, error: OSError, advice: str) -> BundleError:
    """The error for a file or folder of a bundle that cannot be read: BundleDamaged, but not when memory runs out."""
    if error.errno == errno.ENOMEM:
        return BundleError(f"{where}: cannot be read ({error.strerror}); free some memory, then try again")
    return BundleDamaged(f"{where}: cannot be read ({error.strerror}); {advice}")


def _opened(folder: Path, name: str) -> int:
    """Open a file step by step, each step refusing a link; the folder itself may be one."""
    *parents, last = name.split("/")
    held = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        for parent in parents:
            below = os.open(parent, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=held)
            os.close(held)
            held = below
        return os.open(last, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC, dir_fd=held)
    finally:
        os.close(held)
