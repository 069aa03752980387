"""Training, calibration and the line make the same input of the same frame, to the bit."""

import numpy as np
import pytest

from bundle import Crop, InputSpec, encode_png, preprocess, read_image
from edge.engines.engine import Engine
from export.int8.calibration_images import collect
from tests.export.networks import levels_model, manifest_of
from train.data.dataset import Sample
from train.data.image_set import load_images

SIZES = [(33, 47), (64, 48), (65, 49), (127, 31), (200, 301), (8, 9)]


class Listener(Engine):
    """An engine that keeps what it is given and answers nothing."""

    def _infer(self, inputs):
        self.heard = inputs
        count, masks = len(inputs), self.manifest.masks
        return np.zeros((count, 5), np.float32), np.zeros((count, 5, masks.height, masks.width), np.uint8)


class Folder:
    """As much of a bundle as collecting pictures asks for."""

    def __init__(self, manifest):
        self.manifest, self.folder = manifest, "nowhere"

    def prepare(self, frame):
        return preprocess(frame, self.manifest.input)


def frames_of(height, width, colour):
    """Noise over a ramp, black, white, a chequerboard of the two, and some more ramps so that most are not blank."""
    shape = (height, width, 3) if colour else (height, width)
    ramp = np.add.outer(np.arange(height), np.arange(width)) * 255 // (height + width)
    noise = np.random.default_rng(height * width).integers(-40, 40, shape)
    board = np.indices((height, width)).sum(axis=0) % 2 * 255
    planes = [ramp, np.zeros((height, width)), np.full((height, width), 255), board, *(ramp // n for n in range(1, 6))]
    made = [np.broadcast_to(plane[..., None], shape) if colour else plane for plane in planes]
    made[0] = np.clip(made[0] + noise, 0, 255)
    return [frame.astype(np.uint8) for frame in made]


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("colour", [False, True])
@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("crop", [None, Crop(x=1, y=3, width=7, height=5)])
def test_training_calibration_and_line_agree(tmp_path, size, colour, channels, crop):
    spec = InputSpec(height=64, width=48, channels=channels, crop=crop)
    manifest = manifest_of(levels_model(InputSpec(height=64, width=48, channels=1)), spec_of_one()).model_copy(
        update={"input": spec}
    )
    for index, frame in enumerate(frames_of(*size, colour)):
        (tmp_path / f"{index}.png").write_bytes(encode_png(frame))
    files = sorted(tmp_path.glob("*.png"))

    trained = load_images([Sample(path, "part", (None,) * 5) for path in files], spec, 5).images
    calibrated = collect(tmp_path, Folder(manifest), resize=True, limit=256, force=True).inputs
    line = Listener(manifest, "listener")
    line.begin([read_image(path) for path in files])()

    assert trained.dtype == calibrated.dtype == line.heard.dtype == np.uint8
    assert (trained == calibrated).all()
    assert (trained == line.heard).all()
    assert trained[2].min() == 255  # white stays white, black stays black
    assert trained[1].max() == 0


def spec_of_one():
    return InputSpec(height=64, width=48, channels=1)


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize(
    "view",
    [
        lambda whole: whole[::2, ::3],
        lambda whole: whole[5:-4, 3:-6],
        lambda whole: whole[::-1, ::-1],
        lambda whole: whole.swapaxes(0, 1),
    ],
    ids=["strided", "inside a larger one", "reversed", "transposed"],
)
@pytest.mark.parametrize("colour", [False, True])
def test_strides_do_not_matter(view, colour, channels):
    frame = view(frames_of(131, 97, colour)[0])
    spec = InputSpec(height=64, width=48, channels=channels)
    assert (preprocess(frame, spec) == preprocess(np.ascontiguousarray(frame), spec)).all()
