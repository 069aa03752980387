"""A checkpoint and the bundle made of it have the same figures on the same images."""

import json
from pathlib import Path

import pytest

pytest.importorskip("torch", reason="torch is not installed: checkpoints are made with it")

from export.cli import main as export_main
from tests.train.cli.test_main import run_main
from tests.train.conftest import tiles  # noqa: F401

RECIPE = """
[input]
height = 48
width = 32
channels = 1
[network]
width = 8
pooling = 2
[optimiser]
learning_rate = 3e-3
beta1 = 0.9
[run]
epochs = 2
batch = 8
precision = "float32"
"""


def export(*arguments: object) -> None:
    with pytest.raises(SystemExit) as ended:
        export_main([str(argument) for argument in arguments])
    assert not ended.value.code


def test_train_and_export_evaluate_alike(tiles: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:  # noqa: F811
    recipe, run, bundle = tmp_path / "mine.toml", tmp_path / "run", tmp_path / "bundle"
    recipe.write_text(RECIPE)
    assert run_main("--data", tiles, "--recipe", recipe, "--out", run, "--threads", 1) == 0
    export("bundle", run / "best.pt", "--out", bundle)
    for part in ("test", "all"):
        ours, theirs = tmp_path / f"train-{part}.json", tmp_path / f"export-{part}.json"
        given = ("--data", tiles, "--part", part, "--json")
        assert run_main("evaluate", run / "best.pt", *given, ours, "--threads", 1) == 0
        export("evaluate", bundle, *given, theirs, "--threads", 1)
        assert "engine onnxruntime " in capsys.readouterr().out
        found, expected = json.loads(theirs.read_text())["metrics"], json.loads(ours.read_text())
        assert found["confusion"] == expected["confusion"]
        for key in ("escapes", "false_rejects", "accuracy_pairs", "mean_iou_pairs", "mean_average_precision", "union"):
            # float32 in another order may lift a level of 255 over its threshold at the edge of a mask
            assert found[key] == pytest.approx(expected[key], abs=1e-3)
