"""The cost of tiles: counted on a clock that is set by hand, and printed by the command."""

import shutil
from collections.abc import Callable
from itertools import count
from pathlib import Path

import pytest

from bundle import load_bundle
from edge.cli import main
from edge.commands.bench_tiles import TileCost, measure_tiles
from edge.errors import CheckFailed
from tests.tiled import TILED, write_staged, write_tiled


def test_the_command_prints_a_table(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["bench-tiles", str(write_tiled(tmp_path / "tiled")), "--threads", "1", "--rounds", "2"])

    said = capsys.readouterr().out
    assert ended.value.code in (None, 0)
    assert "ms per Mpx" in said
    assert "picture in tiles" in said


def test_costs_are_per_megapixel_of_the_picture() -> None:
    cost = TileCost(tiles=6, picture_mpx=4.0, tile_mpx=1.0, picture_ms=90.0, tile_ms=10.0)

    assert cost.overlap == 1.5
    assert cost.stitching == 1.5


def test_medians_of_a_clock_that_ticks_once_a_call(tmp_path: Path) -> None:
    bundle = load_bundle(write_tiled(tmp_path / "tiled"))
    ticks = count()
    found = measure_tiles(bundle, "onnxruntime", 1, 3, clock=lambda: next(ticks) / 1000)

    grid = bundle.manifest.tile_grid
    assert grid is not None
    assert found.tiles == len(grid.places)
    assert found.picture_ms == pytest.approx(1)
    assert found.tile_ms == pytest.approx(1 / found.tiles)
    assert found.picture_mpx == TILED.height * TILED.width / 1e6


def test_every_tile_is_measured_without_the_first_stage(tmp_path: Path) -> None:
    bundle = load_bundle(write_staged(tmp_path / "staged"))
    shutil.rmtree(tmp_path / "staged" / "first")

    assert measure_tiles(bundle, "onnxruntime", 1, 1).picture_ms > 0


def test_a_bundle_without_tiles_is_refused(make_bundle: Callable[..., Path]) -> None:
    with pytest.raises(CheckFailed, match="found a bundle without tiles"):
        measure_tiles(load_bundle(make_bundle()), "onnxruntime", 1, 1)
