import zlib
from pathlib import Path

import cv2
import numpy as np
import pytest

from bundle import Crop, InputSpec
from tests.train.conftest import CLASSES, HEIGHT, WIDTH, tile, write_tile
from train.data.dataset import read_image
from train.data.image_set import load_images
from train.data.readers import read_dataset
from train.errors import DataError


def one_tile(folder: Path, kind: str = "Crack", name: str = "exp1_num_1") -> Path:
    """Write a single tile."""
    return write_tile(folder, kind, name, *tile(np.random.default_rng(zlib.crc32(name.encode())), kind))


def test_folder_names_the_class_in_alphabetical_order(tmp_path: Path) -> None:
    one_tile(tmp_path, "Uneven")
    dataset = read_dataset(tmp_path)
    assert dataset.classes == CLASSES
    assert dataset.samples[0].labels == (False, False, False, False, True)


def test_free_is_good(tmp_path: Path) -> None:
    one_tile(tmp_path, "Free")
    assert read_dataset(tmp_path).samples[0].good


def test_mask_is_defect_above_127(tmp_path: Path) -> None:
    path = one_tile(tmp_path)
    cv2.imwrite(str(path.with_suffix(".png")), np.tile(np.uint8([127, 128]), (HEIGHT, WIDTH // 2)))
    masks = read_dataset(tmp_path).samples[0].load_masks(HEIGHT, WIDTH)
    np.testing.assert_array_equal(masks[2, 0], np.tile([False, True], WIDTH // 2))
    assert masks.sum() == masks[2].sum()


def test_neighbouring_numbers_share_a_part_until_a_gap_of_more_than_300(tmp_path: Path) -> None:
    for number, kind in ((1, "Crack"), (301, "Free"), (601, "Break"), (902, "Break")):
        one_tile(tmp_path, kind, f"exp1_num_{number}")
    parts = {sample.path.stem: sample.part for sample in read_dataset(tmp_path).samples}
    assert parts["exp1_num_1"] == parts["exp1_num_301"] == parts["exp1_num_601"] == "tile-1"
    assert parts["exp1_num_902"] == "tile-902"


def test_empty_mask_keeps_the_label_and_has_no_outline(tmp_path: Path, quick_recipe) -> None:
    image, mask = tile(np.random.default_rng(0), "Uneven")
    write_tile(tmp_path, "Uneven", "exp1_num_1", image, mask * 0)
    images = load_images(read_dataset(tmp_path).samples, quick_recipe().input, len(CLASSES))
    assert images.labels[0].tolist() == [False, False, False, False, True]
    assert images.outlined[0].tolist() == [True, True, True, True, False]


def damage_missing(path: Path) -> None:
    path.unlink()
    path.with_suffix(".jpg").symlink_to("nowhere.jpg")


def damage_truncated(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-200])


def damage_truncated_mask(path: Path) -> None:
    mask = path.with_suffix(".png")
    mask.write_bytes(mask.read_bytes()[:-20])


def damage_text(path: Path) -> None:
    path.write_text("no image")


def damage_empty(path: Path) -> None:
    path.write_bytes(b"")


def damage_mask_size(path: Path) -> None:
    cv2.imwrite(str(path.with_suffix(".png")), np.zeros((10, 20), np.uint8))


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (damage_missing, r"exp1_num_1\.jpg: cannot be read .*restore"),
        (damage_truncated, r"exp1_num_1\.jpg: found a truncated image of \d+ bytes.*copy it again"),
        (damage_truncated_mask, r"exp1_num_1\.png: found a truncated image"),
        (damage_text, r"exp1_num_1\.jpg: found 8 bytes that are no image, expected JPEG"),
        (damage_empty, r"exp1_num_1\.jpg: found 0 bytes that are no image"),
        (damage_mask_size, r"exp1_num_1\.png: found a mask of 20x10, expected 32x48"),
    ],
)
def test_damaged_image_is_one_clear_line(tmp_path: Path, quick_recipe, damage, message: str) -> None:
    damage(one_tile(tmp_path))
    with pytest.raises(DataError, match=message) as caught:
        load_images(read_dataset(tmp_path).samples, quick_recipe().input, len(CLASSES))
    assert "\n" not in str(caught.value)


def test_image_smaller_than_the_crop_is_one_clear_line(tmp_path: Path) -> None:
    one_tile(tmp_path)
    spec = InputSpec(height=16, width=16, channels=1, crop=Crop(x=0, y=0, width=64, height=16))
    with pytest.raises(DataError, match=r"exp1_num_1\.jpg: frame: found 32x48, expected at least 64x16"):
        load_images(read_dataset(tmp_path).samples, spec, len(CLASSES))


def test_unknown_class_folder_is_refused(tmp_path: Path) -> None:
    one_tile(tmp_path)
    (tmp_path / "MT_Dent").mkdir()
    with pytest.raises(DataError, match="MT_Dent: found an unknown class folder, expected one of MT_Blowhole"):
        read_dataset(tmp_path)


def test_image_without_mask_is_refused(tmp_path: Path) -> None:
    one_tile(tmp_path).with_suffix(".png").unlink()
    with pytest.raises(DataError, match=r"found no mask beside it, expected exp1_num_1\.png"):
        read_dataset(tmp_path)


def test_a_picture_that_the_layout_does_not_read_is_refused_by_name(tmp_path: Path) -> None:
    path = one_tile(tmp_path)
    (path.parent / "exp1_num_2.bmp").write_bytes(b"BM")
    with pytest.raises(DataError, match=r"exp1_num_2\.bmp: found a picture where the layout .* has no place"):
        read_dataset(tmp_path)


def test_name_that_does_not_say_the_part_is_refused(tmp_path: Path) -> None:
    one_tile(tmp_path, name="left")
    with pytest.raises(DataError, match="found the name left, expected expK_num_N"):
        read_dataset(tmp_path)


def test_a_picture_in_the_place_of_a_data_set_is_named_as_a_file(tmp_path: Path) -> None:
    picture = one_tile(tmp_path)
    with pytest.raises(DataError, match=f"{picture}: found a file, expected the folder of a data set"):
        read_dataset(picture)


def test_pictures_in_the_folder_itself_are_told_where_to_go(tmp_path: Path) -> None:
    for number in range(3):
        cv2.imwrite(str(tmp_path / f"{number}.png"), np.zeros((8, 8), np.uint8))
    with pytest.raises(DataError, match=f"found 3 pictures in the folder: move them into {tmp_path}/images"):
        read_dataset(tmp_path)


@pytest.mark.parametrize(("folder", "message"), [("nowhere", "found no such folder"), ("", "found no known layout")])
def test_folder_that_holds_no_data_set_is_refused(tmp_path: Path, folder: str, message: str) -> None:
    with pytest.raises(DataError, match=message):
        read_dataset(tmp_path / folder)


def test_colour_image_comes_as_rgb(tmp_path: Path) -> None:
    path = tmp_path / "red.png"
    cv2.imwrite(str(path), np.full((2, 2, 3), (0, 0, 255), np.uint8))  # OpenCV writes BGR
    assert read_image(path)[0, 0].tolist() == [255, 0, 0]
    assert read_image(path, grey=True).shape == (2, 2)


def test_real_images_read_whole(magnetic_tile: Path) -> None:
    dataset = read_dataset(magnetic_tile)
    counts = np.sum([sample.labels for sample in dataset.samples], axis=0).tolist()
    assert counts == [97, 70, 45, 20, 85]
    assert len({sample.part for sample in dataset.samples}) == 153
