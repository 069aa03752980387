import subprocess
import sys
from pathlib import Path

import pytest

from tests.loaded_modules import loaded_by_help

HEAVY = ("torch", "scipy", "sklearn", "matplotlib", "cv2", "numpy")


@pytest.mark.parametrize("arguments", [["--help"], ["import", "--help"], ["split", "--help"]], ids=" ".join)
def test_help_loads_nothing_heavy(arguments: list[str]) -> None:
    assert loaded_by_help("train.cli.main", arguments, HEAVY) == []


@pytest.mark.parametrize("start", ["script", "module"])
def test_a_users_own_train_py_is_not_run_instead(tmp_path: Path, start: str) -> None:
    (tmp_path / "train.py").write_text("raise SystemExit('the user\\'s own file')\n")
    script = Path(sys.executable).with_name("train")
    if start == "script" and not script.exists():
        pytest.skip(f"{script} is not there: the package is not installed in this environment")
    command = [str(script)] if start == "script" else [sys.executable, "-I", "-m", "train.cli.main"]
    found = subprocess.run(
        [*command, "--recipe", "magnetic-tyle", "--data", ".", "--out", "."],
        cwd=tmp_path, capture_output=True, text=True, check=False, timeout=120,
    )  # fmt: skip
    assert found.stderr.startswith("train: recipe magnetic-tyle: found no such recipe")
