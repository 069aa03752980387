import json
from pathlib import Path

import pytest

from tests.train.cli.test_main import run_main
from tests.train.evaluate.test_metrics import CLASSES, ROWS
from train.data.splits import Split, save_split
from train.errors import DataError
from train.evaluate.metrics import measure
from train.evaluate.runs.compare_runs import MEASURES, load_metrics, measures_grid, paper_grid
from train.evaluate.runs.paper_table import TABLE_I

ALL = measure(ROWS, CLASSES)
SOME = measure(ROWS[:3], CLASSES)


def finished_run(folder: Path, **parts: object) -> Path:
    folder.mkdir()
    (folder / "metrics.json").write_text(json.dumps(parts))
    return folder


def test_a_row_holds_what_was_measured() -> None:
    grid = measures_grid({"all": ALL, "some": SOME})
    assert [row[0] for row in grid.rows] == ["all", "some"]
    column = grid.columns.index("IoU of the union, pooled")
    assert grid.rows[0][column] == f"{100 * ALL.union.iou_pooled:.1f}"
    assert grid.rows[1][column] == f"{100 * SOME.union.iou_pooled:.1f}"
    assert len(grid.rows[0]) == len(MEASURES) + 1


def test_the_papers_rows_stand_above_ours() -> None:
    grid = paper_grid({"all": ALL}, TABLE_I)
    assert grid.rows[5] == (
        "paper: CAN, 500 images", "98.32", "100, 94.4, 100, 100, 100", "89.51", "30.1, 39.5, 57.7, 35.9, 60.5"
    )  # fmt: skip
    assert grid.rows[-1][:2] == ("all", f"{100 * ALL.accuracy_pairs:.2f}")


def test_the_command_prints_each_part_of_each_run(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    parts = {"val": SOME.model_dump(mode="json"), "test": ALL.model_dump(mode="json")}
    runs = [str(finished_run(tmp_path / name, **parts)) for name in ("first", "second")]
    run_main("compare", *runs, "--markdown")
    test = capsys.readouterr().out
    assert f"| second | {100 * ALL.accuracy_pairs:.2f} |" in test
    run_main("compare", *runs, "--part", "val", "--markdown")
    assert f"| first | {100 * SOME.accuracy_pairs:.2f} |" in capsys.readouterr().out
    run_main("compare", *runs, "--paper")
    assert "paper: HRNetV1" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("content", "found"),
    [
        (None, "No such file"),
        ("{}", "found no metrics of the test part"),
        ("[", "found no metrics of a run"),
        ('{"test": 1}', "found no metrics of a run"),
    ],
)
def test_what_is_no_finished_run_is_said(tmp_path: Path, content: str | None, found: str) -> None:
    if content is not None:
        (tmp_path / "metrics.json").write_text(content)
    with pytest.raises(DataError, match=found):
        load_metrics(tmp_path, "test")


def test_runs_on_other_images_are_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    parts = {"test": ALL.model_dump(mode="json")}
    sides = {
        "first": ("test", "test", "train"),
        "second": ("test", "train", "train"),
        "third": ("test", "test", "train"),
    }
    for name, given in sides.items():
        split = Split(kind="random", seed=0, images=dict(zip("abc", given, strict=True)))
        save_split(split, finished_run(tmp_path / name, **parts) / "split.json")
    run_main("compare", *(str(tmp_path / name) for name in sides))
    warnings = [line for line in capsys.readouterr().out.splitlines() if line.startswith("warning")]
    assert len(warnings) == 1
    assert "second: measured on other images than first (1 of its 1 in the test part are the same)" in warnings[0]
