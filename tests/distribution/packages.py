"""Offline packages of a stand-in station: its programs are three lines of shell, its records any SQLite file."""

import hashlib
import json
import os
import platform
import signal
import sqlite3
import sys
from contextlib import closing
from pathlib import Path

from edge.release.signature import CHECKSUMS_HEADER
from tools.distribution.install import CHECKSUMS, RULES, TARGET, Root, install

HERE = {"machine": platform.machine(), "python": ".".join(map(str, sys.version_info[:2]))}


def write_package(folder: Path, version: str, records: Path, reads: int) -> Path:
    """Write a package whose station says its version, the path of its records, and the version that it reads."""
    (folder / "models").mkdir(parents=True)
    for name in ("install.py", RULES, "sbom.json", "THIRD-PARTY-NOTICES.txt", "models/weights"):
        (folder / name).write_text(f"{name} of {version}\n")
    answers = f"*VERSION*) echo {reads};; *load*) echo {records};; *) echo {version};;"
    (folder / "program").write_text(f'case "$2" in {answers} esac\n')
    (folder / TARGET).write_text(json.dumps({**HERE, "version": version}))
    write_checksums(folder)
    return folder


def write_checksums(folder: Path) -> None:
    """List all files of a package, as the build does."""
    files = sorted(path for path in folder.rglob("*") if path.is_file() and path.name != CHECKSUMS)
    lines = [f"{hashlib.sha256(path.read_bytes()).hexdigest()}  {path.relative_to(folder)}\n" for path in files]
    (folder / CHECKSUMS).write_text(f"{CHECKSUMS_HEADER}0\n" + "".join(lines))


def copy_programs(package: Path, folder: Path) -> None:
    """Stand in for the virtual environment: the station's and Python's program."""
    (folder / "bin").mkdir(parents=True)
    for name in ("edge-inspect", "python"):
        program = folder / "bin" / name
        program.write_text("#!/bin/sh\n" + (package / "program").read_text())
        program.chmod(0o755)


def write_records(path: Path, version: int, rows: int) -> None:
    """Write records of a schema version with some rows."""
    path.unlink(missing_ok=True)
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("CREATE TABLE parts (number INTEGER PRIMARY KEY)")
        connection.executemany("INSERT INTO parts VALUES (?)", [(number,) for number in range(rows)])
        connection.execute(f"PRAGMA user_version = {version}")
        connection.commit()


def rows_of(path: Path) -> int:
    """Count the rows of records."""
    with closing(sqlite3.connect(path)) as connection:
        return int(connection.execute("SELECT count(*) FROM parts").fetchone()[0])


def install_until_killed(package: Path, root: Path, line: Path, steps: int) -> None:
    """Install in this process, which SIGKILL ends after some steps, or within the environment at step 0."""

    def make(source: Path, folder: Path) -> None:
        copy_programs(source, folder)
        if steps == 0:
            os.kill(os.getpid(), signal.SIGKILL)

    for number, _ in enumerate(install(package, Root(root), line, make), start=1):
        if number == steps:
            os.kill(os.getpid(), signal.SIGKILL)


if __name__ == "__main__":
    install_until_killed(Path(sys.argv[1]), Path(sys.argv[2]), Path(sys.argv[3]), int(sys.argv[4]))
