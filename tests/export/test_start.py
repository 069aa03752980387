import pytest

from edge.engines.registry import DEFAULT_ENGINE
from edge.engines.registry import ENGINES as REGISTERED
from export.choices import ENGINES
from tests.loaded_modules import loaded_by_help

HEAVY = ("torch", "scipy", "sklearn", "onnx", "onnxruntime", "cv2", "numpy")


@pytest.mark.parametrize("arguments", [["--help"], ["bundle", "--help"], ["engine", "--help"]], ids=" ".join)
def test_help_loads_nothing_heavy(arguments: list[str]) -> None:
    assert loaded_by_help("export.cli", arguments, HEAVY) == []


def test_the_engines_of_the_help_are_those_of_the_registry() -> None:
    assert tuple(REGISTERED) == ENGINES
    assert ENGINES[0] == DEFAULT_ENGINE
