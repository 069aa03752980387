"""Console scripts and tools where a package of an extra is not installed."""

import ast
import os
import re
import subprocess
import sys
from importlib.metadata import packages_distributions
from pathlib import Path

import pytest

from bundle.toml_text import parse_toml
from console_scripts.missing_package import EXTRAS, missing_package
from tests.test_interrupt import TOOLS, script

ROOT = Path(__file__).resolve().parents[1]
PROJECT = parse_toml((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
HIDE = """
import os, sys

class Hiding:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in os.environ["HIDDEN"].split():
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)

sys.meta_path.insert(0, Hiding())
"""
MISSING = tuple(module for modules in EXTRAS.values() for module in modules)


def run_without(hidden: tuple[str, ...], folder: Path, *command: str) -> tuple[int, str]:
    """Run Python with a command that does not find some packages; returns exit status and standard error."""
    (folder / "sitecustomize.py").write_text(HIDE)
    environment = {**os.environ, "HIDDEN": " ".join(hidden), "PYTHONPATH": f"{folder}{os.pathsep}{ROOT}"}
    python = [sys.executable, *command]
    found = subprocess.run(python, cwd=folder, env=environment, capture_output=True, text=True, check=False)
    return found.returncode, found.stderr


@pytest.mark.parametrize(
    ("hidden", "command", "told"),
    [
        ("cv2", ("edge-inspect", "demo"), "cv2 is not installed; pip install 'edge-inspect[cpu]'"),
        ("cv2", ("edge-inspect", "run", "line.toml"), "cv2 is not installed; pip install 'edge-inspect[cpu]'"),
        (
            "cv2",
            ("edge-export", "evaluate", "b", "--data", "d"),
            "cv2 is not installed; pip install 'edge-inspect[export]'",
        ),
        ("sklearn", ("edge-export", "evaluate", "b", "--data", "d"), "sklearn is not installed"),
        ("onnx", ("edge-export", "calibrate", "b", "--images", "d", "--out", "o"), "onnx is not installed"),
        ("torch", ("edge-export", "bundle", "c", "--out", "o"), "torch is not installed"),
        ("torch", ("train", "improve", "a", "--data", "d", "--out", "o"), "torch is not installed"),
        ("sklearn", ("train", "compare", "a", "b"), "sklearn is not installed; pip install 'edge-inspect[train]'"),
    ],
)
def test_a_script_without_a_package_is_one_line_with_the_extra(
    tmp_path: Path, hidden: str, command: tuple[str, ...], told: str
) -> None:
    status, error = run_without((hidden,), tmp_path, *script(*command))

    assert (status, error.count("\n")) == (1, 1), error
    assert error.startswith(f"{command[0]}: {told}")


@pytest.mark.parametrize("tool", TOOLS)
def test_a_tool_without_the_packages_of_the_extras_is_one_line(tmp_path: Path, tool: str) -> None:
    status, error = run_without(MISSING, tmp_path, str(ROOT / "tools" / tool), "--help")

    assert status == 0 or re.fullmatch(rf"{tool}: \w+ is not installed; pip install 'edge-inspect\[\w+\]'.*\n", error)


def test_a_module_that_no_extra_brings_is_not_told() -> None:
    assert missing_package("train", ModuleNotFoundError("No module named 'mine'", name="mine")) == ""
    assert missing_package("train", ImportError("cannot import name 'x' from 'torch'", name="torch")) == ""


@pytest.mark.parametrize("extra", EXTRAS)
def test_an_extra_brings_its_modules(extra: str) -> None:
    """Where the module is installed, one of the distributions that bring it is required by the extra."""
    required = {re.split(r"[^\w-]", name)[0].lower() for name in requirements(extra)}
    distributions = packages_distributions()
    installed = [module for module in EXTRAS[extra] if module in distributions]

    assert installed
    for module in installed:
        assert {name.lower() for name in distributions[module]} & required, module


def requirements(extra: str) -> list[str]:
    """Requirements of an extra, with those of the extras of edge-inspect that it names."""
    listed = PROJECT["optional-dependencies"][extra]
    named = [name for one in listed for name in re.findall(r"edge-inspect\[([\w,]+)\]", one)]
    return listed + [each for names in named for inner in names.split(",") for each in requirements(inner)]


def test_modules_that_a_command_imports_at_its_start_are_listed() -> None:
    """At the top of a file of training or export; packages with a message of their own are imported in functions."""
    own = {"bundle", "console_scripts", "edge", "export", "firmware_bridge", "synthetic", "train"}
    base = {"numpy", "pydantic", "typer", "rich", "serial", "cobs", "pymodbus", "simplejpeg", "tomli"}
    listed = {module for modules in EXTRAS.values() for module in modules}
    found = set()
    for path in [*(ROOT / "train").rglob("*.py"), *(ROOT / "export").rglob("*.py"), *(ROOT / "bundle").rglob("*.py")]:
        for node in ast.parse(path.read_text(encoding="utf-8")).body:
            if isinstance(node, ast.Import):
                found |= {alias.name.partition(".")[0] for alias in node.names}
            elif isinstance(node, ast.ImportFrom):
                found.add((node.module or "").partition(".")[0])

    assert found - own - base - set(sys.stdlib_module_names) <= listed
