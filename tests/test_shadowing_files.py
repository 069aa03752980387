"""Files of the user that bear the names of our packages, in the folder from which a command is started."""

import subprocess
import sys
import sysconfig
from pathlib import Path

import pytest

from edge.module_process import module_command

PACKAGES = ("bundle", "edge", "export", "firmware_bridge", "synthetic", "train")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder with a file of each name, which ends its importer."""
    for name in PACKAGES:
        (tmp_path / f"{name}.py").write_text(f"raise SystemExit('the file {name}.py of the user was run')\n")
    return tmp_path


def run(folder: Path, *command: str) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False, timeout=120)


@pytest.mark.parametrize("script", ["train", "edge-export", "edge-inspect"])
def test_console_scripts_run_beside_them(folder: Path, script: str) -> None:
    path = Path(sysconfig.get_path("scripts")) / script
    if not path.is_file():
        pytest.skip(f"{path} is not there: the package is not installed in this environment")
    ended = run(folder, str(path), "--help")

    assert (ended.returncode, ended.stderr) == (0, "")
    assert f"Usage: {script}" in ended.stdout


def test_child_processes_of_the_station_run_beside_them(folder: Path) -> None:
    """The command is made where no such file is."""
    assert "edge.py of the user" in run(folder, sys.executable, "-m", "edge.errors").stderr
    assert run(folder, *module_command("edge.errors")).returncode == 0


def test_a_child_process_gets_its_arguments(folder: Path) -> None:
    ended = run(folder, *module_command("json.tool", "--help"))

    assert (ended.returncode, ended.stderr) == (0, "")
    assert "usage" in ended.stdout
