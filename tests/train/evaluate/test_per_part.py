from dataclasses import replace
from pathlib import Path

import pytest

from tests.train.cli.test_main import run_main
from tests.train.evaluate.test_held_out import CPU, untrained, with_any
from tests.train.evaluate.test_metrics import CLASSES, ROWS
from train.data.dataset import Dataset, Sample
from train.data.readers import read_dataset
from train.data.splits import make_split
from train.errors import DataError
from train.evaluate.per_part import PartRow, part_rows, part_table, share_interval, wrong_share
from train.evaluate.predict import evaluate_checkpoint
from train.evaluate.prediction_files import FILE, Predictions, save_predictions


def known(image: str, part: str) -> Sample:
    """A sample whose image need not be read to be named."""
    sample = Sample(Path(f"{image}.png"), part, (None, None))
    sample.__dict__["sha256"] = image  # where it would be kept once the file has been read
    return sample


PARTS = {"0": "tile-1", "1": "tile-1", "2": "tile-2", "3": "tile-3", "4": "tile-3"}
DATASET = Dataset("tiles", CLASSES, tuple(known(image, part) for image, part in PARTS.items()))
JUDGED = Predictions(CLASSES, tuple(replace(row, name=f"{n}.png", image=str(n)) for n, row in enumerate(ROWS)))


def test_images_of_a_part_are_one_row_the_worst_first() -> None:
    rows = part_rows(JUDGED, DATASET)
    assert [(row.part, row.truth, row.images, row.wrong) for row in rows] == [
        ("tile-1", "Pit", 2, 1),
        ("tile-3", "good", 2, 1),
        ("tile-2", "Scratch", 1, 0),
    ]


def test_row_says_what_the_part_was_taken_for() -> None:
    taken = {row.part: row.taken_for for row in part_rows(JUDGED, DATASET)}
    assert taken["tile-2"] == "Scratch"  # Pit was found as well, with a smaller score
    assert taken["tile-3"] == "Scratch"  # one of its two images, which is good, was passed
    rows = [replace(row, found=row.found & False) for row in JUDGED.images]
    passed = part_rows(Predictions(CLASSES, tuple(rows)), DATASET)
    assert {row.taken_for for row in passed} == {"good"}


def test_overlap_is_pooled_over_the_images_of_a_part() -> None:
    overlaps = {row.part: row.overlap for row in part_rows(JUDGED, DATASET)}
    assert overlaps["tile-1"] == pytest.approx(5 / (15 + 20))
    assert overlaps["tile-3"] == 0.0  # 6 pixels predicted where there are none


def test_table_has_the_parts_judged_wrongly() -> None:
    table = part_table(part_rows(JUDGED, DATASET))
    assert [row[0] for row in table.rows] == ["tile-1", "tile-3"]
    assert all(len(row) == len(table.columns) for row in table.rows)


def test_interval_draws_whole_parts() -> None:
    """Twenty images in two parts, one of them wrong throughout, say less than twenty in twenty parts."""
    few = [one(10, wrong) for wrong in (0, 10)]
    many = [one(1, number % 2) for number in range(20)]
    assert share_interval(few) == (0.0, 1.0)
    low, high = share_interval(many)
    assert 0.2 < low < 0.5 < high < 0.8
    assert share_interval(many) == (low, high)


def test_share_in_words() -> None:
    rows = [one(4, 4), one(4, 0)]
    assert wrong_share(rows) == "4 of 8 images of 2 parts (50.0 %, 95 % with whole parts drawn: 0.0 to 100.0)"


def test_no_part_has_no_interval() -> None:
    with pytest.raises(DataError, match="found no part"):
        share_interval([])


def test_an_image_of_other_data_is_refused() -> None:
    with pytest.raises(DataError, match=r"0\.png: found in the predictions, but not in tiles"):
        part_rows(JUDGED, replace(DATASET, samples=DATASET.samples[1:]))


def test_command_lists_the_parts(quick_recipe, tiles: Path, tmp_path: Path, capsys) -> None:
    dataset = read_dataset(tiles)
    fresh = with_any(untrained(quick_recipe(), dataset, make_split(dataset, "by-part", 0), seed=1))
    judged, _ = evaluate_checkpoint(fresh, dataset, None, "all", CPU)
    save_predictions(judged, tmp_path / FILE)
    assert run_main("pool", tmp_path, "--data", tiles, "--markdown") == 0
    out = capsys.readouterr().out
    wrong = [row for row in part_rows(judged, dataset) if row.wrong]
    assert wrong
    assert all(f"| {row.part} | {row.truth} |" in out for row in wrong)


def one(images: int, wrong: int) -> PartRow:
    return PartRow("tile", "Pit", images, wrong, "good", 0.5, 0.0)
