"""Wrong arguments of tools: one line at once, before anything is measured."""

import subprocess
import sys
from argparse import ArgumentTypeError
from pathlib import Path

import pytest

from tools.positive import positive

pytest.importorskip("torch", reason="torch is not installed (extra: train)")
ROOT = Path(__file__).resolve().parents[1]
GROWTH = ("measure-growth", "--steps", "classes", "--out")
ONE = ("bench", "models/demo-tiles", "--networks", "CAN fine 32", "--rounds", "1", "--frames", "1")


def ended(tool: str, *arguments: str) -> tuple[int, str]:
    """Exit status and last line of standard error, without the usage above it."""
    command = [sys.executable, str(ROOT / "tools" / tool), *arguments]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False, timeout=60)
    assert "Traceback" not in done.stderr, done.stderr
    return done.returncode, done.stderr.splitlines()[-1]


@pytest.mark.parametrize(
    ("command", "option"),
    [
        (("bench", "--out", "x"), "--threads"),
        (("bench", "--out", "x"), "--rounds"),
        (("bench-start",), "--rounds"),
        (("measure-line",), "--parts"),
        (("stress-line",), "--messages"),
        (("stress-page",), "--parts"),
        (("measure-records",), "--parts"),
        (("compare-codecs",), "--frames"),
    ],
)
def test_a_count_below_one_is_refused(command: tuple[str, ...], option: str) -> None:
    status, told = ended(*command, f"{option}=0")

    assert status == 2
    assert f"argument {option}: found '0', expected a whole number of at least 1" in told


@pytest.mark.parametrize("text", ["0", "-1", "1.5", "many", ""])
def test_a_count_is_a_whole_number_of_at_least_1(text: str) -> None:
    assert positive("12") == 12
    with pytest.raises(ArgumentTypeError, match="expected a whole number of at least 1"):
        positive(text)


@pytest.mark.parametrize("command", [ONE, GROWTH[:-1]])
def test_a_folder_that_cannot_be_made_is_told(command: tuple[str, ...], tmp_path: Path) -> None:
    (tmp_path / "file").touch()

    status, told = ended(*command, "--out", str(tmp_path / "file"))

    assert status == 2
    assert str(tmp_path / "file") in told
    assert told.endswith("check the path, the space and the permissions")


def test_data_that_is_not_there_is_told_before_the_measurement(tmp_path: Path) -> None:
    status, told = ended(*ONE, "--out", str(tmp_path), "--data", str(tmp_path / "none"))

    assert (status, told) == (
        2,
        f"bench: error: {tmp_path / 'none'}: found no such folder, expected a data set; check --data",
    )


def test_a_network_to_compile_must_be_one(tmp_path: Path) -> None:
    status, told = ended(*ONE, "--out", str(tmp_path), "--compiled", "nonsense")

    assert status == 2
    assert "argument --compiled: invalid choice: 'nonsense'" in told


@pytest.mark.parametrize("content", ["{", "{}", '{"costs": {"classes": [1]}}', '{"costs": 1}'])
def test_costs_of_a_run_before_that_are_damaged_are_told(tmp_path: Path, content: str) -> None:
    (tmp_path / "growth.json").write_text(content)

    status, told = ended(*GROWTH, str(tmp_path))

    assert status == 2
    assert told.startswith(f"measure-growth: error: {tmp_path / 'growth.json'}: found no costs of a run before (")
    assert (tmp_path / "growth.json").read_text() == content
