import csv
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from tests.train.cli.test_main import run_main
from tests.train.evaluate.test_metrics import CLASSES, ROWS
from tests.train.evaluate.test_per_part import known
from train.data.dataset import Dataset, Sample
from train.data.readers import read_dataset
from train.data.relabel import COLUMNS, FILE
from train.errors import DataError
from train.evaluate.prediction import Prediction
from train.evaluate.prediction_files import FILE as PREDICTIONS
from train.evaluate.prediction_files import Predictions, save_predictions
from train.evaluate.suspects import find_suspects

PARTS = {"0": "tile-1", "1": "tile-1", "2": "tile-1", "3": "tile-2", "4": "tile-3"}
DATASET = Dataset("tiles", CLASSES, tuple(known(image, part) for image, part in PARTS.items()))
JUDGED = Predictions(CLASSES, tuple(replace(row, name=f"{n}.png", image=str(n)) for n, row in enumerate(ROWS)))


def test_a_part_of_several_classes_is_listed_whatever_the_network_says() -> None:
    found = find_suspects(JUDGED, DATASET, confidence=1)
    assert [(one.sample.sha256, one.label) for one in found] == [("0", "Pit"), ("1", "Pit"), ("2", "Scratch")]
    assert found[0].reason == "other pictures of the part are Scratch"


def test_a_confident_opinion_against_the_label_is_listed() -> None:
    found = find_suspects(JUDGED, DATASET, confidence=0.69)
    (alarm,) = [one for one in found if one.sample.part == "tile-3"]
    assert (alarm.label, alarm.opinion, alarm.score) == ("good", "Scratch", pytest.approx(0.7))
    assert not [one for one in find_suspects(JUDGED, DATASET, confidence=0.75) if one.sample.part == "tile-3"]


def test_parts_come_by_their_most_confident_opinion() -> None:
    parts = [one.sample.part for one in find_suspects(JUDGED, DATASET, confidence=0.69)]
    assert parts == ["tile-1", "tile-1", "tile-1", "tile-3"]


def test_pictures_of_other_data_are_refused() -> None:
    with pytest.raises(DataError, match=r"0.png: found in the predictions, but not in tiles"):
        find_suspects(JUDGED, replace(DATASET, samples=DATASET.samples[1:]), confidence=0.9)


def wrong(sample: Sample) -> Prediction:
    """A sure Fray, whatever the picture shows."""
    none, found = np.zeros(5, np.int64), np.array([False, False, False, True, False])
    return Prediction(
        labels=np.array(sample.labels), outlined=np.ones(5, bool), scores=np.where(found, np.float32(0.95), 0),
        found=found, intersection=none, union=none, truth_area=none, any_intersection=0, any_union=0,
        name=sample.path.name, image=sample.sha256, part=sample.part,
    )  # fmt: skip


def test_command_writes_pictures_and_a_file_to_fill_in(tiles: Path, tmp_path: Path, capsys) -> None:
    dataset = read_dataset(tiles)
    cracks = [sample for sample in dataset.samples if sample.labels[2]][:2]
    save_predictions(Predictions(dataset.classes, tuple(map(wrong, cracks))), tmp_path / PREDICTIONS)
    arguments = ("suspects", tmp_path / PREDICTIONS, "--data", tiles, "--out", tmp_path)
    assert run_main(*arguments) == 0
    assert "2 pictures of 2 parts" in capsys.readouterr().out
    with (tmp_path / FILE).open() as file:
        lines = list(csv.DictReader(file))
    assert tuple(lines[0]) == COLUMNS
    assert [(line["label"], line["opinion"], line["new_label"]) for line in lines] == [("Crack", "Fray", "")] * 2
    assert (tmp_path / "suspects.html").read_text().count("<figure>") == 2
    assert run_main(*arguments) == 2
    assert "found a file that may hold corrections" in capsys.readouterr().err
