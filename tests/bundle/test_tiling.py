"""Tiles: their places in a picture, the stitching of their outputs, the manifest's version."""

import json
from collections.abc import Iterable, Iterator

import numpy as np
import pytest
from pydantic import ValidationError

from bundle import BundleFormat, Crop, FrameError, InputSpec, MaskSize, TileGrid, Tiling, load_bundle, preprocess
from bundle.tiling import Outputs, TileAxis
from tests.conftest import tiny_manifest, tiny_outputs
from tests.tiled import TILED, write_tiled

RNG = np.random.default_rng(8)
SIZES = [(3000, 512, 64), (4096, 512, 64), (16384, 512, 64), (256, 256, 64), (264, 256, 128), (24, 16, 8), (8, 8, 0)]


def grid_of(height: int, width: int, tiling: Tiling) -> TileGrid:
    return TileGrid.of(tiling, (height, width), (height // 2, width // 2))


@pytest.mark.parametrize("cell", [1, 2, 4, 8])
@pytest.mark.parametrize(("length", "tile", "overlap"), SIZES)
def test_tiles_cover_the_axis_with_the_overlap_and_on_whole_cells(
    length: int, tile: int, overlap: int, cell: int
) -> None:
    axis = TileAxis.of(length, tile, overlap, cell)

    assert (axis.starts[0], axis.starts[-1] + tile) == (0, length)
    assert all(start % cell == 0 for start in axis.starts)
    assert all(after <= before + tile - overlap for before, after in zip(axis.starts, axis.starts[1:], strict=False))


@pytest.mark.parametrize(("length", "tile", "overlap"), SIZES)
def test_each_cell_belongs_to_one_tile_half_the_overlap_away_from_its_seams(
    length: int, tile: int, overlap: int
) -> None:
    axis = TileAxis.of(length, tile, overlap, 2)
    owned = [cell for index in range(len(axis.starts)) for cell in range(length // 2)[axis.own(index)]]

    assert owned == list(range(length // 2))
    for index, start in enumerate(axis.starts):
        inner = axis.inner(index)
        assert (axis.own(index).start, axis.own(index).stop) == (start // 2 + inner.start, start // 2 + inner.stop)
        assert start == 0 or inner.start >= overlap // 4
        assert start + tile == length or inner.stop <= tile // 2 - overlap // 4


def test_no_more_tiles_than_needed() -> None:
    grid = grid_of(3000, 4096, Tiling(height=512, width=512, overlap=64))

    assert (len(grid.rows.starts), len(grid.columns.starts)) == (
        7,
        9,
    )  # ceil((3000 - 64) / 448), ceil((4096 - 64) / 448)
    assert len(grid.places) == 63


def by_tile(batches: Iterable[np.ndarray]) -> Iterator[Outputs]:
    return map(tiny_outputs, batches)


def test_tiles_of_a_network_without_context_give_what_it_gives_for_the_whole_picture() -> None:
    pictures = RNG.integers(0, 256, (2, 1, 70, 54), dtype=np.uint8)

    scores, masks = grid_of(70, 54, Tiling(height=16, width=12, overlap=4, batch=5)).infer(pictures, by_tile)

    whole = tiny_outputs(pictures)
    assert np.array_equal(masks, whole[1])
    assert np.allclose(scores, whole[0], atol=1 / 510)  # half a level of 255


def edge_effect(batches: Iterable[np.ndarray]) -> Iterator[Outputs]:
    """A network that is wrong in the two cells along its tile's border."""
    for scores, masks in by_tile(batches):
        masks[..., :2, :], masks[..., -2:, :], masks[..., :2], masks[..., -2:] = 255, 255, 255, 255
        yield np.maximum(scores, masks.max(axis=(2, 3)) / np.float32(255)), masks


def test_what_a_network_marks_at_the_border_of_a_tile_is_left_to_its_neighbour() -> None:
    picture = np.full((1, 1, 64, 64), 100, np.uint8)

    scores, masks = grid_of(64, 64, Tiling(height=16, width=16, overlap=8)).infer(picture, edge_effect)

    assert (masks[0, 0, 2:-2, 2:-2] == 100).all()
    assert (masks[0, 0, :2] == 255).all()  # the picture's own border has no neighbour
    assert scores[0, 0] == 1


def test_a_score_from_another_tile_s_cells_does_not_count() -> None:
    picture = np.full((1, 1, 16, 64), 100, np.uint8)

    def left_border(batches: Iterable[np.ndarray]) -> Iterator[Outputs]:
        for number, (scores, masks) in enumerate(by_tile(batches)):
            if number:
                masks[:, 0, :, 0], scores[:, 0] = 255, 1
            yield scores, masks

    scores, _ = grid_of(16, 64, Tiling(height=16, width=16, overlap=8, batch=1)).infer(picture, left_border)

    assert scores[0, 0] == pytest.approx(100 / 255)


def test_a_score_that_is_no_number_is_kept() -> None:
    def faulty(batches: Iterable[np.ndarray]) -> Iterator[Outputs]:
        for number, (scores, masks) in enumerate(by_tile(batches)):
            masks[..., 0, 0] = 255
            yield (scores * np.nan if number == 1 else scores), masks

    scores, _ = grid_of(16, 64, Tiling(height=16, width=16, overlap=8, batch=1)).infer(
        np.zeros((1, 1, 16, 64), np.uint8), faulty
    )

    assert np.isnan(scores).all()


@pytest.mark.parametrize("cells", [(35, 27), (10, 9), (70, 54), (3, 1)])
def test_a_mark_anywhere_is_seen_by_every_tile_that_shows_it(cells: tuple[int, int]) -> None:
    grid = grid_of(70, 54, Tiling(height=16, width=12, overlap=4))
    for row, column in RNG.integers(0, cells, (20, 2)):
        coarse = np.zeros((2, *cells), np.uint8)
        coarse[1, row, column] = 9
        marked = (
            slice(70 * row // cells[0], -(-70 * (row + 1) // cells[0])),
            slice(54 * column // cells[1], -(-54 * (column + 1) // cells[1])),
        )
        pixels = np.zeros((70, 54), np.uint8)
        pixels[marked] = 9
        shown = [(grid.tile(pixels, *place) == 9).any() for place in grid.places]

        assert (grid.highest(coarse) == np.where(shown, 9, 0)).all()


def test_tiles_that_are_left_out_are_empty_and_the_others_as_with_all() -> None:
    grid = grid_of(70, 54, Tiling(height=16, width=12, overlap=4, batch=5))
    pictures = RNG.integers(1, 256, (2, 1, 70, 54), dtype=np.uint8)
    judged = RNG.random((2, len(grid.places))) < 0.4

    _, masks = grid.infer(pictures, by_tile, judged)

    _, whole = grid.infer(pictures, by_tile)
    for number, seen in enumerate(judged):
        for (row, column), kept in zip(grid.places, seen, strict=True):
            own = (number, slice(None), grid.rows.own(row), grid.columns.own(column))
            assert np.array_equal(masks[own], whole[own] if kept else np.zeros_like(whole[own]))


def test_batches_are_bounded() -> None:
    sizes: list[int] = []

    def counted(batches: Iterable[np.ndarray]) -> Iterator[Outputs]:
        for tiles in batches:
            sizes.append(len(tiles))
            yield tiny_outputs(tiles)

    grid = grid_of(64, 64, Tiling(height=16, width=16, overlap=8, batch=6))
    grid.infer(np.zeros((2, 1, 64, 64), np.uint8), counted)

    assert sum(sizes) == 2 * len(grid.places)
    assert max(sizes) == 6


@pytest.mark.parametrize(
    ("tiles", "problem"),
    [
        ({"height": 512, "width": 64}, "tiles.height: found 512, expected at most the picture's height 256"),
        ({"height": 64, "width": 64, "overlap": 40}, "tiles.overlap: found 40, expected at most half"),
        ({"height": 256, "width": 256, "batch": 2000}, "less than or equal to 256"),
        ({"size": 64}, "Extra inputs"),
    ],
)
def test_tiles_that_do_not_fit_are_refused(tiles: dict[str, int], problem: str) -> None:
    with pytest.raises(ValidationError, match=problem):
        InputSpec(height=256, width=1024, channels=1, tiles=tiles)  # type: ignore[arg-type]


def test_a_batch_of_tiles_is_bounded_like_any_input() -> None:
    with pytest.raises(ValidationError, match=r"tiles\.batch: found 2, 134217728 pixels at a time"):
        InputSpec(height=8192, width=8192, channels=1, tiles=Tiling(height=8192, width=8192, overlap=0, batch=2))


def test_a_strip_of_a_line_scan_camera_is_an_input_and_more_pixels_are_not() -> None:
    assert InputSpec(height=256, width=16384, channels=1).width == 16384
    with pytest.raises(ValidationError, match="at most 67108864 in all"):
        InputSpec(height=8192, width=16384, channels=1)


def test_tiles_of_half_cells_are_refused() -> None:
    spec = InputSpec(height=70, width=54, channels=1, tiles=Tiling(height=16, width=12, overlap=5))
    with pytest.raises(ValidationError, match=r"input\.tiles: found height 16 with overlap 5, expected multiples of 2"):
        tiny_manifest(input=spec, masks=MaskSize(height=35, width=27))


def test_a_frame_of_another_size_is_refused_and_not_resized() -> None:
    frame = np.zeros((70, 54), np.uint8)

    assert preprocess(frame, TILED).shape == (1, 70, 54)
    for rows, columns in ((35, 27), (70, 55), (8, 8)):
        with pytest.raises(FrameError, match=f"found {columns}x{rows}, expected 54x70 .*nothing is resized"):
            preprocess(np.zeros((rows, columns), np.uint8), TILED)


def test_a_crop_of_the_frame_may_have_the_size() -> None:
    spec = TILED.model_copy(update={"crop": Crop(x=3, y=2, width=54, height=70)})
    frame = RNG.integers(0, 256, (80, 60), dtype=np.uint8)

    assert np.array_equal(preprocess(frame, spec)[0], frame[2:72, 3:57])


def test_a_bundle_with_tiles_has_a_version_that_older_programs_refuse(tmp_path) -> None:
    folder = write_tiled(tmp_path / "tiled")
    content = json.loads((folder / "manifest.json").read_text())

    assert content["format"] == 2
    assert load_bundle(folder).manifest.input == TILED


def test_a_bundle_without_tiles_is_what_it_was(make_bundle) -> None:
    content = json.loads((make_bundle() / "manifest.json").read_text())

    assert content["format"] == 1
    assert "tiles" not in content["input"]


@pytest.mark.parametrize("tiled", [True, False])
def test_a_version_that_does_not_fit_the_tiles_is_refused(tmp_path, make_bundle, tiled: bool) -> None:
    folder = write_tiled(tmp_path / "tiled") if tiled else make_bundle()
    path = folder / "manifest.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"format": 1 if tiled else 2}))

    with pytest.raises(BundleFormat, match=f"expected {2 if tiled else 1}, as input.tiles, first_stage and"):
        load_bundle(folder)


def test_a_picture_of_millions_of_tiles_is_refused() -> None:
    assert Tiling(height=128, width=128, overlap=32).problem(8192, 8192) is None
    assert "found 4190209 tiles" in str(Tiling(height=8, width=8, overlap=4).problem(8192, 8192))
