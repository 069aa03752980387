"""Outlined defects carry their names, where a picture is large enough to read them."""

import numpy as np
import pytest

from bundle import Defect, Threshold
from edge.records.overlay import CAPTION_PX, CELL_PX, COLUMNS, GAP_PX, JudgedPicture, draw_sheet, outline


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
