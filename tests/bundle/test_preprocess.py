from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from bundle import Crop, FrameError, InputSpec, load_bundle, preprocess, resize, resize_truth
from bundle.preprocess import check_size
from tests.conftest import tiny_manifest

Make = Callable[..., Path]

RNG = np.random.default_rng(0)


@pytest.mark.parametrize("shape", [(7, 5), (400, 300), (331, 217), (403, 632)])
@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("colour", [False, True])
def test_output_has_the_network_s_shape(shape: tuple[int, int], channels: int, colour: bool) -> None:
    frame = RNG.integers(0, 256, (*shape, 3) if colour else shape, dtype=np.uint8)

    made = preprocess(frame, InputSpec(height=40, width=30, channels=channels))

    assert made.shape == (channels, 40, 30)
    assert made.dtype == np.uint8
    assert made.flags.c_contiguous


def test_same_size_is_a_copy() -> None:
    frame = RNG.integers(0, 256, (40, 30), dtype=np.uint8)

    made = preprocess(frame, InputSpec(height=40, width=30, channels=1))

    assert np.array_equal(made[0], frame)
    assert not np.shares_memory(made, frame)


def test_shrinking_by_a_whole_factor_is_the_mean_of_the_cells() -> None:
    frame = RNG.integers(0, 256, (80, 60), dtype=np.uint8)
    mean = frame.reshape(40, 2, 30, 2).mean(axis=(1, 3))

    made = preprocess(frame, InputSpec(height=40, width=30, channels=1))

    # two roundings, one for each axis
    assert np.abs(made[0] - mean).max() <= 1


@pytest.mark.parametrize("height", [8, 20, 37, 77])
@pytest.mark.parametrize("width", [9, 20, 31, 64])
@pytest.mark.parametrize("colour", [False, True])
def test_shrinking_has_the_values_of_opencv_axis_by_axis(height: int, width: int, colour: bool) -> None:
    large = RNG.integers(0, 256, (160, 141, 3) if colour else (160, 141), dtype=np.uint8)

    for frame in (large[3:83, 5:69], large[:77, :65], large[::2, ::-1]):  # rows of 64, 65, 141 pixels
        by_height = cv2.resize(frame, (frame.shape[1], height), interpolation=cv2.INTER_AREA)
        expected = cv2.resize(by_height, (width, height), interpolation=cv2.INTER_AREA)

        assert np.array_equal(resize(frame, height, width), expected)


def test_one_axis_may_grow_while_the_other_shrinks() -> None:
    ramp = np.tile(np.arange(0, 200, 10, dtype=np.uint8), (100, 1))  # 100 rows, 20 columns

    made = resize(ramp, 10, 40)

    assert made.shape == (10, 40)
    assert (np.diff(made.astype(int), axis=1) >= 0).all()


@pytest.mark.parametrize("level", [0, 1, 127, 128, 254, 255])
def test_a_flat_frame_stays_flat(level: int) -> None:
    frame = np.full((131, 97), level, np.uint8)

    made = preprocess(frame, InputSpec(height=40, width=30, channels=3))

    assert (made == level).all()


def test_grey_of_rgb_is_bt601() -> None:
    frame = np.zeros((1, 3, 3), np.uint8)
    frame[0, 0, 0], frame[0, 1, 1], frame[0, 2, 2] = 255, 255, 255  # red, green, blue

    made = preprocess(np.repeat(np.repeat(frame, 8, 0), 8, 1), InputSpec(height=8, width=24, channels=1))

    assert made[0, 0, [0, 8, 16]].tolist() == [76, 150, 29]


def test_strides_do_not_matter() -> None:
    frame = RNG.integers(0, 256, (90, 70, 3), dtype=np.uint8)
    spec = InputSpec(height=40, width=30, channels=1)

    assert np.array_equal(preprocess(frame[::2, ::-1], spec), preprocess(frame[::2, ::-1].copy(), spec))


def test_crop_is_taken_before_resizing() -> None:
    frame = RNG.integers(0, 256, (60, 50), dtype=np.uint8)
    spec = InputSpec(height=16, width=12, channels=1, crop=Crop(x=10, y=20, width=12, height=16))

    assert np.array_equal(preprocess(frame, spec)[0], frame[20:36, 10:22])


def test_a_frame_smaller_than_the_crop_is_refused() -> None:
    spec = InputSpec(height=16, width=12, channels=1, crop=Crop(x=10, y=20, width=12, height=16))

    with pytest.raises(FrameError, match="found 20x30, expected at least 22x36"):
        preprocess(np.zeros((30, 20), np.uint8), spec)


@pytest.mark.parametrize(
    "frame",
    [np.zeros((4, 4), np.float32), np.zeros((4, 4, 2), np.uint8), np.zeros((0, 4), np.uint8), np.zeros(4, np.uint8)],
    ids=["float", "two channels", "empty", "one axis"],
)
def test_what_is_no_frame_is_refused(frame: np.ndarray) -> None:
    with pytest.raises(FrameError, match="expected"):
        preprocess(frame, InputSpec(height=8, width=8, channels=1))


def test_two_channels_are_refused() -> None:
    with pytest.raises(ValueError, match="channels is 2"):
        InputSpec(height=8, width=8, channels=2)


def test_truth_keeps_its_values() -> None:
    truth = np.where(RNG.random((50, 40)) > 0.5, 255, 0).astype(np.uint8)

    assert set(np.unique(resize_truth(truth, 33, 71))) == {0, 255}


def learnt_from(sizes: Any) -> dict[str, Any]:
    """Change of a manifest whose bundle learnt from pictures of these sizes."""
    made_from = tiny_manifest().made_from
    return {"made_from": made_from.model_copy(update={"metrics": {"train": {"sizes": sizes}}})}


def test_three_quarters_of_the_smallest_picture_are_enough(make_bundle: Make) -> None:
    """The input is 12 wide and 16 high."""
    bundle = load_bundle(make_bundle(**learnt_from([[8, 12], [16, 12]])))
    for shape in ((6, 9), (8, 12), (3000, 4000, 3)):
        bundle.check_size(shape)
    for shape in ((5, 9), (6, 8), (1000, 8, 3), (1, 1)):
        with pytest.raises(FrameError, match=r"expected at least 9x6, .* three quarters of 12x8, the smallest"):
            bundle.check_size(shape)


def test_what_is_as_large_as_the_input_is_enough(make_bundle: Make) -> None:
    bundle = load_bundle(make_bundle(**learnt_from([[480, 640], [480, 640]])))
    bundle.check_size((16, 12))
    with pytest.raises(FrameError, match="expected at least 12x16"):
        bundle.check_size((15, 12))


def test_a_crop_is_taken_of_frames_of_the_learnt_sizes(make_bundle: Make) -> None:
    """In another one it would lie elsewhere on the part, so that a defect beside it passed."""
    bundle = load_bundle(make_bundle())
    cropped = bundle.manifest.input.model_copy(update={"crop": Crop(x=0, y=0, width=12, height=16)})
    learnt = ((480, 640), (500, 700))
    for shape in ((480, 640), (500, 700, 3), (490, 640)):
        check_size(shape, cropped, learnt)
    for shape in ((479, 640), (480, 639), (400, 533), (501, 640), (480, 701), (960, 1280, 3)):
        with pytest.raises(FrameError, match=r"expected 640x480 to 700x500 as the bundle learnt from, since its crop"):
            check_size(shape, cropped, learnt)


@pytest.mark.parametrize(
    "sizes", [None, [480, 640], [[0, 0], [1, 1]], [["8", "9"], ["8", "9"]], [[True, True], [1, 1]], 480, [[1, 2]]]
)
def test_a_bundle_that_does_not_say_wants_an_eighth_of_its_input(make_bundle: Make, sizes: Any) -> None:
    bundle = load_bundle(make_bundle(**learnt_from(sizes)))
    height, width = bundle.manifest.input.height, bundle.manifest.input.width
    bundle.check_size((height // 8 + 1, width // 8 + 1))
    with pytest.raises(FrameError, match=f"an eighth of the network's input of {width}x{height}"):
        bundle.check_size((1, 1))
