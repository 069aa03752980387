"""Outlined defects carry their names, where a picture is large enough to read them."""

import numpy as np
import pytest

from bundle import Defect, Threshold
from edge.records.overlay import JudgedPicture, outline


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
