"""Checks of `doctor` for clock and disk."""

import tempfile
import time
from datetime import datetime, timezone
from pathlib import Path
from shutil import disk_usage

from bundle import Verdict
from edge.config.line import Line
from edge.errors import CheckFailed
from edge.part import Outcome, Part
from edge.records.database import reading
from edge.records.summary import percentiles_ms
from edge.records.writer import Records

RESOLUTION_S = 1e-3
"""Coarsest clock that can time a part's stages."""
LEAST_FREE_GIB = 1.0
"""Space for about four million rows."""
ROWS = 50
GIB = 2**30


def check_clock() -> str:
    """Check the resolution of the station's clock."""
    info = time.get_clock_info("monotonic")
    start = now = time.monotonic()
    while now == start:
        now = time.monotonic()
    step = max(info.resolution, now - start)
    if not info.monotonic or step > RESOLUTION_S:
        raise CheckFailed(f"monotonic clock: found steps of {step:g} s, expected {RESOLUTION_S:g} s or finer")
    return f"monotonic, steps of {step * 1e9:.0f} ns or finer"


def check_wall_clock(line: Line, now: float) -> str:
    """Check that the wall clock is not earlier than existing files; `now` in seconds since 1970."""
    earlier: dict[str, float] = {}
    if (line.bundle / "manifest.json").exists():
        earlier["the bundle was written"] = (line.bundle / "manifest.json").stat().st_mtime
    if line.records.is_file():
        with reading(line.records) as connection:
            (latest,) = connection.execute("SELECT time FROM parts ORDER BY number DESC LIMIT 1").fetchone() or (None,)
        if latest:
            earlier["the last part was recorded"] = datetime.fromisoformat(latest).timestamp()
    for what, at in earlier.items():
        if now < at:
            raise CheckFailed(
                f"wall clock: found {_utc(now)}, expected later than {_utc(at)}, when {what}; set the clock"
            )
    return f"{_utc(now)}"


def check_space(line: Line) -> str:
    """Check the free space for rows and pictures."""
    wanted = {existing(line.records.parent): LEAST_FREE_GIB}
    if line.pictures:
        folder = existing(line.pictures.folder)
        wanted[folder] = max(wanted.get(folder, 0.0), line.pictures.leave_free_gib)
    free = {folder: disk_usage(folder).free / GIB for folder in wanted}
    for folder, least in wanted.items():
        if free[folder] < least:
            raise CheckFailed(
                f"{folder}: found {free[folder]:.1f} GiB free, expected at least {least:g}; free some space"
            )
    return ", ".join(f"{size:.1f} GiB free in {folder}" for folder, size in free.items())


def check_records(path: Path) -> str:
    """Open the database for reading, if there is one."""
    if not path.exists():
        return f"{path} does not exist yet, the station makes it"
    with reading(path) as connection:
        (rows,) = connection.execute("SELECT count(*) FROM parts").fetchone()
    return f"{path} has {rows} parts"


def check_commits(line: Line) -> str:
    """Keep some rows in a scratch database beside the records, as the station would, and measure it."""
    beside = existing(line.records.parent)
    try:
        times_us = _scratch_times_us(beside)
    except OSError as error:
        found = f"{beside}: cannot be written ({error.strerror})"
        raise CheckFailed(f"{found}; free some space, check permissions") from None
    median, p95, *_ = percentiles_ms(times_us)
    if median > line.record_wait_ms:
        raise CheckFailed(
            f"{beside}: found {median:.1f} ms until a row is on disk, expected at most {line.record_wait_ms:g} "
            "(record_wait_ms), past which results go out before their rows; use a faster disk"
        )
    return f"a row is on disk after {median:.2f} ms, 95 of 100 after {p95:.2f} ms"


def _scratch_times_us(beside: Path) -> list[float]:
    with tempfile.TemporaryDirectory(prefix=".doctor-", dir=beside) as folder:
        records = Records(Path(folder) / "scratch.sqlite")
        try:
            return [_keep_one(records, number) for number in range(1, ROWS + 1)]
        finally:
            records.close()


def _keep_one(records: Records, number: int) -> float:
    part = Part(number, number, 0, triggered=0.0, deadline=0.0)
    part.settle(Outcome(Verdict.FAULT, fault="doctor"))
    start = time.perf_counter()
    records.keep(part, wait_s=10.0)
    if records.refusal:
        raise CheckFailed(f"{records.path.parent}: the disk refuses rows ({records.refusal}); free some space")
    return (time.perf_counter() - start) * 1e6


def existing(folder: Path) -> Path:
    """The folder itself, or the nearest one above it that exists."""
    return next(path for path in (folder.resolve(), *folder.resolve().parents) if path.is_dir())


def _utc(at: float) -> str:
    return datetime.fromtimestamp(at, timezone.utc).strftime("%Y-%m-%d %H:%M:%S UTC")
