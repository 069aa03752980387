"""The artist that draws tiles: repeatable, and honest about where the defects are."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest

from synthetic.tiles import CLASSES, choose_kind, draw_part, draw_tile

ROOT = Path(__file__).resolve().parents[2]
SOFT_RIM_PX = 8  # half of the widest rim that is drawn, Uneven's 12 px, and the slope of its edge


@pytest.mark.parametrize("kind", [*CLASSES, None])
def test_the_same_arguments_draw_the_same_tile(kind: str | None) -> None:
    first, second = draw_tile(3, 7, kind), draw_tile(3, 7, kind)
    assert np.array_equal(first.image, second.image)
    assert np.array_equal(first.masks, second.masks)


def test_seed_index_and_exposure_each_change_the_picture() -> None:
    tiles = [draw_tile(3, 7, None), draw_tile(4, 7, None), draw_tile(3, 8, None), draw_tile(3, 7, None, exposure=1)]
    assert len({tile.image.tobytes() for tile in tiles}) == len(tiles)


def test_a_tile_is_a_grey_portrait_of_the_usual_size() -> None:
    for index in range(20):
        tile = draw_tile(1, index, None)
        height, width = tile.image.shape
        assert tile.image.dtype == tile.masks.dtype == np.uint8
        assert tile.masks.shape == (len(CLASSES), height, width)
        assert 340 <= height <= 420
        assert 250 <= width <= 320


def test_a_good_part_has_an_empty_truth() -> None:
    assert not draw_tile(1, 0, None).masks.any()


@pytest.mark.parametrize("kind", CLASSES)
@pytest.mark.parametrize("index", range(12))
def test_the_truth_lies_in_the_channel_of_its_kind_only(kind: str, index: int) -> None:
    tile = draw_tile(5, index, kind)
    assert [name for name, mask in zip(CLASSES, tile.masks, strict=True) if mask.any()] == [kind]
    assert set(np.unique(tile.masks)) <= {0, 255}


@pytest.mark.parametrize("kind", CLASSES)
@pytest.mark.parametrize("index", range(12))
def test_the_truth_is_where_the_good_part_was_changed(kind: str, index: int) -> None:
    good, bad = draw_tile(5, index, None), draw_tile(5, index, kind)
    changed, truth = good.image != bad.image, bad.masks[CLASSES.index(kind)]
    rim = cv2.dilate(truth, np.ones((2 * SOFT_RIM_PX + 1,) * 2, np.uint8))
    assert not (changed & (rim == 0)).any()
    assert changed[truth > 0].mean() > 0.8  # flecks and noise may by chance restore the old grey level


@pytest.mark.parametrize("kind", CLASSES)
def test_another_exposure_shows_the_same_defect(kind: str) -> None:
    first, second = draw_tile(5, 2, kind), draw_tile(5, 2, kind, exposure=3)
    assert np.array_equal(first.masks, second.masks)
    assert not np.array_equal(first.image, second.image)


def test_an_unknown_kind_is_refused_with_the_known_ones() -> None:
    with pytest.raises(ValueError, match=r"'Rust'.*Blowhole, Break"):
        draw_tile(0, 0, "Rust")


def kinds_of(count: int, share: float = 0.3) -> list[str | None]:
    """Kinds of the first parts of a production."""
    return [choose_kind(9, index, share) for index in range(count)]


def test_a_production_holds_its_share_with_every_class_in_it() -> None:
    kinds = kinds_of(100)
    assert [kinds.count(name) for name in CLASSES] == [6] * len(CLASSES)
    assert kinds[:50] != kinds[50:]


@pytest.mark.parametrize(("share", "defective"), [(0.0, 0), (0.01, 1), (0.5, 50), (1.0, 100)])
def test_a_share_is_kept_over_two_decks(share: float, defective: int) -> None:
    assert sum(kind is not None for kind in kinds_of(100, share)) == defective


def test_a_share_outside_zero_to_one_is_refused() -> None:
    with pytest.raises(ValueError, match=r"defective_share is 30, expected 0 to 1"):
        choose_kind(0, 0, 30)


def test_a_part_asked_for_alone_is_the_one_of_the_production() -> None:
    kinds = kinds_of(60)
    assert [draw_part(9, index).kind for index in (0, 17, 59)] == [kinds[index] for index in (0, 17, 59)]


def run_tool(*arguments: object) -> subprocess.CompletedProcess[str]:
    """Run tools/draw-tiles by its path, as a person does from any folder."""
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    command = [sys.executable, str(ROOT / "tools" / "draw-tiles"), *map(str, arguments)]
    return subprocess.run(command, env=environment, capture_output=True, text=True, timeout=600)


@pytest.fixture(scope="module")
def data_set(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Twelve parts in two exposures each, written by the tool."""
    pytest.importorskip("typer", reason="tools/draw-tiles needs typer")
    out = tmp_path_factory.mktemp("tiles") / "set"
    done = run_tool("--out", out, "--parts", 12, "--seed", 9, "--exposures", 2)
    assert done.returncode == 0, done.stderr
    return out


def test_the_tool_writes_the_layout_of_the_magnetic_tile_set(data_set: Path) -> None:
    kinds = kinds_of(12)
    expected = {
        f"MT_{kind or 'Free'}/Imgs/exp{exposure + 1}_num_{1000 * (part + 1) + exposure}.{ending}"
        for part, kind in enumerate(kinds)
        for exposure in range(2)
        for ending in ("jpg", "png")
    }
    assert {path.relative_to(data_set).as_posix() for path in data_set.rglob("*.*")} == expected | {"CITATION.txt"}


def test_the_written_truth_fits_its_picture(data_set: Path) -> None:
    for path in data_set.rglob("*.jpg"):
        image, mask = (cv2.imread(str(file), cv2.IMREAD_UNCHANGED) for file in (path, path.with_suffix(".png")))
        assert image is not None
        assert mask is not None
        assert image.ndim == 2
        assert image.shape == mask.shape
        assert set(np.unique(mask)) == ({0} if "MT_Free" in path.parts else {0, 255})


def test_numbers_tell_the_parts_apart(data_set: Path) -> None:
    numbers = sorted(int(path.stem.split("_")[-1]) for path in data_set.rglob("*.jpg"))
    assert int((np.diff(numbers) > 300).sum()) + 1 == 12


def test_the_tool_refuses_a_folder_that_holds_something(data_set: Path) -> None:
    before = sorted(data_set.rglob("*"))
    done = run_tool("--out", data_set, "--parts", 1)
    assert done.returncode == 1
    assert done.stderr.splitlines() == [f"{data_set} is not an empty folder; name a new one, or empty it first"]
    assert sorted(data_set.rglob("*")) == before
