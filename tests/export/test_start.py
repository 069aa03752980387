import subprocess
import sys

import pytest

from edge.engines.registry import DEFAULT_ENGINE
from edge.engines.registry import ENGINES as REGISTERED
from export.choices import ENGINES

HEAVY = ("torch", "scipy", "sklearn", "onnx", "onnxruntime", "cv2", "numpy")


@pytest.mark.parametrize("arguments", [["--help"], ["bundle", "--help"], ["engine", "--help"]], ids=" ".join)
def test_help_loads_nothing_heavy(arguments: list[str]) -> None:
    code = (
        "import sys, export.cli\n"
        f"try: export.cli.main({arguments})\n"
        f"finally: print([name for name in {HEAVY} if name in sys.modules])"
    )
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=120)
    assert found.stdout.splitlines()[-1] == "[]"
    assert "Usage" in found.stdout


def test_the_engines_of_the_help_are_those_of_the_registry() -> None:
    assert tuple(REGISTERED) == ENGINES
    assert ENGINES[0] == DEFAULT_ENGINE
