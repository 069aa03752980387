"""A tiny bundle with a data set whose figures can be counted on one's fingers."""

import cv2
import numpy as np
import pytest

from tests.export.networks import BRIGHTNESS, CLASSES, levels_model, spec_of, write_tiny_bundle


@pytest.fixture(scope="session")
def levels_bundle(tmp_path_factory):
    """A bundle that knows classes by their grey level; see `levels_model`."""
    spec = spec_of()
    return write_tiny_bundle(tmp_path_factory.mktemp("bundles") / "levels", levels_model(spec), spec)


@pytest.fixture
def squares(tmp_path):
    """A Magnetic Tile data set, 64 x 48 pixels: eight parts per class with one 16 x 16 square, sixteen good."""
    folder = tmp_path / "squares"
    number = 0
    for kind, count in (*((name, 8) for name in CLASSES), ("Free", 16)):
        for _ in range(count):
            number += 1000
            write_square(folder, number, kind, None if kind == "Free" else kind)
    return folder


def write_square(folder, number, labelled, drawn):
    """Write one picture in the folder of class `labelled`, with a square in the grey of class `drawn`, if any."""
    image, mask = np.full((64, 48), 16, np.uint8), np.zeros((64, 48), np.uint8)
    image[divmod(number // 1000, 48)] = 40  # so that no two files are the same
    if drawn is not None:
        image[16:32, 16:32] = BRIGHTNESS[CLASSES.index(drawn)]
    if labelled != "Free":
        mask[16:32, 16:32] = 255
    stem = folder / f"MT_{labelled}" / "Imgs" / f"exp1_num_{number}"
    stem.parent.mkdir(parents=True, exist_ok=True)
    cv2.imwrite(str(stem.with_suffix(".jpg")), image, [cv2.IMWRITE_JPEG_QUALITY, 100])
    cv2.imwrite(str(stem.with_suffix(".png")), mask)
