"""Wheel and sdist of the project, the same bytes from the same commit."""

import gzip
import io
import os
import subprocess
import sys
import tarfile
from pathlib import Path

BACKEND = "import sys; from setuptools import build_meta; print(getattr(build_meta, sys.argv[1])(sys.argv[2]))"


class BuildError(Exception):
    """A program of the build failed, or two builds differ."""


def run(command: list[str], folder: Path, **environment: str) -> str:
    """Run a program of the build; returns its standard output. Raises BuildError with the end of its words."""
    whole = {**os.environ, **environment}
    ended = subprocess.run(command, cwd=folder, env=whole, capture_output=True, text=True, check=False)
    if ended.returncode:
        words = " ".join(f"{ended.stdout} {ended.stderr}".split()[-80:])
        raise BuildError(f"{command[0]}: ended with {ended.returncode}: {words}")
    return ended.stdout


def check_out(repository: Path, commit: str, folder: Path) -> int:
    """Write a commit to a new folder, with fixed permissions; returns its time, seconds since 1970."""
    archive = folder.with_name(f"{folder.name}.tar")
    run(["git", "archive", "--format=tar", f"--output={archive}", commit], repository)
    with tarfile.open(archive) as tar:
        tar.extractall(folder, filter="data")
    archive.unlink()
    for path in folder.rglob("*"):
        path.chmod(0o755 if path.is_dir() or path.stat().st_mode & 0o100 else 0o644)
    return int(run(["git", "log", "-1", "--format=%ct", commit], repository))


def build(source: Path, out: Path, epoch: int, kind: str = "wheel") -> Path:
    """Build a `wheel` or `sdist` of a source folder with setuptools; returns the file. Raises BuildError."""
    out.mkdir(parents=True, exist_ok=True)
    command = [sys.executable, "-c", BACKEND, f"build_{kind}", str(out.resolve())]
    built = out / run(command, source, SOURCE_DATE_EPOCH=str(epoch)).splitlines()[-1]
    if kind == "sdist":
        rewrite_sdist(built, epoch)
    return built


def build_twice(repository: Path, out: Path, scratch: Path) -> tuple[Path, Path, int]:
    """Build wheel and sdist from two fresh copies of the latest commit; returns both files and the commit's time.

    Raises BuildError where the two builds differ.
    """
    files: list[list[Path]] = []
    commit = run(["git", "rev-parse", "HEAD"], repository).strip()  # another may come while this runs
    for name in ("first", "second"):
        epoch = check_out(repository, commit, scratch / name)
        target = out if name == "first" else scratch / "again"
        files.append([build(scratch / name, target, epoch, kind) for kind in ("wheel", "sdist")])
    for first, second in zip(*files, strict=True):
        if first.read_bytes() != second.read_bytes():
            raise BuildError(f"{first.name}: found other bytes in a second build; look at both: {first}, {second}")
    (wheel, sdist), _ = files
    return wheel, sdist, epoch


def write_tar(folder: Path, target: Path, epoch: int) -> None:
    """Pack a folder under its own name: sorted, one time, no owner, fixed permissions; not compressed."""
    with tarfile.open(target, "w", format=tarfile.PAX_FORMAT) as tar:
        for path in [folder, *sorted(folder.rglob("*"))]:
            entry = tar.gettarinfo(path, str(path.relative_to(folder.parent)))
            _normalise(entry, epoch)
            with path.open("rb") if path.is_file() else io.BytesIO() as content:
                tar.addfile(entry, content)


def rewrite_sdist(sdist: Path, epoch: int) -> None:
    """Write an sdist again without times, owners and the order of the disk, which setuptools leaves in it."""
    draft = sdist.with_suffix(".part")
    with (
        tarfile.open(sdist) as old,
        draft.open("wb") as raw,
        gzip.GzipFile("", "wb", mtime=epoch, fileobj=raw) as packed,
        tarfile.open(fileobj=packed, mode="w", format=tarfile.PAX_FORMAT) as new,
    ):
        for entry in sorted(old.getmembers(), key=lambda entry: entry.name):
            content = old.extractfile(entry) if entry.isfile() else None
            _normalise(entry, epoch)
            new.addfile(entry, content)
    draft.replace(sdist)


def _normalise(entry: tarfile.TarInfo, epoch: int) -> None:
    entry.mtime, entry.uid, entry.gid, entry.uname, entry.gname = epoch, 0, 0, "", ""
    entry.pax_headers = {}
    entry.mode = 0o755 if entry.isdir() or entry.mode & 0o100 else 0o644
