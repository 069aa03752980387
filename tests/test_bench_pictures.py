"""The tool that measures what keeping pictures costs."""

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]


def run(*words: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, str(ROOT / "tools" / "bench-pictures"), *words]
    return subprocess.run(command, capture_output=True, text=True, check=False, timeout=120)


def test_each_size_has_a_row_in_grey_and_in_colour() -> None:
    done = run("--sizes", "96x64", "--rounds", "1")

    assert done.returncode == 0, done.stderr
    rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in done.stdout.splitlines()[2:]]
    assert [row[0] for row in rows] == ["96x64, grey", "96x64, colour"]
    assert all(float(value) > 0 for row in rows for value in row[1:])


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--sizes", "96"), "found '96', expected width x height"),
        (("--sizes", "96x-64"), "found '96x-64', expected width x height"),
        (("--sizes", "8x8"), "at least 64 each"),
        (("--rounds", "0"), "found '0', expected a number from 1 on"),
    ],
)
def test_wrong_words_are_one_clear_line(words: tuple[str, ...], said: str) -> None:
    done = run(*words)

    assert (done.returncode, said in done.stderr) == (2, True)
