import json
from dataclasses import replace
from pathlib import Path
from statistics import stdev

import pytest

from tests.train.cli.test_main import run_main
from tests.train.evaluate.test_metrics import CLASSES, ROWS
from train.errors import DataError
from train.evaluate.metrics import measure, rate
from train.evaluate.prediction_files import FILE, Predictions, load_predictions, save_predictions
from train.evaluate.runs.pooling import MEASURES, pool

ALL = [replace(row, name=f"{number}.png", image=str(number)) for number, row in enumerate(ROWS)]
FIRST, SECOND = Predictions(CLASSES, tuple(ALL[:3])), Predictions(CLASSES, tuple(ALL[3:]))


def test_pooled_measures_are_those_of_all_images_together() -> None:
    made = pool({"first": FIRST, "second": SECOND})
    assert made.pooled == measure(ROWS, CLASSES)
    assert made.images == len(ROWS)
    assert made.recall["Pit"] == rate(1, 2)


def test_spread_is_over_the_runs() -> None:
    later = {"second": Predictions(CLASSES, tuple(ALL[:2])), "again": Predictions(CLASSES, tuple(ALL[1:4]))}
    made = pool({"first": FIRST, **later})
    values = [made.runs[name].accuracy_pairs for name in ("first", "second", "again")]
    assert made.spread["accuracy_pairs"].values == tuple(values)
    assert made.spread["accuracy_pairs"].mean == pytest.approx(sum(values) / 3)
    assert made.spread["accuracy_pairs"].deviation == pytest.approx(stdev(values))
    assert set(made.spread) > set(MEASURES)


def test_a_measure_that_a_run_does_not_have_is_left_out_of_the_mean() -> None:
    escapes = pool({"first": FIRST, "second": SECOND}).spread["escapes.value"]  # the second has good images alone
    assert escapes.values == (pytest.approx(1 / 3), None)
    assert (escapes.mean, escapes.deviation) == (pytest.approx(1 / 3), None)


def test_an_image_of_two_runs_is_not_pooled() -> None:
    made = pool({"first": FIRST, "again": FIRST})
    assert made.pooled is None
    assert made.images == 3
    assert made.spread["accuracy_pairs"].deviation == 0


def test_other_classes_are_refused() -> None:
    with pytest.raises(DataError, match="other: found the classes Dent, expected those of first, Pit, Scratch"):
        pool({"first": FIRST, "other": Predictions(("Dent",), ())})


def test_the_file_gives_the_predictions_back(tmp_path: Path) -> None:
    save_predictions(FIRST, tmp_path / FILE)
    found = load_predictions(tmp_path / FILE)
    assert found.metrics() == FIRST.metrics()
    assert [(row.name, row.image) for row in found.images] == [("0.png", "0"), ("1.png", "1"), ("2.png", "2")]
    assert found.images[0].scores.dtype == FIRST.images[0].scores.dtype


@pytest.mark.parametrize("text", [None, "{", "[]", '{"classes": ["a"], "images": [{"found": [true]}]}'])
def test_bad_file_is_refused(tmp_path: Path, text: str | None) -> None:
    if text is not None:
        (tmp_path / FILE).write_text(text)
    with pytest.raises(DataError, match=r"predictions\.json: cannot be read as predictions .* `train evaluate"):
        load_predictions(tmp_path / FILE)


def test_folds_are_trained_and_pooled(tiles: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    recipe = tmp_path / "quick.toml"
    recipe.write_text("input = {height = 48, width = 32, channels = 1}\nnetwork = {width = 4, pooling = 4}\n")
    assert run_main("split", "--data", tiles, "--folds", 2, "--out", tmp_path / "folds") == 0
    runs = [tmp_path / "run-1", tmp_path / "run-2"]
    for number, out in enumerate(runs, start=1):
        fold = tmp_path / "folds" / f"fold-{number}.json"
        given = ("--data", tiles, "--recipe", recipe, "--epochs", 1, "--split", fold, "--out", out, "--threads", 1)
        assert run_main(*given) == 0
    capsys.readouterr()

    assert run_main("pool", *runs, "--json", tmp_path / "pool.json") == 0
    told = capsys.readouterr().out
    assert "80 images of 2 runs, pooled" in told
    assert "Fray: found" in told
    written = json.loads((tmp_path / "pool.json").read_text())
    assert written["pooled"]["images"] == 80
    assert list(written["runs"]) == ["run-1", "run-2"]
    assert written["runs"]["run-1"] == json.loads((runs[0] / "metrics.json").read_text())["test"]

    again = tmp_path / "again.json"
    assert run_main("evaluate", runs[0] / "best.pt", "--data", tiles, "--predictions", again, "--threads", 1) == 0
    assert again.read_text() == (runs[0] / FILE).read_text()
