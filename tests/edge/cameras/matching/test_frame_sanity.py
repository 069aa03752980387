"""Frozen, black and saturated frames."""

import numpy as np
import pytest

from bundle import Image
from edge.cameras.matching.frame_sanity import FrameSanity


def noise(low: int, high: int, seed: int = 1) -> Image:
    return np.random.default_rng(seed).integers(low, high, (64, 64), dtype=np.uint8)


def sanity() -> FrameSanity:
    return FrameSanity(frozen=True, black=16, saturated=0.5)


def test_pictures_of_a_working_camera_pass() -> None:
    seen = sanity()

    assert [seen.check(noise(40, 200, seed)) for seed in range(3)] == ["", "", ""]


def test_an_identical_picture_is_frozen() -> None:
    seen = sanity()
    picture = noise(40, 200)

    assert seen.check(picture) == ""
    assert "identical to the one before" in seen.check(picture.copy())
    assert seen.check(noise(40, 200, 2)) == ""


def test_one_grey_level_in_one_pixel_is_noise_enough() -> None:
    seen = sanity()
    picture = noise(40, 200)
    seen.check(picture)
    picture[5, 7] += 1

    assert seen.check(picture) == ""


@pytest.mark.parametrize(("pixels", "problem"), [(noise(0, 16), "brighter than 16"), (noise(254, 256), "saturated")])
def test_pictures_of_a_dead_or_blinding_lamp_are_named(pixels: Image, problem: str) -> None:
    pixels[:40] = pixels[:40] if problem != "saturated" else 255

    assert problem in sanity().check(pixels)


def test_a_few_hot_pixels_do_not_make_a_picture() -> None:
    pixels = noise(0, 16).repeat(16, axis=0).repeat(16, axis=1)
    pixels[0, 0:8] = 255

    assert "brighter than 16" in sanity().check(pixels)


def test_each_watch_can_be_turned_off() -> None:
    seen = FrameSanity(frozen=False, black=-1, saturated=1)
    for level in (0, 0, 255, 255):
        assert seen.check(np.full((8, 8), level, np.uint8)) == ""


def test_a_receiver_that_changes_its_frame_does_not_mislead_the_watch() -> None:
    seen = sanity()
    picture = noise(40, 200)
    seen.check(picture)
    original = picture.copy()
    picture[:] = 0

    assert "identical" in seen.check(original)
