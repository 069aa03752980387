"""The installer leaves the old version in force or the new one, and keeps the records."""

import json
import signal
import sqlite3
import subprocess
import sys
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.distribution.packages import copy_programs, rows_of, write_checksums, write_package, write_records
from tools.distribution.install import CHECKSUMS, RECORDS_PATH, TARGET, InstallError, Root, install, roll_back, verify

ROOT = Path(__file__).resolve().parents[2]
STEPS = 5
"""Steps of an installation with records: wheels, first run, complete, records, switch."""


@dataclass(frozen=True)
class Machine:
    """A machine with a line, its records, and two packages."""

    root: Root
    line: Path
    records: Path
    old: Path
    new: Path

    def install(self, package: Path) -> list[str]:
        return list(install(package, self.root, self.line, copy_programs))

    def says(self) -> str:
        ended = subprocess.run([str(self.root.link / "bin/edge-inspect")], capture_output=True, text=True, check=True)
        return ended.stdout.strip()


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    records, line = tmp_path / "records.sqlite", tmp_path / "line.toml"
    write_records(records, version=7, rows=3)
    line.write_text("")
    old = write_package(tmp_path / "old", "1.0", records, reads=7)
    new = write_package(tmp_path / "new", "1.1", records, reads=8)
    return Machine(Root(tmp_path / "station"), line, records, old, new)


def test_an_upgrade_copies_the_records_and_switches(machine: Machine) -> None:
    machine.install(machine.old)
    assert machine.says() == "1.0"
    said = machine.install(machine.new)
    assert machine.says() == "1.1"
    assert len(said) == STEPS
    assert rows_of(Path(machine.root.origin(machine.root.current).records_copy)) == 3
    assert (machine.root.link / "models" / "weights").read_text() == "models/weights of 1.1\n"
    assert machine.install(machine.new)[-1].endswith("is in force already")


def test_a_rollback_keeps_records_that_the_old_version_reads(machine: Machine) -> None:
    machine.install(machine.old)
    machine.install(machine.new)
    write_records(machine.records, version=7, rows=9)
    list(roll_back(machine.root))
    assert machine.says() == "1.0"
    assert rows_of(machine.records) == 9


def test_a_rollback_of_migrated_records_restores_the_copy_and_keeps_the_newer_rows(machine: Machine) -> None:
    machine.install(machine.old)
    machine.install(machine.new)
    write_records(machine.records, version=8, rows=9)
    said = list(roll_back(machine.root))
    assert machine.says() == "1.0"
    assert rows_of(machine.records) == 3
    assert rows_of(Path(said[0].removeprefix("records copied to "))) == 9


def test_migrated_records_in_use_are_not_replaced(machine: Machine) -> None:
    machine.install(machine.old)
    machine.install(machine.new)
    write_records(machine.records, version=8, rows=9)
    with closing(sqlite3.connect(machine.records)) as station:
        station.execute("PRAGMA journal_mode = WAL")
        station.execute("SELECT count(*) FROM parts").fetchone()
        with pytest.raises(InstallError, match=r"in use .* stop the station"):
            list(roll_back(machine.root))
    assert machine.says() == "1.1"
    assert rows_of(machine.records) == 9


def test_without_a_version_before_there_is_no_way_back(machine: Machine) -> None:
    with pytest.raises(InstallError, match="no version before none"):
        list(roll_back(machine.root))
    machine.install(machine.old)
    with pytest.raises(InstallError, match=r"no version before 1\.0-"):
        list(roll_back(machine.root))
    assert machine.says() == "1.0"


@pytest.mark.parametrize("steps", range(STEPS + 1))
def test_a_killed_upgrade_leaves_the_old_version_or_the_new_one(machine: Machine, steps: int) -> None:
    machine.install(machine.old)
    program = [sys.executable, "-m", "tests.distribution.packages"]
    paths = [str(machine.new), str(machine.root.folder), str(machine.line), str(steps)]
    ended = subprocess.run([*program, *paths], cwd=ROOT, check=False)
    assert ended.returncode == -signal.SIGKILL
    assert machine.says() == ("1.1" if steps == STEPS else "1.0")
    assert rows_of(machine.records) == 3

    machine.install(machine.new)
    assert machine.says() == "1.1"
    list(roll_back(machine.root))
    assert machine.says() == "1.0"


@pytest.mark.parametrize("steps", [1, 2, 3])
def test_an_abandoned_rollback_leaves_one_of_both_and_can_be_repeated(machine: Machine, steps: int) -> None:
    machine.install(machine.old)
    machine.install(machine.new)
    write_records(machine.records, version=8, rows=9)
    done = roll_back(machine.root)
    for _ in range(steps):
        next(done)
    done.close()  # nothing in it runs at its end
    assert machine.says() == ("1.0" if steps == 3 else "1.1")
    if steps < 3:
        list(roll_back(machine.root))
    assert machine.says() == "1.0"
    assert rows_of(machine.records) == 3


def test_only_the_version_in_force_and_the_one_before_stay(machine: Machine, tmp_path: Path) -> None:
    newest = write_package(tmp_path / "newest", "1.2", machine.records, reads=8)
    for package in (machine.old, machine.new, newest):
        machine.install(package)
    assert sorted(path.name[:3] for path in machine.root.versions.iterdir()) == ["1.1", "1.2"]


def test_a_line_that_the_new_version_refuses_keeps_the_old_one(machine: Machine) -> None:
    machine.install(machine.old)
    (machine.new / "program").write_text('case "$2" in *load*) echo no such key >&2; exit 1;; *) echo 1.1;; esac\n')
    write_checksums(machine.new)
    with pytest.raises(InstallError, match=r"ended with 1 \(no such key\); nothing was switched"):
        machine.install(machine.new)
    assert machine.says() == "1.0"


def test_a_line_that_is_not_there_is_refused_before_anything_is_installed(machine: Machine) -> None:
    machine.line.unlink()
    with pytest.raises(InstallError, match=r"line\.toml: found no such file, expected line\.toml of the station"):
        machine.install(machine.old)
    assert not machine.root.folder.exists()


def test_modules_of_others_are_no_part_of_a_version(machine: Machine, monkeypatch: pytest.MonkeyPatch) -> None:
    (machine.old / "program").write_text(
        f'case "$2" in *load*) echo {machine.records};; *) echo 1 $PYTHONPATH;; esac\n'
    )
    write_checksums(machine.old)
    monkeypatch.setenv("PYTHONPATH", "/elsewhere")
    said = machine.install(machine.old)
    assert said[1].endswith(": 1")


def test_what_the_line_s_records_are_is_asked_of_the_version_itself(tmp_path: Path) -> None:
    (tmp_path / "line.toml").write_text("colour = 1\n")
    command = [sys.executable, "-c", RECORDS_PATH, str(tmp_path / "line.toml")]
    wrong = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    (tmp_path / "line.toml").write_text('bundle = "b"\nplc = "serial:///x"\ncamera = [{ address = "synthetic://" }]\n')
    right = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)

    assert wrong.stderr.startswith(f"{tmp_path}/line.toml: colour: unknown key")
    assert (wrong.returncode, right.stdout) == (1, f"{tmp_path}/records.sqlite\n")


def test_a_changed_missing_or_added_file_is_refused(machine: Machine) -> None:
    assert list(verify(machine.old, [])) == ["7 files verified, WITHOUT a signature"]
    (machine.old / "added").touch()
    with pytest.raises(InstallError, match=r"found other files .*added"):
        list(verify(machine.old, []))
    (machine.old / "added").unlink()
    (machine.old / "sbom.json").write_text("changed")
    with pytest.raises(InstallError, match=r"sbom\.json: found another content"):
        list(verify(machine.old, []))
    (machine.old / "sbom.json").unlink()
    with pytest.raises(InstallError, match=r"found other files .*sbom\.json"):
        list(verify(machine.old, []))


def test_a_package_for_another_machine_is_refused(machine: Machine) -> None:
    (machine.old / TARGET).write_text(json.dumps({"machine": "riscv64", "python": "3.10", "version": "1"}))
    with pytest.raises(InstallError, match=r"riscv64.*take the one for this machine"):
        list(verify(machine.old, []))


def test_a_signature_by_a_known_key_is_enough(machine: Machine, tmp_path: Path) -> None:
    signature = pytest.importorskip("edge.release.signature", reason="cryptography is not installed")
    private, public = signature.make_keys(tmp_path / "keys")
    _, other = signature.make_keys(tmp_path / "others")
    signature.sign_checksums(machine.old / CHECKSUMS, private)
    assert list(verify(machine.old, [other, public])) == ["7 files verified, with a signature"]
    with pytest.raises(InstallError, match=r"SHA256SUMS\.sig: found no signature by .*others"):
        list(verify(machine.old, [other]))
    for path, text in ((tmp_path / "none.pub", None), (private, None), (tmp_path / "junk.pub", "junk")):
        if text is not None:
            path.write_text(text)
        with pytest.raises(InstallError, match=rf"{path.name}: found no public key, expected a PEM file"):
            list(verify(machine.old, [path]))
