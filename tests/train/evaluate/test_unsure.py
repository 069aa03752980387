from dataclasses import replace

import numpy as np
import pytest

from bundle import Threshold
from tests.train.cli.test_main import run_main
from tests.train.evaluate.test_metrics import CLASSES, ROWS
from train.errors import DataError
from train.evaluate.metrics import measure
from train.evaluate.prediction import NEVER, compare
from train.evaluate.prediction_files import FILE, Predictions, save_predictions
from train.evaluate.tables import sentences
from train.evaluate.unsure import unsure_curve

LACKING = (0.0, 0.2, 0.0, 0.4, 0.0)
"""Of `ROWS`: the escape lacks 0.2 of its threshold, the good picture that passes 0.4."""
PARTS = ("a", "a", "b", "c", "d")
JUDGED = Predictions(
    CLASSES,
    tuple(
        replace(row, part=part, lacking=lacking, name=part, image=str(number))
        for number, (row, part, lacking) in enumerate(zip(ROWS, PARTS, LACKING, strict=True))
    ),
)


def test_a_wider_margin_catches_the_escape_then_good_pictures_too() -> None:
    points = unsure_curve(JUDGED.images, by_part=False, margins=(0.1, 0.2, 0.4))
    assert [(point.sent, point.caught, point.escapes) for point in points] == [(0, 0, 1), (1, 1, 1), (2, 1, 1)]
    assert all(point.cases == 5 for point in points)


def test_a_part_that_is_found_in_one_view_does_not_escape() -> None:
    (point,) = unsure_curve(JUDGED.images, by_part=True, margins=(0.4,))
    assert (point.cases, point.sent, point.caught, point.escapes) == (4, 1, 0, 0)


def test_metrics_have_the_curve_by_part_and_say_it() -> None:
    metrics = JUDGED.metrics()
    assert metrics.unsure == unsure_curve(JUDGED.images, by_part=True)
    assert "UNSURE at an unsure_margin of 0.05 0 of 4 (0.0 %), 0.1 0 of 4 (0.0 %), 0.2" in " ".join(sentences(metrics))
    assert measure(ROWS, CLASSES).unsure == ()


def test_old_predictions_are_refused() -> None:
    with pytest.raises(DataError, match="found pictures without `lacking`"):
        unsure_curve(ROWS, by_part=False)


def test_what_a_picture_lacks_is_read_off_the_decision() -> None:
    masks, truth = np.zeros((2, 4, 4), np.uint8), np.zeros((2, 8, 8), bool)
    masks[0, 1:3, 1:3] = 200
    labels, scores = np.array([True, False]), np.float32([0.4, 0.3])

    def lacking(first: Threshold, second: Threshold) -> float | None:
        return compare(scores, masks, truth, labels, {"Pit": first, "Scratch": second}).lacking

    assert lacking(Threshold(score=0.5), Threshold(score=0.9)) == pytest.approx(0.1)
    assert lacking(Threshold(score=0.3), Threshold(score=0.9)) == 0
    blob = Threshold(score=0.9, min_area_px=100)  # the first has a blob of 16 pixels, the second none
    assert lacking(blob, blob) == NEVER


def test_command_prints_both_curves(tmp_path, capsys) -> None:
    save_predictions(JUDGED, tmp_path / FILE)
    assert run_main("unsure", str(tmp_path), "--markdown") == 0
    printed = capsys.readouterr().out
    assert "| 0.2 | 1 of 5 (20.0 %) | 1 of 1 | 0 | 0 |" in printed
    assert "parts, by their worst picture:" in printed
