"""Frames of the data that a bundle was trained on, for its comparison with torch."""

from dataclasses import replace

import pytest

from export.bundles.assemble import check_seen_defects, real_frames
from export.errors import LabelsError
from tests.export.networks import spec_of
from train.data.readers import read_dataset
from train.data.splits import make_split
from train.errors import SplitError


def test_images_that_came_after_the_training_are_left_out(squares):
    dataset = read_dataset(squares)
    known = replace(dataset, samples=tuple(one for one in dataset.samples if int(one.part[4:]) % 7000))
    split = make_split(known, "by-part", 0)
    frames = real_frames(spec_of(), split, squares)
    tested = sum(side == "test" for side in split.images.values())
    assert frames.description == f"{tested} images of {dataset.name}, test part"


def test_data_without_an_image_of_the_test_part_is_refused(squares):
    split = make_split(read_dataset(squares), "by-part", 0)
    other = {image[::-1]: side for image, side in split.images.items()}
    with pytest.raises(SplitError, match="found none of the 7 images of the training's test part"):
        real_frames(spec_of(), split.model_copy(update={"images": other}), squares)


@pytest.mark.parametrize(
    "metrics",
    [{}, {"train": {"brightness": [1.0, 2.0]}}, {"val": {"classes": [{"positives": 0}, {"positives": 0}]}}],
    ids=["none", "brightness alone", "good alone"],
)
def test_a_network_that_was_never_measured_on_a_defect_is_refused(metrics):
    with pytest.raises(LabelsError, match="found no image with a defect in its metrics"):
        check_seen_defects(metrics)


def test_a_network_that_was_measured_on_a_defect_is_taken():
    check_seen_defects({"val": {"classes": [{"positives": 0}, {"positives": 1}]}})
