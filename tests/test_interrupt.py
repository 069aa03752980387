"""Signals at the console scripts and tools, also while their modules are imported: Ctrl-C, and SIGHUP at a station.

The signal is sent by the process to itself, from a hook that a sitecustomize installs: at the import of a module, or at
an audit event that names a file.
"""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from bundle.toml_text import parse_toml
from tests.edge.records.test_export import spread_parts

ROOT = Path(__file__).resolve().parents[1]
SCRIPTS = parse_toml((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]["scripts"]
TOOLS = sorted(path.name for path in (ROOT / "tools").iterdir() if path.is_file() and os.access(path, os.X_OK))
PARSERS = "argparse typer"
"""Modules one of which each tool and script imports."""
HOOKS = """
import os, signal, sys

AT_IMPORT, AT_FILE, NUMBER = os.environ["AT_IMPORT"].split(), os.environ["AT_FILE"], int(os.environ["NUMBER"])
signal.signal(signal.SIGINT, signal.default_int_handler)  # a background process begins without

class Interrupting:
    sent = False

    def send(self):
        if not self.sent:
            self.sent = True
            os.kill(os.getpid(), NUMBER)

    def find_spec(self, name, path=None, target=None):
        if name in AT_IMPORT:
            self.send()

    def audit(self, event, arguments):
        if AT_FILE and any(AT_FILE in str(value) for value in arguments):
            self.send()

interrupting = Interrupting()
sys.meta_path.insert(0, interrupting)
sys.addaudithook(interrupting.audit)
"""


def interrupted(
    folder: Path, command: list[str], at_import: str = "", at_file: str = "", number: int = signal.SIGINT
) -> tuple[int, str]:
    """Run Python with a command, interrupted at such an import or file; returns exit status and standard error."""
    (folder / "sitecustomize.py").write_text(HOOKS)
    places = {"AT_IMPORT": at_import, "AT_FILE": at_file, "NUMBER": str(int(number))}
    environment = {**os.environ, **places, "PYTHONPATH": f"{folder}{os.pathsep}{ROOT}"}
    python = [sys.executable, *command]
    found = subprocess.run(python, cwd=folder, env=environment, capture_output=True, text=True, check=False)
    return found.returncode, found.stderr


def script(name: str, *arguments: str) -> list[str]:
    """The command of a console script, as pip writes it."""
    module, function = SCRIPTS[name].split(":")
    return ["-c", f"import sys; from {module} import {function}; sys.exit({function}())", *arguments]


@pytest.mark.parametrize("at_import", ["typer", "bundle.manifest export.choices train.cli.options"])
@pytest.mark.parametrize("name", SCRIPTS)
def test_a_script_that_is_interrupted_amid_its_imports_ends_with_one_line(
    name: str, at_import: str, tmp_path: Path
) -> None:
    assert interrupted(tmp_path, script(name), at_import) == (130, f"{name}: interrupted\n")


@pytest.mark.parametrize("name", TOOLS)
def test_a_tool_that_is_interrupted_amid_its_imports_ends_with_one_line(name: str, tmp_path: Path) -> None:
    assert interrupted(tmp_path, [str(ROOT / "tools" / name)], PARSERS) == (130, f"{name}: interrupted\n")


@pytest.mark.parametrize(
    ("name", "arguments"),
    [
        ("edge-inspect", ["report", "here.sqlite"]),
        ("edge-export", ["evaluate", "here", "--data", "here"]),
        ("train", ["check", "here"]),
    ],
)
def test_a_script_that_is_interrupted_in_its_command_ends_with_one_line(
    name: str, arguments: list[str], tmp_path: Path
) -> None:
    (tmp_path / "here").mkdir()
    (tmp_path / "here.sqlite").touch()

    assert interrupted(tmp_path, script(name, *arguments), at_file="here") == (130, f"{name}: interrupted\n")


def test_an_export_that_is_interrupted_while_two_processes_format_leaves_no_file(tmp_path: Path) -> None:
    spread_parts(tmp_path / "records.sqlite")
    command = script("edge-inspect", "export", "records.sqlite", "--out", "rows.csv")

    assert interrupted(tmp_path, command, at_file=".rows.csv.") == (130, "edge-inspect: interrupted\n")
    assert not list(tmp_path.glob("*.csv*"))


WITH_DAEMON = """
import atexit, os, signal, threading, time
from console_scripts.interrupt import InterruptibleCommand

signal.signal(signal.SIGINT, signal.default_int_handler)  # a background process begins without

def main():
    threading.Thread(target=time.sleep, args=(600,), daemon=True).start()
    atexit.register(os.write, 2, b"at the end of the interpreter")
    os.kill(os.getpid(), signal.SIGINT)
    time.sleep(600)

InterruptibleCommand("mine").run(main)
"""


def test_an_interrupted_command_does_not_end_the_interpreter_below_a_thread_that_cannot_be_stopped() -> None:
    """Such as one that opens an engine: threads of OpenVINO then abort the process, with a line of their own."""
    ended = subprocess.run([sys.executable, "-c", WITH_DAEMON], cwd=ROOT, capture_output=True, text=True, check=False)

    assert (ended.returncode, ended.stderr) == (130, "mine: interrupted\n")


@pytest.mark.parametrize(
    "place", [{"at_import": "bundle.manifest"}, {"at_file": "one-line.toml"}], ids=["imports", "file"]
)
def test_a_station_that_is_not_yet_open_is_not_ended_by_sighup(place: dict[str, str], tmp_path: Path) -> None:
    (tmp_path / "one-line.toml").write_text("nonsense = 1")
    status, words = interrupted(tmp_path, script("edge-inspect", "run", "one-line.toml"), **place, number=signal.SIGHUP)

    assert status == 1
    assert words.startswith("edge-inspect: one-line.toml: nonsense: unknown")
