"""`edge-export first-stage`: the highest level that keeps the defects, the bundle of both networks, refusals."""

import json

import numpy as np
import pytest

from bundle import Crop, load_bundle
from export.bundles.first_stage import TrueDefects, level_of
from export.cli import console, main
from export.errors import StageError
from tests.export.networks import CLASSES, levels_model, spec_of, write_tiny_bundle
from tests.export.test_tiles import SQUARES

SMALL = spec_of(32, 24)
TILES = 12
"""4 x 3 of 24 pixels in 64 x 48 pixels with an overlap of 8."""


@pytest.fixture(scope="module")
def tiled(tmp_path_factory):
    return write_tiny_bundle(tmp_path_factory.mktemp("bundles") / "tiled", levels_model(SQUARES), SQUARES)


def write_first(folder, classes=CLASSES, spec=SMALL, slope=0.5):
    """Write a network on the picture at half its size, which sees the squares of some classes."""
    return write_tiny_bundle(folder, levels_model(spec, classes, slope), spec, classes=classes)


@pytest.fixture
def run():
    """Run the command line: returns what it prints, or raises SystemExit."""

    def run(*arguments):
        with console.capture() as printed:
            try:
                main([*map(str, arguments), "--threads", "1"])
            except SystemExit as stop:
                if stop.code:
                    raise
        return printed.get()

    return run


def row(table, name):
    """Cells of a printed table's row."""
    (line,) = (line for line in table.splitlines() if line.strip("│┃ ").startswith(name))
    return [cell.strip() for cell in line.strip("│").split("│")][1:]


@pytest.fixture
def join(run, tiled, squares):
    def join(first, out, *options):
        return run("first-stage", tiled, first, "--data", squares, "--part", "all", "--out", out, *options)

    return join


def test_no_square_is_lost_and_a_good_picture_costs_one_tile(join, tmp_path):
    said = join(write_first(tmp_path / "first"), tmp_path / "joined")

    assert row(said, "defects found") == ["40 of 40", "40 of 40"]
    assert row(said, "defective pictures passed") == ["0 of 40", "0 of 40"]
    assert row(said, "good pictures rejected") == ["0 of 16", "0 of 16"]
    assert row(said, "tiles of a good picture, %") == ["100.0", f"{100 / TILES:.1f}"]
    assert row(said, "defects lost") == ["-", "0 of 40 (0.0 to 8.8 %)"]
    joined = load_bundle(tmp_path / "joined")
    assert joined.manifest.name == "joined"
    assert joined.manifest.made_from.comparison["first stage"]["lost"] == [0, 40]


def test_a_joined_bundle_is_evaluated_and_compared_as_any_other(run, join, tiled, squares, tmp_path):
    join(write_first(tmp_path / "first"), tmp_path / "joined")
    run("evaluate", tmp_path / "joined", "--data", squares, "--json", tmp_path / "figures.json")
    said = run("compare", tiled, tmp_path / "joined", "--data", squares)

    metrics = json.loads((tmp_path / "figures.json").read_text())["metrics"]
    assert [one["iou_pooled"] for one in metrics["classes"]] == [1.0] * 5
    assert metrics["escapes"]["count"] == metrics["false_rejects"]["count"] == 0
    assert "changed verdicts" not in said


def test_a_first_stage_of_other_classes_is_taken_and_what_it_does_not_see_is_counted(join, tmp_path):
    first = write_first(tmp_path / "first", CLASSES[:2])
    with pytest.raises(SystemExit, match="marks nothing where 24 of 40 defects lie"):
        join(first, tmp_path / "strict")
    said = join(first, tmp_path / "lenient", "--most-lost", "0.6")

    assert row(said, "defects found") == ["40 of 40", "16 of 40"]
    assert row(said, "defective pictures passed") == ["0 of 40", "24 of 40"]
    assert row(said, "defects lost")[1].startswith("24 of 40")
    assert not (tmp_path / "strict").exists()


def test_the_faintest_square_gives_the_level(join, tmp_path):
    """The last class is 40 grey levels from the nearest known one, and what is good 44 from the first."""
    said = join(write_first(tmp_path / "first", CLASSES[:4], slope=0.15), tmp_path / "joined")

    assert row(said, "defects found") == ["40 of 40", "40 of 40"]
    faintest = 255 / (1 + np.exp(0.15 * 40 - 8))
    assert load_bundle(tmp_path / "joined").manifest.first_stage.level == pytest.approx(faintest, abs=1)


@pytest.mark.parametrize(("most_lost", "level"), [(0.0, 10), (0.24, 10), (0.25, 20), (0.5, 30), (0.99, 40), (1.0, 40)])
def test_the_level_is_the_highest_that_loses_no_more_than_asked(most_lost, level):
    highest = [30, 10, 40, 20]

    assert level_of(highest, most_lost) == level
    assert sum(each < level for each in highest) <= most_lost * len(highest)


def test_without_a_defect_there_is_no_level():
    with pytest.raises(StageError, match="found no outlined defect that the tiles find"):
        level_of([], 0.0)


def test_defects_are_counted_by_their_connected_pixels_and_found_by_a_mark_on_a_cell():
    masks = np.zeros((2, 16, 12), bool)
    masks[0, 2:4, 2:4] = masks[1, 4:6, 4:6] = masks[1, 15, 11] = True  # the first two touch at a corner
    defects = TrueDefects.of(masks, (4, 4))
    marked = np.zeros((4, 3), bool)
    marked[0, 0] = True

    assert defects.count == 2
    assert defects.found(marked).tolist() == [True, False]
    assert defects.found(~marked).tolist() == [True, True]
    assert TrueDefects.of(masks & False, (4, 4)).found(~marked).tolist() == []


def test_networks_that_do_not_fit_are_refused(run, join, tiled, squares, tmp_path):
    small, out = write_first(tmp_path / "first"), tmp_path / "out"
    cropped = write_first(
        tmp_path / "cropped", spec=SMALL.model_copy(update={"crop": Crop(x=0, y=0, width=9, height=9)})
    )

    with pytest.raises(SystemExit, match="tiled: found a network with tiles, expected one that sees the whole picture"):
        join(tiled, out)
    with pytest.raises(
        SystemExit, match="cropped: found the crop x=0 y=0 width=9 height=9, expected that of the tiles"
    ):
        join(cropped, out)
    with pytest.raises(SystemExit, match="first: found a bundle without tiles, expected one with tiles"):
        run("first-stage", small, small, "--data", squares, "--part", "all", "--out", out)
    together = write_tiny_bundle(tmp_path / "together", levels_model(SQUARES), SQUARES, exposures="mean-odds")
    with pytest.raises(SystemExit, match=r"together: found exposures judged together \(mean-odds\), expected each by"):
        run("first-stage", together, small, "--data", squares, "--part", "all", "--out", out)


def test_what_changes_one_network_refuses_two(run, join, squares, tmp_path):
    first, out, joined = write_first(tmp_path / "first"), tmp_path / "out", tmp_path / "joined"
    join(first, joined)
    for command in (
        ["thresholds", joined, "--data", squares, "--max-escapes", "0"],
        ["calibrate", joined, "--images", squares],
        ["first-stage", joined, first, "--data", squares],
    ):
        with pytest.raises(SystemExit, match="joined: found a bundle with a first stage, expected one without; change"):
            run(*command, "--out", out)
