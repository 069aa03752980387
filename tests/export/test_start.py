import pytest

from edge.config.defaults import MOST_THREADS as MOST_AT_THE_LINE
from edge.engines.registry import DEFAULT_ENGINE
from edge.engines.registry import ENGINES as REGISTERED
from export.choices import ENGINES, MOST_THREADS
from export.cli import main
from tests.loaded_modules import loaded_by_help

HEAVY = ("torch", "scipy", "sklearn", "onnx", "onnxruntime", "cv2", "numpy")


@pytest.mark.parametrize("arguments", [["--help"], ["bundle", "--help"], ["engine", "--help"]], ids=" ".join)
def test_help_loads_nothing_heavy(arguments: list[str]) -> None:
    assert loaded_by_help("export.cli", arguments, HEAVY) == []


def test_the_engines_of_the_help_are_those_of_the_registry() -> None:
    assert tuple(REGISTERED) == ENGINES
    assert ENGINES[0] == DEFAULT_ENGINE


def test_the_most_threads_are_those_of_the_line(capsys: pytest.CaptureFixture[str]) -> None:
    assert MOST_THREADS == MOST_AT_THE_LINE
    with pytest.raises(SystemExit):
        main(["evaluate", "bundle", "--data", "data", "--threads", str(MOST_THREADS + 1)])
    assert "Invalid value for '--threads'" in capsys.readouterr().err


def test_usage_names_the_command(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["calibrate", "--help"])
    assert "Usage: edge-export calibrate [OPTIONS]" in capsys.readouterr().out
