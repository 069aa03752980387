"""Releases: bundles in one folder, and the link `current` that the line opens.

`bundle = "releases/current"` in line.toml is a link to one of the folders beside it, each named by the bundle's id. A
release copies the bundle there, checks it on this machine, and turns the link in one step; a running station takes over
what the link points to, between two parts. A process that is killed leaves the old bundle in force or the new one.
"""

import fcntl
import os
import shutil
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass, fields, replace
from datetime import datetime, timezone
from pathlib import Path
from typing import Literal

from bundle import Bundle, BundleDamaged, load_bundle, sync_folder
from edge.config.line import Line
from edge.errors import ReleaseBusy, ReleaseError
from edge.records.database import advice, connect, connect_existing, reading, version_of
from edge.release.signature import SUFFIX, check_signature, signature_path

KEPT = 5
"""Releases that stay in the folder, besides the one in force and the one before."""

Action = Literal["release", "rollback"]
Open = Callable[[Bundle], None]
"""Opens a bundle on the line's engine, which compares its golden frames, and closes it; raises EngineError."""


@dataclass(frozen=True)
class ReleaseRow:
    """One switch of a line's bundle, as its row in the records has it."""

    number: int
    time: str
    """UTC, ISO 8601."""
    who: str
    action: Action
    before: str
    """Id of the bundle before; empty if there was none."""
    after: str
    note: str
    trial: str = ""
    """Result of the bundle's trial, as JSON; empty for a rollback."""


class ReleaseFolder:
    """The folder of releases with its link."""

    def __init__(self, link: Path) -> None:
        """`link`: the `bundle` of line.toml. Raises ReleaseError if it is a folder of its own."""
        self.link, self.folder = link, link.parent
        if link.exists() and not link.is_symlink():
            raise ReleaseError(
                f"{link}: found a folder, expected a link made by a release, or nothing; "
                'name one in line.toml, such as bundle = "releases/current"'
            )

    @property
    def current(self) -> str:
        """Name of the folder in force; empty if there is none."""
        return os.readlink(self.link) if self.link.is_symlink() else ""

    @contextmanager
    def alone(self, name: str = ".lock") -> Iterator[None]:
        """Hold a lock of this folder for the time of the block; raises ReleaseBusy where another process has it."""
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            lock = os.open(self.folder / name, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
        except OSError as error:
            raise ReleaseError(f"{self.folder}: cannot be written ({error.strerror}); check the folder") from None
        try:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                raise ReleaseBusy(
                    f"{self.folder}: found another release, rollback or pull at work; try again once it has ended"
                ) from None
            yield
        finally:
            os.close(lock)

    def add(self, source: Path, bundle_id: str) -> Path:
        """Copy a bundle and its signature into the folder, each complete or not at all; returns the copy.

        Raises BundleError if a copy that is there already is damaged, OSError if the disk refuses.
        """
        target = self.folder / bundle_id
        self.folder.mkdir(parents=True, exist_ok=True)
        signature = signature_path(source)
        if signature.is_file():
            draft = self.folder / f".{bundle_id}{SUFFIX}.part"
            shutil.copyfile(signature, draft)
            draft.replace(self.folder / f"{bundle_id}{SUFFIX}")
        if not target.is_dir():
            draft = self.folder / f".{bundle_id}.part"
            shutil.rmtree(draft, ignore_errors=True)
            shutil.copytree(source.resolve(), draft)
            for path in (*draft.rglob("*"), draft):
                _flush(path)
            draft.rename(target)
            sync_folder(self.folder)
        return target

    def turn(self, bundle_id: str) -> None:
        """Point the link to a release, in one step that is on disk when this returns."""
        draft = self.folder / f".{self.link.name}.part"
        draft.unlink(missing_ok=True)
        draft.symlink_to(bundle_id, target_is_directory=True)
        draft.replace(self.link)
        sync_folder(self.folder)

    def prune(self, wanted: set[str], kept: int = KEPT) -> None:
        """Remove the oldest releases beyond `kept`, but none of `wanted`."""
        others = [path for path in self.folder.iterdir() if _is_id(path.name) and path.name not in wanted]
        for path in sorted(others, key=lambda path: path.stat().st_mtime, reverse=True)[kept:]:
            shutil.rmtree(path)
            path.with_name(path.name + SUFFIX).unlink(missing_ok=True)


def release(line: Line, source: Path, who: str, note: str, open_on_engine: Open, trial: str = "") -> ReleaseRow:
    """Release a bundle to a line: verify, copy, open on this machine, switch, and note it in the records.

    Raises BundleError, ReleaseError, StationError; the bundle in force is then as it was.
    """
    folder = ReleaseFolder(line.bundle)
    _check_keys(line, source)
    bundle_id = load_bundle(source).id
    with folder.alone():
        if bundle_id == folder.current:
            raise ReleaseError(f"{source}: found the bundle that is in force already, {bundle_id[:12]}")
        try:
            copy = folder.add(source, bundle_id)
        except OSError as error:
            problem = f"the bundle was not copied ({error.strerror}); free some space"
            raise ReleaseError(f"{folder.folder}: {problem}") from None
        row = ReleaseRow(0, "", who, "release", "", copy.name, note, trial)
        return _switched(line, folder, copy, row, open_on_engine)


def roll_back(line: Line, who: str, note: str, open_on_engine: Open) -> ReleaseRow:
    """Switch back to the bundle that was in force before the latest switch to the current one.

    Raises ReleaseError if there is none, and as `release`.
    """
    folder = ReleaseFolder(line.bundle)
    with folder.alone():
        current = folder.current
        before = next((row.before for row in reversed(history(line.records)) if row.after == current), "")
        if not before or not (folder.folder / before).is_dir():
            raise ReleaseError(
                f"{folder.link}: found no bundle before {current[:12] or 'none'} in {folder.folder}, expected one; "
                "release the bundle that is wanted"
            )
        row = ReleaseRow(0, "", who, "rollback", current, before, note)
        return _switched(line, folder, folder.folder / before, row, open_on_engine)


def history(records: Path) -> list[ReleaseRow]:
    """All switches of a line, the latest last; empty without records. Raises RecordsError."""
    if not records.is_file():
        return []
    with reading(records) as connection:
        version = version_of(connection)
        columns = "number, time, who, action, before, after, note" + (", trial" if version >= 9 else "")
        query = f"SELECT {columns} FROM releases ORDER BY number"
        return [ReleaseRow(*row) for row in connection.execute(query)] if version >= 6 else []


def check_on_record(line: Line, bundle_id: str) -> None:
    """Refuse a bundle that no release has brought to a line with signatures; raises ReleaseError, RecordsError.

    A release that was killed between its row and its switch has left the bundle before.
    """
    rows = history(line.records) if line.release is not None else []
    if rows and bundle_id not in (rows[-1].before, rows[-1].after):
        raise ReleaseError(
            f"{line.bundle}: found bundle {bundle_id[:12]}, expected {rows[-1].after[:12]} of {rows[-1].action} "
            f"{rows[-1].number} by {rows[-1].who}; bring it to the line by `edge-inspect release`"
        )


def _switched(line: Line, folder: ReleaseFolder, copy: Path, row: ReleaseRow, open_on_engine: Open) -> ReleaseRow:
    _check_keys(line, copy)
    bundle = load_bundle(copy)
    if bundle.id != copy.name:
        raise BundleDamaged(f"{copy}: found another bundle, {bundle.id[:12]}; remove this folder, then release again")
    open_on_engine(bundle)
    row = _noted(line.records, replace(row, before=folder.current))
    folder.turn(copy.name)
    folder.prune({row.before, copy.name})
    return row


def _check_keys(line: Line, folder: Path) -> None:
    if line.release is not None:
        check_signature(folder, line.release.keys)


def _noted(records: Path, row: ReleaseRow) -> ReleaseRow:
    """Add the row before the switch: a switch without a row must not be, a row without a switch is seen by the link."""
    row = replace(row, time=datetime.now(timezone.utc).isoformat(timespec="milliseconds"))
    columns = [field.name for field in fields(row) if field.name != "number"]
    statement = f"INSERT INTO releases ({', '.join(columns)}) VALUES ({', '.join('?' * len(columns))})"
    values = [getattr(row, name) for name in columns]
    try:
        with closing(connect_existing(records) if records.is_file() else connect(records)) as connection:
            return replace(row, number=connection.execute(statement, values).lastrowid or 0)
    except UnicodeEncodeError:
        raise ReleaseError("found a name or note that is no Unicode text; write it again") from None
    except sqlite3.Error as error:
        raise ReleaseError(f"records {records}: the {row.action} was not noted ({error}); {advice(error)}") from None


def _is_id(name: str) -> bool:
    return len(name) == 64 and all(character in "0123456789abcdef" for character in name)


def _flush(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
