"""Installs a station from the offline package that this file lies in; needs Python alone, no network.

`python3 install.py install` installs or upgrades, `python3 install.py rollback` switches back. Versions lie side by
side in `ROOT/versions`; the link `ROOT/current` names the one in force and is switched in one step. A process that is
killed at any time leaves the old version in force or the new one, and the same command then ends its work. All that
goes wrong is an InstallError or OSError; the version in force is then as it was.
"""

import argparse
import hashlib
import json
import os
import platform
import shutil
import sqlite3
import subprocess
import sys
import venv
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import asdict, dataclass
from datetime import datetime, timezone
from pathlib import Path

CHECKSUMS, SIGNATURE, TARGET, COMPLETE, ORIGIN = (
    "SHA256SUMS",
    "SHA256SUMS.sig",
    "target.json",
    "complete",
    "origin.json",
)
RULES = "70-edge-inspect.rules"
RULES_FOLDER = Path("/etc/udev/rules.d")
UNIT = Path("/etc/systemd/system/edge-inspect.service")
SYSTEMD = Path("/run/systemd/system")
"""Exists where systemd is the init system, sd_booted(3)."""
RECORDS_PATH = """\
import sys
from pathlib import Path
from edge.config.line import load_line
from edge.errors import StationError
try:
    print(load_line(Path(sys.argv[1])).records.resolve())
except StationError as error:
    sys.exit(str(error))
"""
RECORDS_VERSION = "from edge.records.database import VERSION; print(VERSION)"

MakeEnvironment = Callable[[Path, Path], None]
"""Installs the wheels of a package (first path) into a new virtual environment (second path)."""


class InstallError(Exception):
    """Refusal: found, expected and what to do, in one line."""


@dataclass(frozen=True)
class Origin:
    """State before an upgrade, in the folder of the version that it installed."""

    previous: str
    """Folder of the version before; empty if there was none."""
    records: str
    """Path of the station's records; empty without a line or records."""
    records_copy: str
    """Path of their copy."""


class Root:
    """The folder of all versions of a station on this machine."""

    def __init__(self, folder: Path) -> None:
        """`folder` need not exist."""
        self.folder = folder
        self.link, self.versions, self.copies, self.keys = (
            folder / name for name in ("current", "versions", "records-copies", "keys")
        )

    @property
    def current(self) -> str:
        """Name of the version in force; empty if there is none."""
        return Path(os.readlink(self.link)).name if self.link.is_symlink() else ""

    def is_complete(self, name: str) -> bool:
        """Tell whether a version is installed to its end."""
        return bool(name) and (self.versions / name / COMPLETE).is_file()

    def origin(self, name: str) -> Origin:
        """Read what was before the upgrade to a version; raises InstallError."""
        path = self.versions / name / ORIGIN
        try:
            return Origin(**json.loads(path.read_text(encoding="utf-8")))
        except (OSError, ValueError, TypeError) as error:
            raise InstallError(f"{path}: cannot be read ({error}); install the wanted version again") from None

    def line(self) -> Path | None:
        """Path of line.toml of an earlier installation."""
        place = self.folder / "line"
        return Path(place.read_text(encoding="utf-8")) if place.is_file() else None

    def turn(self, name: str) -> None:
        """Put a version in force, in one step that is on disk when this returns."""
        draft = self.link.with_name(".current.part")
        draft.unlink(missing_ok=True)
        draft.symlink_to(Path("versions") / name, target_is_directory=True)
        draft.replace(self.link)
        os.sync()

    def prune(self) -> None:
        """Remove all versions but the one in force and the one before."""
        wanted = {self.current, self.origin(self.current).previous}
        for folder in self.versions.iterdir():
            if folder.name not in wanted:
                shutil.rmtree(folder)


def install(package: Path, root: Root, line: Path | None, make_environment: MakeEnvironment) -> Iterator[str]:
    """Install a verified package and put it in force; yields what was done. Raises InstallError, OSError."""
    version = json.loads((package / TARGET).read_text(encoding="utf-8"))["version"]
    line = line or root.line()
    if line is not None and not line.is_file():
        raise InstallError(f"{line}: found no such file, expected line.toml of the station; check --line")
    name = f"{version}-{hashlib.sha256((package / CHECKSUMS).read_bytes()).hexdigest()[:12]}"
    folder = root.versions / name
    if not root.is_complete(name):
        shutil.rmtree(folder, ignore_errors=True)
        root.versions.mkdir(parents=True, exist_ok=True)
        make_environment(package, folder)
        yield f"{folder}: wheels installed"
        for part in ("install.py", TARGET, CHECKSUMS, RULES, "sbom.json", "THIRD-PARTY-NOTICES.txt"):
            shutil.copyfile(package / part, folder / part)
        shutil.copytree(package / "models", folder / "models")
        yield f"{folder}: {_said_by(folder, ['bin/edge-inspect', '--version'])}"
        os.sync()
        _write_whole(folder / COMPLETE, "")
        yield f"{folder}: complete"
    records = Path(_said_by(folder, ["bin/python", "-c", RECORDS_PATH, str(line)])) if line else None
    if name == root.current:
        root.prune()
        yield f"{name} is in force already"
        return
    copy = _copied(records, root, f"before-{name}") if records else None
    yield f"records copied to {copy}" if copy else "no records to copy"
    origin = Origin(root.current, str(records) if copy else "", str(copy) if copy else "")
    _write_whole(folder / ORIGIN, json.dumps(asdict(origin), indent=1))
    if line:
        _write_whole(root.folder / "line", str(line.resolve()))
    root.turn(name)
    yield f"{root.link} is {name} now, was {origin.previous or 'nothing'}"
    root.prune()


def roll_back(root: Root) -> Iterator[str]:
    """Put the version before in force, with records that it can read; yields what was done. Raises InstallError."""
    current = root.current
    origin = root.origin(current) if current else Origin("", "", "")
    if not root.is_complete(origin.previous):
        raise InstallError(f"{root.link}: found no version before {current or 'none'}; install the wanted version")
    records = Path(origin.records) if origin.records else None
    if records and records.is_file():
        yield f"records copied to {_copied(records, root, f'rollback-of-{current}')}"
        known = int(_said_by(root.versions / origin.previous, ["bin/python", "-c", RECORDS_VERSION]))
        found = _records_version(records)
        if found > known:
            _restore(records, Path(origin.records_copy))
            yield f"records of version {found}, {origin.previous} reads {known}: replaced by {origin.records_copy}"
    root.turn(origin.previous)
    yield f"{root.link} is {origin.previous} now, was {current}"


def verify(package: Path, keys: list[Path]) -> Iterator[str]:
    """Hold a package against this machine, its checksums and, with keys, its signature. Raises InstallError."""
    target = json.loads((package / TARGET).read_text(encoding="utf-8"))
    here = {"machine": platform.machine(), "python": ".".join(map(str, sys.version_info[:2]))}
    wanted = {key: target[key] for key in here}
    if here != wanted:
        raise InstallError(f"{package}: found a package for {wanted}, this is {here}; take the one for this machine")
    signed = [_is_signed(package, key) for key in keys]
    if keys and not any(signed):
        names = ", ".join(map(str, keys))
        raise InstallError(
            f"{package / SIGNATURE}: found no signature by {names}; check the key, or get the package again"
        )
    sums = [line.split("  ", 1) for line in (package / CHECKSUMS).read_text(encoding="utf-8").splitlines()[1:]]
    expected = {name: digest for digest, name in sums}
    found = {str(path.relative_to(package)) for path in package.rglob("*") if path.is_file()} - {CHECKSUMS, SIGNATURE}
    if found != set(expected):
        raise InstallError(f"{package}: found other files than its checksums list: {sorted(found ^ set(expected))[:5]}")
    for name, digest in expected.items():
        if hashlib.sha256((package / name).read_bytes()).hexdigest() != digest:
            raise InstallError(f"{package / name}: found another content than its checksum says; get the package again")
    yield f"{len(expected)} files verified, {'with' if keys else 'WITHOUT'} a signature"


def _is_signed(package: Path, key: Path) -> bool:
    program = shutil.which("openssl")
    if program is None:
        raise InstallError("found no openssl, which verifies the signature; install it, or add --without-signature")
    if subprocess.run(
        [program, "pkey", "-pubin", "-in", str(key), "-noout"], capture_output=True, check=False
    ).returncode:
        raise InstallError(f"{key}: found no public key, expected a PEM file, such as release.pub; check --key")
    command = [program, "pkeyutl", "-verify", "-pubin", "-inkey", str(key), "-rawin", "-in", str(package / CHECKSUMS)]
    command += ["-sigfile", str(package / SIGNATURE)]
    return subprocess.run(command, capture_output=True, check=False).returncode == 0


def make_environment(package: Path, folder: Path) -> None:
    """Make a virtual environment of a package's wheels alone, each held against its hash. Raises InstallError."""
    venv.create(folder, symlinks=True, with_pip=False)
    (pip,) = (package / "wheels").glob("pip-*.whl")
    options = ["--no-index", "--find-links", str(package / "wheels"), "--require-hashes", "--no-cache-dir", "--quiet"]
    options += ["--disable-pip-version-check", "--requirement", str(package / "requirements.txt")]
    _said_by(folder, ["bin/python", "-I", str(pip / "pip"), "install", *options])


def _said_by(folder: Path, command: list[str]) -> str:
    """Run a program of a version; returns what it printed. Raises InstallError."""
    own = {name: value for name, value in os.environ.items() if not name.startswith("PYTHON")}  # no modules of others
    words = [str(folder / command[0]), *command[1:]]
    ended = subprocess.run(words, env=own, capture_output=True, text=True, check=False)
    if ended.returncode:
        said = " ".join((ended.stderr or ended.stdout).split()[-60:])
        raise InstallError(f"{folder.name}: {command[0]} ended with {ended.returncode} ({said}); nothing was switched")
    return ended.stdout.strip()


def _copied(records: Path, root: Root, reason: str) -> Path | None:
    """Copy the records while the station may run; returns the copy, None without records."""
    if not records.is_file():
        return None
    root.copies.mkdir(parents=True, exist_ok=True)
    moment = datetime.now(timezone.utc).strftime("%Y%m%dT%H%M%S.%f")
    copy = root.copies / f"{moment}-{reason}.sqlite"
    _copy_database(records, copy)
    return copy


def _copy_database(source: Path, target: Path) -> None:
    draft = target.with_name(f".{target.name}.part")
    draft.unlink(missing_ok=True)
    try:
        address = f"{source.resolve().as_uri()}?mode=ro"
        with closing(sqlite3.connect(address, uri=True)) as old, closing(sqlite3.connect(draft)) as new:
            old.backup(new)
    except sqlite3.Error as error:
        raise InstallError(f"{source}: was not copied to {target} ({error}); nothing was switched") from None
    with draft.open("rb") as file:
        os.fsync(file.fileno())
    shutil.copymode(source, draft)
    if os.geteuid() == 0:
        os.chown(draft, source.stat().st_uid, source.stat().st_gid)
    draft.replace(target)


def _records_version(records: Path) -> int:
    with closing(sqlite3.connect(f"{records.resolve().as_uri()}?mode=ro", uri=True)) as connection:
        return int(connection.execute("PRAGMA user_version").fetchone()[0])


def _restore(records: Path, copy: Path) -> None:
    """Replace the records of a stopped station by a copy, in one step. Raises InstallError while they are in use."""
    try:
        with closing(sqlite3.connect(records, timeout=1)) as connection:
            connection.execute("PRAGMA journal_mode = DELETE")  # takes in the log; refused while another has it open
    except sqlite3.Error as error:
        raise InstallError(f"{records}: in use ({error}); stop the station, then roll back again") from None
    _copy_database(copy, records)


def _write_whole(path: Path, text: str) -> None:
    draft = path.with_name(f".{path.name}.part")
    with draft.open("w", encoding="utf-8") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    draft.replace(path)


def _system_files(root: Root) -> Iterator[str]:
    """Install udev rules and the systemd unit where the system has them."""
    if RULES_FOLDER.is_dir():
        shutil.copyfile(root.link / RULES, RULES_FOLDER / RULES)
        yield f"{RULES_FOLDER / RULES}: written; in force after `udevadm control --reload && udevadm trigger`"
    line = root.line()
    if not SYSTEMD.is_dir() or line is None:
        yield f"no systemd unit; start with: {root.link / 'bin/edge-inspect'} run {line or 'line.toml'}"
        return
    if not UNIT.exists():
        _write_whole(UNIT, _said_by(root.link, ["bin/edge-inspect", "unit", str(line)]) + "\n")
        yield f"{UNIT}: written; needs the user edge-inspect (`useradd --system --groups dialout,video edge-inspect`)"
    subprocess.run(["systemctl", "daemon-reload"], check=True)
    yield from _service("try-restart")


def _service(verb: str) -> Iterator[str]:
    if SYSTEMD.is_dir() and UNIT.exists():
        subprocess.run(["systemctl", verb, UNIT.stem], check=True)
        yield f"systemctl {verb} {UNIT.stem}"


def _keys(root: Root, given: Path | None, unsigned: bool) -> list[Path]:
    keys = sorted(root.keys.glob("*.pub")) + ([given] if given else [])
    if not keys and not unsigned:
        raise InstallError("found no public key, expected --key FILE at the first installation, or --without-signature")
    return [] if unsigned else keys


def _installed(options: argparse.Namespace, root: Root) -> Iterator[str]:
    package = Path(__file__).resolve().parent
    yield from verify(package, _keys(root, options.key, options.without_signature))
    yield from install(package, root, options.line, make_environment)
    if options.key:
        root.keys.mkdir(exist_ok=True)
        shutil.copyfile(options.key, root.keys / f"{options.key.stem}.pub")
    yield from _system_files(root)


def _rolled_back(root: Root) -> Iterator[str]:
    yield from _service("stop")
    try:
        yield from roll_back(root)
    finally:
        for words in _service("start"):
            print(words)


def command_line() -> argparse.ArgumentParser:
    """Make the parser of the command line."""
    parser = argparse.ArgumentParser(description="Install, upgrade or roll back edge-inspect without a network.")
    parser.add_argument("action", choices=("install", "rollback"))
    parser.add_argument("--root", type=Path, default=Path("/opt/edge-inspect"), help="folder of all versions")
    parser.add_argument("--line", type=Path, help="line.toml of the station; remembered")
    parser.add_argument("--key", type=Path, help="public Ed25519 key of the packages; remembered")
    parser.add_argument("--without-signature", action="store_true", help="verify the checksums alone")
    return parser


def main(arguments: list[str] | None = None) -> None:
    """Run the command line; an error is one line on standard error, with exit status 1."""
    options = command_line().parse_args(arguments)
    os.umask(0o022)
    root = Root(options.root.resolve())
    try:
        for words in _installed(options, root) if options.action == "install" else _rolled_back(root):
            print(words, flush=True)
    except InstallError as error:
        sys.exit(f"install: {error}")
    except (OSError, subprocess.CalledProcessError) as error:
        sys.exit(f"install: {error}; correct it, then run the same command again")


if __name__ == "__main__":
    main()
