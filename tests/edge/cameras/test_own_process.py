"""A vendor's library that aborts is one failed test with its text, and not the end of the run."""

import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[3]
ABORTING = """
import ctypes, os, sys
import pytest

def test_before(): pass

@pytest.mark.own_process
def test_of_a_good_library(): pass

@pytest.mark.own_process
def test_of_a_bad_library():
    os.write(2, b"GLib-ERROR: cannot go on")
    ctypes.CDLL(None).abort()

@pytest.mark.own_process
def test_of_a_wrong_library(): assert 1 == 2, "found one"

@pytest.mark.own_process
def test_of_no_library(): pytest.skip("not here")

def test_after(): pass
"""


def test_a_library_that_aborts_is_one_failed_test(tmp_path: Path) -> None:
    (tmp_path / "conftest.py").write_text("from tests.edge.cameras.own_process import *\n")
    (tmp_path / "test_library.py").write_text(ABORTING)
    (tmp_path / "pytest.ini").write_text("[pytest]\nmarkers = own_process\n")
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-rA", "-p", "no:cacheprovider", str(tmp_path)],
        capture_output=True, text=True, check=False, cwd=tmp_path, env={**os.environ, "PYTHONPATH": str(ROOT)},
    )  # fmt: skip

    assert "2 failed, 3 passed, 1 skipped" in done.stdout, done.stdout + done.stderr
    assert "the process of this test ended with SIGABRT" in done.stdout
    assert "GLib-ERROR: cannot go on" in done.stdout
    assert "found one" in done.stdout
