"""A bundle, pictures to calibrate it on, and a network that INT8 spoils."""

import cv2
import pytest

from bundle import encode_png, load_bundle
from synthetic.tiles import CLASSES, draw_tile
from tests.export.networks import can_model, outlier_model, spec_of, write_tiny_bundle

SPEC = spec_of(64, 64)


@pytest.fixture(scope="module")
def bundle(tmp_path_factory):
    return load_bundle(write_tiny_bundle(tmp_path_factory.mktemp("bundles") / "can", can_model(SPEC), SPEC))


@pytest.fixture(scope="module")
def pictures(tmp_path_factory):
    """Forty drawn parts as PNG, 64 x 64."""
    folder = tmp_path_factory.mktemp("pictures")
    for index in range(40):
        image = draw_tile(5, index, (None, *CLASSES)[index % 6]).image
        (folder / f"part{index:02}.png").write_bytes(encode_png(cv2.resize(image, (64, 64), interpolation=3)))
    return folder


@pytest.fixture
def squares_as_pictures(squares, tmp_path):
    """Squares to calibrate on that the labelled ones do not hold: the same parts, a grey level darker."""
    folder = tmp_path / "calibrate"
    folder.mkdir()
    for index, path in enumerate(sorted(squares.rglob("*.jpg"))):
        image = cv2.imread(str(path), cv2.IMREAD_GRAYSCALE)
        (folder / f"{index}.png").write_bytes(encode_png(cv2.subtract(image, 1)))
    return folder


@pytest.fixture
def fragile(tmp_path):
    """A bundle with an outlier that INT8 cannot hold; see `outlier_model`."""
    spec = spec_of()
    return write_tiny_bundle(tmp_path / "fragile", outlier_model(spec), spec)
