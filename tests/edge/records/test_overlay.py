"""Outlined defects carry their names, where a picture is large enough to read them."""

import numpy as np
import pytest

from bundle import Crop, Defect, InputSpec, Threshold, Verdict
from edge.records.overlay import (
    CAPTION_PX,
    CELL_PX,
    COLUMNS,
    GAP_PX,
    OVERLAY_PX,
    JudgedPicture,
    draw_sheet,
    inspected,
    outline,
    resized,
)
from tests.conftest import tiny_manifest
from tests.edge.part_doubles import judged


def drawn(name: str, longest_px: int, box: tuple[int, int, int, int] = (40, 40, 20, 20)) -> np.ndarray:
    """A picture of 100 x 100 pixels with one defect, enlarged."""
    masks = np.zeros((1, 10, 10), np.uint8)
    judged = JudgedPicture(np.full((100, 100), 90, np.uint8), masks, (Defect(0, name, 0.97, 9.0, box),), "")
    return outline(judged, [Threshold(score=0.5)], (longest_px, longest_px))


def test_a_large_picture_has_the_name_and_a_small_one_has_not() -> None:
    assert (drawn("Crack", 600) != drawn("Fray", 600)).any()
    assert (drawn("Crack", 200) == drawn("Fray", 200)).all()


@pytest.mark.parametrize("box", [(0, 0, 5, 5), (95, 95, 5, 5), (0, 95, 100, 5)])
def test_a_name_stays_inside_the_picture(box: tuple[int, int, int, int]) -> None:
    assert drawn("A long name of a defect", 600, box).shape == (600, 600, 3)


@pytest.mark.parametrize("name", ["Öl", "划痕", ""])
def test_letters_that_cannot_be_drawn_are_left_out(name: str) -> None:
    assert (drawn(name, 600) != drawn("Crack", 600)).any()


def plain(level: int, caption: str = "", size: tuple[int, int] = (50, 100)) -> JudgedPicture:
    """A good picture of one grey level."""
    return JudgedPicture(np.full(size, level, np.uint8), np.zeros((1, 5, 10), np.uint8), (), caption)


def test_a_sheet_has_its_pictures_in_rows() -> None:
    sheet = draw_sheet([plain(100 + number) for number in range(COLUMNS + 1)], [Threshold(score=0.5)])

    pitch_y, pitch_x = CELL_PX + CAPTION_PX + GAP_PX, CELL_PX + GAP_PX
    assert sheet.shape == (2 * pitch_y + GAP_PX, COLUMNS * pitch_x + GAP_PX, 3)
    middles = sheet[GAP_PX + CELL_PX // 2 :: pitch_y, GAP_PX + CELL_PX // 2 :: pitch_x, 0]
    assert middles[0].tolist() == [100 + number for number in range(COLUMNS)]
    assert middles[1].tolist() == [100 + COLUMNS] + [24] * (COLUMNS - 1)


def test_a_picture_of_a_sheet_keeps_its_shape_above_its_caption() -> None:
    named, unnamed = (draw_sheet([plain(200, caption)], [Threshold(score=0.5)]) for caption in ("7 OK", ""))

    rows, columns = np.nonzero((unnamed == 200).all(axis=2))
    assert (np.ptp(rows) + 1, np.ptp(columns) + 1) == (CELL_PX // 2, CELL_PX)
    assert set(np.nonzero((named != unnamed).any(axis=2))[0]) <= set(
        range(GAP_PX + CELL_PX, GAP_PX + CELL_PX + CAPTION_PX)
    )
    assert (named != unnamed).any()


def test_a_sheet_without_pictures_is_one_empty_cell() -> None:
    assert (draw_sheet([], []) == 24).all()


def test_a_crop_is_drawn_with_the_box_around_the_defect() -> None:
    spec = InputSpec(height=16, width=12, channels=1, crop=Crop(x=30, y=10, width=12, height=16))
    manifest = tiny_manifest(input=spec).sealed()
    frame = np.full((40, 60), 128, np.uint8)
    part = judged(1, Verdict.NG, [frame], manifest, (Defect(1, "Dark", 0.97, 16.0, (34, 16, 4, 4)),))

    drawn = inspected(part.views[0], manifest)

    assert drawn is not None
    assert drawn.shape == (16, 12, 3)
    rows, columns = np.nonzero((drawn != 128).any(axis=2))
    assert (columns.min(), rows.min(), columns.max(), rows.max()) == (2, 4, 9, 11)
    assert (drawn[5:11, 3:9] == 128).all(), "the defect and a gap of a line around it"


@pytest.mark.parametrize("size", [(480, 640), (1024, 1280), (2048, 2448)])
@pytest.mark.parametrize("side_px", [3, 6])
@pytest.mark.parametrize("place", range(8))
def test_a_defect_of_a_few_pixels_is_seen_in_an_overlay(size: tuple[int, int], side_px: int, place: int) -> None:
    """Neither the drawn lines nor the reduction hide it, wherever it lies in the grid of the reduced picture."""
    x, y = 301 + place, 200 + 3 * place
    pixels, mask = np.full(size, 150, np.uint8), np.zeros((1, size[0] // 4, size[1] // 4), np.uint8)
    pixels[y : y + side_px, x : x + side_px] = 50
    mask[0, y // 4 : (y + side_px - 1) // 4 + 1, x // 4 : (x + side_px - 1) // 4 + 1] = 255
    box = (x // 4 * 4, y // 4 * 4, 4 * (mask[0].any(axis=0).sum()), 4 * (mask[0].any(axis=1).sum()))
    scale = min(1.0, OVERLAY_PX / size[1])
    wide, high = round(size[1] * scale), round(size[0] * scale)

    drawn = outline(
        JudgedPicture(pixels, mask, (Defect(0, "Pit", 0.9, 16.0, box),), ""), [Threshold(score=0.5)], (wide, high)
    )

    rows, columns = (slice(int(at * scale) - 1, int((at + side_px) * scale) + 2) for at in (y, x))
    near = drawn[rows, columns]
    grey = (near == near[..., :1]).all(axis=2)
    assert near[grey].min() <= 60, "nine tenths of the contrast"
    assert (drawn != drawn[..., :1]).any(), "the box"


def test_the_name_of_another_defect_does_not_cover_a_defect() -> None:
    pixels, mask = np.full((600, 600), 150, np.uint8), np.zeros((1, 150, 150), np.uint8)
    pixels[132:136, 112:116] = 50
    mask[0, 33, 28] = 255
    boxes = ((112, 132, 4, 4), (100, 100, 8, 8))
    defects = tuple(Defect(0, "Pit", score, 16.0, box) for score, box in zip((0.9, 0.8), boxes, strict=True))

    drawn = outline(JudgedPicture(pixels, mask, defects, ""), [Threshold(score=0.5)], (600, 600))

    assert (drawn[132:136, 112:116] == 50).all()


def test_an_outline_lies_around_the_blob() -> None:
    mask = np.zeros((1, 100, 100), np.uint8)
    mask[0, 40:60, 30:50] = 255
    defect = Defect(0, "Pit", 0.9, 400.0, (30, 40, 20, 20))

    drawn = outline(
        JudgedPicture(np.full((100, 100), 90, np.uint8), mask, (defect,), ""), [Threshold(score=0.5)], (100, 100)
    )

    coloured = (drawn != 90).any(axis=2)
    assert not coloured[40:60, 30:50].any()
    assert coloured[39, 30:50].all()
    assert coloured[40:60, 29].all()


@pytest.mark.parametrize("size", [(200, 100), (327, 163), (640, 400)])
@pytest.mark.parametrize("place", range(11))
def test_each_pixel_counts_in_a_reduced_picture(size: tuple[int, int], place: int) -> None:
    pixels = np.zeros((500, 1000), np.uint8)
    pixels[250 + place, 500 + place] = 255

    seen = resized(pixels, size)

    assert seen.shape == size[::-1]
    assert seen.max() >= 255 * size[0] * size[1] / pixels.size / 8, "an eighth of its share of a reduced pixel"


def test_the_box_of_a_defect_that_fills_a_side_is_inside_the_picture() -> None:
    drawn = boxed(Defect(0, "Uneven", 0.9, 4000.0, (0, 0, 100, 40)))

    for side in (drawn[0], drawn[:40, 0], drawn[:40, -1], drawn[41]):
        assert (side != 90).any(axis=1).all()


@pytest.mark.parametrize("box", [(0, 0, 3, 3), (97, 0, 3, 3), (0, 97, 3, 3), (97, 97, 3, 3)])
def test_a_small_defect_in_a_corner_is_not_covered_by_its_box(box: tuple[int, int, int, int]) -> None:
    drawn = boxed(Defect(0, "Pit", 0.9, 9.0, box))

    x, y, width, height = box
    assert (drawn[y : y + height, x : x + width] == 90).all()
    assert (drawn != 90).any()


def boxed(defect: Defect) -> np.ndarray:
    """A grey picture of 100 x 100 pixels with the box of a defect alone."""
    judged_picture = JudgedPicture(np.full((100, 100), 90, np.uint8), np.zeros((1, 10, 10), np.uint8), (defect,), "")
    return outline(judged_picture, [Threshold(score=0.5)], (100, 100))
