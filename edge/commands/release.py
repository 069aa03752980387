"""`edge-inspect release`, `rollback` and `releases`: the bundle of a line, switched and switched back."""

import sys
from collections.abc import Iterator
from getpass import getpass, getuser
from pathlib import Path
from time import monotonic

import typer
from rich.table import Table
from rich.text import Text

from bundle import Bundle, load_bundle
from edge.access.audit import AccessLog
from edge.access.log_in import LogIn
from edge.access.users import UserFile
from edge.config.line import Line, load_line
from edge.errors import AccessError
from edge.release.releases import ReleaseFolder, ReleaseRow, history, release, roll_back
from edge.reports.trial import check_trial, trial_result
from edge.station import open_inspector

SHORT = 12
"""Characters of a bundle's id that are shown."""
TWICE = 2


def release_to(bundle: Path, line: Path, who: str, note: str, anyway: int = 0) -> Iterator[str]:
    """Release a bundle to a line; yields what was done. `anyway`: 2 for one that its trial does not speak for.

    Raises BundleError, StationError.
    """
    settings = load_line(line)
    who = _engineer(settings, who)
    current = ReleaseFolder(settings.bundle).current
    trial = trial_result(settings.records, load_bundle(bundle).id, current)
    if current and anyway < TWICE:
        check_trial(trial, settings.release.trial_parts if settings.release is not None else 0)
    attached = trial.to_json(anyway >= TWICE) if current else ""
    row = release(settings, bundle, who, note, lambda copy: _open(settings, copy), attached)
    yield f"trial: {trial}" if trial.parts else "trial: none beside the bundle in force"
    yield from _done(settings, row)


def roll_back_to(line: Path, who: str, note: str) -> Iterator[str]:
    """Switch a line back; yields what was done. Raises BundleError, StationError."""
    settings = load_line(line)
    who = _engineer(settings, who)
    yield from _done(settings, roll_back(settings, who, note, lambda copy: _open(settings, copy)))


def releases_table(line: Line) -> Table:
    """Tabulate the switches of a line's bundle. Raises RecordsError."""
    table = Table("time, UTC", "what", "who", "before", "after", "note")
    for row in history(line.records):
        texts = Text(row.who), row.before[:SHORT] or "-", row.after[:SHORT], Text(row.note)
        table.add_row(row.time[:19].replace("T", " "), row.action, *texts)
    return table


def _engineer(line: Line, who: str) -> str:
    """Return the name for the records: of an engineer who has given the password, where the line asks for one."""
    if line.release is None or not line.release.log_in or line.page is None or line.page.users is None:
        return who or getuser()
    name = who or typer.prompt("engineer")
    password = getpass("password: ") if sys.stdin.isatty() else sys.stdin.readline().rstrip("\r\n")
    user = LogIn(UserFile(line.page.users), AccessLog(line.records)).attempt(name, password, "")
    if user is None or user.role != "engineer":
        raise AccessError(f"found no engineer {name!r} with this password, expected one; nothing was changed")
    return name


def _open(line: Line, bundle: Bundle) -> None:
    """Open the bundle as the station would, with its engine, cameras' geometry and signature, and close it."""
    open_inspector(line.model_copy(update={"bundle": bundle.folder}), monotonic).engine.close()


def _done(line: Line, row: ReleaseRow) -> Iterator[str]:
    yield f"golden frames match on this machine with {line.engine}; signature {_signature(line)}"
    yield f"{row.action} {row.number}: {line.bundle} is {row.after[:SHORT]} now, was {row.before[:SHORT] or 'nothing'}"
    yield "a running station takes it over between two parts; `edge-inspect rollback` undoes it"


def _signature(line: Line) -> str:
    return "verified" if line.release is not None else "not asked for by line.toml ([release] keys)"
