"""Users of a station's page: a JSON file with roles and password hashes, readable by its owner only."""

import fcntl
import json
import os
import stat
import unicodedata
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Literal

from pydantic import Field, ValidationError

from bundle import BundleError, FrozenModel, first_problem, os_problem, write_whole
from bundle.files import read_regular
from edge.errors import AccessError

Role = Literal["operator", "inspector", "engineer"]
MODE = 0o600
MOST_BYTES = 1_000_000
LONGEST_NAME = 60
"""Characters, as in every `who` of the records."""


class User(FrozenModel):
    """A person with a password."""

    role: Role
    password: str = Field(pattern=r"^\$argon2id\$v=19\$[\w=,+/$]+$", max_length=300)
    """Argon2id hash in the PHC string format."""


class _Content(FrozenModel):
    users: dict[str, User]


class UserFile:
    """The file of users; it is replaced in one step, and read again where it has changed."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._seen: tuple[tuple[int, ...], Mapping[str, User]] | None = None

    def users(self) -> Mapping[str, User]:
        """Users by name; raises AccessError for a file that is missing, readable by others, or no file of users."""
        signature = self._signature()
        if self._seen is None or self._seen[0] != signature:
            self._seen = signature, self._read()
        return self._seen[1]

    @contextmanager
    def changing(self) -> Iterator[dict[str, User]]:
        """Yield the users to be changed, an empty dict without a file, and write them; raises AccessError, OSError."""
        folder = os.open(self.path.parent, os.O_RDONLY | os.O_DIRECTORY)
        try:
            fcntl.flock(folder, fcntl.LOCK_EX)  # two changes at once must not lose one
            users = dict(self.users()) if self.path.exists() else {}
            yield users
            self._write(users)
        finally:
            os.close(folder)

    def _signature(self) -> tuple[int, ...]:
        try:
            found = self.path.stat()
        except OSError as error:
            raise AccessError(
                f"{os_problem(error)}; expected a file of users, which `edge-inspect user add` makes"
            ) from None
        if stat.S_IMODE(found.st_mode) & 0o077:
            mode = stat.S_IMODE(found.st_mode)
            raise AccessError(f"{self.path}: found permissions {mode:o}, expected {MODE:o}; chmod {MODE:o} {self.path}")
        return found.st_ino, found.st_size, found.st_mtime_ns, found.st_ctime_ns

    def _read(self) -> Mapping[str, User]:
        try:
            content = _Content.model_validate(json.loads(read_regular(self.path.parent, self.path.name, MOST_BYTES)))
        except ValidationError as error:
            raise AccessError(f"{self.path}: {first_problem(error)}; restore it, or remove it and add users") from None
        except BundleError as error:  # a link, a pipe, too many bytes, not allowed
            reason = str(error).removeprefix(f"{self.path}: ").partition(";")[0]
            raise AccessError(f"{self.path}: {reason}, as a file of users; run as the station's user") from None
        except (ValueError, RecursionError):
            raise AccessError(f"{self.path}: found no JSON, expected a file of users; restore it") from None
        return content.users

    def _write(self, users: Mapping[str, User]) -> None:
        text = _Content(users=dict(sorted(users.items()))).model_dump_json(indent=1)
        before = self.path.stat() if self.path.exists() else None
        write_whole(self.path, text + "\n", MODE)
        if before is not None and os.geteuid() == 0:  # a file that root has changed stays the station's
            os.chown(self.path, before.st_uid, before.st_gid)


def name_problem(name: str, known: Mapping[str, User]) -> str | None:
    """Say why a new user's name is refused; None for one that is accepted."""
    if not 1 <= len(name) <= LONGEST_NAME or not name.isprintable() or name != name.strip():
        return f"found the name {name!r}, expected 1 to {LONGEST_NAME} printable characters without spaces at the ends"
    if unicodedata.normalize("NFKC", name) != name:
        return f"found the name {name!r}, expected {unicodedata.normalize('NFKC', name)!r}: it looks the same"
    same = next((one for one in known if one.casefold() == name.casefold()), None)
    return None if same is None else f"found the name {name!r}, expected another one: there is the user {same!r}"


def add_user(file: UserFile, name: str, role: Role, make_hash: Callable[[], str]) -> None:
    """Add a user; raises AccessError."""
    with file.changing() as users:
        if problem := name_problem(name, users):
            raise AccessError(f"{file.path}: {problem}")
        users[name] = User(role=role, password=make_hash())


def change_user(file: UserFile, name: str, **changes: str) -> None:
    """Change role or password of a user, which ends the user's sessions; raises AccessError."""
    with file.changing() as users:
        known = _known(file, users, name)
        users[name] = User.model_validate({**known.model_dump(), **changes})


def remove_user(file: UserFile, name: str) -> None:
    """Remove a user, which ends the user's sessions; raises AccessError."""
    with file.changing() as users:
        _known(file, users, name)
        del users[name]


def _known(file: UserFile, users: Mapping[str, User], name: str) -> User:
    if name not in users:
        raise AccessError(f"{file.path}: found no user {name!r}, expected one of: {', '.join(users) or 'none yet'}")
    return users[name]
