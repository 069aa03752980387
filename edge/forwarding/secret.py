"""Passwords in files of their own, which only the station's user may read."""

from pathlib import Path

from edge.errors import ServerError

OTHERS = 0o007
"""Permission bits of users outside the owner and the group."""


def read_password(path: Path) -> str:
    """Return the first line of a file; raises ServerError, which never quotes its content."""
    try:
        if path.is_dir():
            raise ServerError(f"{path}: found a folder, expected a file with a password in its first line")
        if path.stat().st_mode & OTHERS:
            raise ServerError(f"{path}: found that every user may read or write it; chmod 640 {path}, or 600")
        lines = path.read_text(encoding="utf-8-sig").splitlines()
    except OSError as error:
        raise ServerError(f"{path}: cannot be read ({error.strerror}), expected a password in its first line") from None
    except UnicodeDecodeError:
        raise ServerError(f"{path}: found bytes that are no UTF-8, expected a password in its first line") from None
    if not lines or not lines[0]:
        raise ServerError(f"{path}: found no text, expected a password in its first line")
    return lines[0]
