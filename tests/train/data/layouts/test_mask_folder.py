import os
import zlib
from pathlib import Path

import cv2
import numpy as np
import pytest

from tests.bundle.test_images import palette_png
from train.data.annotations.voc import palette_colour
from train.data.dataset import MaskFile
from train.data.layouts.mask_folder import read_folder
from train.data.readers import read_dataset
from train.errors import DataError


def write(path: Path, value: int = 255, size: tuple[int, int] = (8, 6)) -> None:
    """Write an image of one level; below 255 its corner is noise, drawn from its folder and name."""
    path.parent.mkdir(parents=True, exist_ok=True)
    image = np.full(size, value, np.uint8)
    if 0 < value < 255:
        rng = np.random.default_rng(zlib.crc32(f"{path.parent.name}/{path.name}".encode()))
        image[:6, :6] = rng.integers(0, 256, (6, 6), np.uint8)  # the same in every run, whatever the folder is called
    cv2.imwrite(str(path), image)


@pytest.fixture
def parts(tmp_path: Path) -> Path:
    """Write three images: one with two classes, one with one, one good."""
    for name in ("p1_a", "p1_b", "p2_a"):
        write(tmp_path / "images" / f"{name}.jpg", 90)
    write(tmp_path / "masks" / "scratch" / "p1_a.png")
    write(tmp_path / "masks" / "dent" / "p1_a.png")
    write(tmp_path / "masks" / "dent" / "p2_a.png")
    return tmp_path


def test_folders_are_the_classes_in_alphabetical_order(parts: Path) -> None:
    dataset = read_dataset(parts)
    assert dataset.classes == ("dent", "scratch")
    assert {s.path.stem: s.labels for s in dataset.samples} == {
        "p1_a": (True, True),
        "p1_b": (False, False),
        "p2_a": (True, False),
    }
    assert dataset.samples[0].load_masks(8, 6).all()


def test_each_image_is_a_part_of_its_own(parts: Path) -> None:
    assert len({sample.part for sample in read_dataset(parts).samples}) == 3


@pytest.mark.parametrize(
    ("first", "second", "together"),
    [
        ("bolt_7_jpg.rf.0f3e9a1b2c4d5e6f7a8b9c0d1e2f3a4b", "bolt_7_jpg.rf.ffffaaaabbbbccccddddeeee00001111", True),
        ("train/bolt_7_png.rf.Ab12Cd34Ef", "valid/bolt_7_png.rf.Gh56Ij78Kl", True),
        ("bolt_7_jpg.rf.0f3e9a1b2c4d5e6f", "bolt_8_jpg.rf.0f3e9a1b2c4d5e6f", False),
        ("monday/bolt_7_jpg.rf.0f3e9a1b2c", "tuesday/bolt_7_jpg.rf.0f3e9a1b2c", False),
        ("bolt_7_jpg.v1.0f3e9a1b2c", "bolt_7_jpg.v2.0f3e9a1b2c", False),
    ],
)
def test_copies_that_roboflow_made_of_one_picture_are_one_part(
    parts: Path, first: str, second: str, together: bool
) -> None:
    for name in (first, second):
        write(parts / "images" / f"{name}.jpg", 90)
    found = {s.path: s.part for s in read_dataset(parts).samples}
    pair = {found[parts / "images" / f"{name}.jpg"] for name in (first, second)}
    assert len(pair) == (1 if together else 2)


def test_a_stated_pattern_comes_before_roboflows_names(parts: Path) -> None:
    write(parts / "images" / "p7_jpg.rf.0f3e9a1b2c.jpg", 90)
    (parts / "dataset.toml").write_text("part = '(p[0-9])_'\n")
    assert "p7" in {sample.part for sample in read_dataset(parts).samples}


def test_pattern_says_the_part_and_the_file_the_order(parts: Path) -> None:
    (parts / "dataset.toml").write_text('classes = ["scratch", "dent"]\npart = "^(p\\\\d+)_"\n')
    dataset = read_dataset(parts)
    assert dataset.classes == ("scratch", "dent")
    assert [sample.part for sample in dataset.samples] == ["p1", "p1", "p2"]


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ('parts = "x"', "parts: unknown key; the keys are classes, part, bits, masks, citation"),
        ('part = "p"', "found no group in 'p', expected one"),
        ('part = "("', r"part: .* in '\('; expected a regular expression"),
        ('part = "^(x)"', "found the name p1_a, expected one with"),
        ('part = "()"', "found the name p1_a, expected one with"),
        ('classes = ["dent"]', "scratch: found an unknown class folder, expected one of dent"),
        ("classes = [", "expected a TOML file"),
        ('classes = ["scratch", "dent", "a/b"]', "found the class name 'a/b', expected a name without"),
        ('classes = ["scratch", "dent", ""]', "found the class name '', expected a name that is not empty"),
        ('classes = ["scratch", "dent", ".x"]', "without blanks or dots at its ends"),
        ('classes = ["scratch", "dent", "Dent"]', "found the class names 'dent' and 'Dent'"),
        ('classes = ["scratch", "dent", "good"]', "found the class name 'good', expected another than"),
        ("bits = 7", "bits: found 7"),
        ('masks = "white"', "masks: found 'white'"),
        ("a = " + "[" * 5_000, "expected a TOML file"),
    ],
)
def test_bad_settings_are_one_clear_line(parts: Path, settings: str, message: str) -> None:
    (parts / "dataset.toml").write_text(settings)
    with pytest.raises(DataError, match=message) as caught:
        read_dataset(parts)
    assert "\n" not in str(caught.value)


def test_mask_without_image_is_refused(parts: Path) -> None:
    write(parts / "masks" / "dent" / "p3_a.png")
    with pytest.raises(DataError, match=r"p3_a\.png: found a mask without its image"):
        read_dataset(parts)


def test_empty_mask_is_refused_with_both_ways_out(parts: Path) -> None:
    write(parts / "masks" / "dent" / "p1_b.png", 0)
    sample = read_dataset(parts).samples[1]
    with pytest.raises(DataError, match=r"found an empty mask.*remove the file.*or draw its outline"):
        sample.load_masks(8, 6)


def test_two_images_of_one_name_are_refused(parts: Path) -> None:
    write(parts / "images" / "p1_a.png")
    with pytest.raises(DataError, match=r"p1_a\.png: found beside p1_a\.jpg"):
        read_dataset(parts)


@pytest.mark.parametrize(("folder", "message"), [("masks", "found no class folder"), ("images", "found no image")])
def test_empty_folder_is_refused(parts: Path, folder: str, message: str) -> None:
    for path in sorted((parts / folder).rglob("*"), reverse=True):
        path.rmdir() if path.is_dir() else path.unlink()
    with pytest.raises(DataError, match=message):
        read_dataset(parts)


def test_a_pattern_without_end_is_refused(parts: Path) -> None:
    write(parts / "images" / ("a" * 60 + "!.png"))
    (parts / "dataset.toml").write_text("part = '(a+)+$'\n")
    with pytest.raises(DataError, match="found no end of matching"):
        read_folder(parts, pattern_s=0.5)


def test_sub_folders_are_read_and_keep_names_apart(parts: Path) -> None:
    for day in ("monday", "tuesday"):
        write(parts / "images" / day / "p9.png", 90)
    write(parts / "masks" / "dent" / "tuesday" / "p9.png")
    labels = {sample.part: sample.labels for sample in read_dataset(parts).samples}
    assert (labels["monday/p9"], labels["tuesday/p9"]) == ((False, False), (True, False))


@pytest.mark.parametrize("name", ["p1_b.gif", "new/p3.webp", "p4.HEIC"])
def test_a_picture_of_another_kind_is_refused_by_name(parts: Path, name: str) -> None:
    (parts / "images" / name).parent.mkdir(exist_ok=True)
    (parts / "images" / name).write_bytes(b"GIF89a")
    with pytest.raises(DataError, match=f"{Path(name).name}: found a picture of a kind that is not read"):
        read_dataset(parts)


@pytest.mark.parametrize("name", ["P3_A.JPG", "p3_a.jfif", "p3_a.TIF"])
def test_other_endings_are_read(parts: Path, name: str) -> None:
    path = parts / "images" / name
    ok, content = cv2.imencode(".tif" if name.endswith("TIF") else ".jpg", np.full((8, 6), 90, np.uint8))
    assert ok
    path.write_bytes(content.tobytes())
    assert path in [sample.path for sample in read_dataset(parts).samples]
    assert read_dataset(parts).samples[0].load_image().shape == (8, 6)


def test_a_picture_elsewhere_is_refused_by_name(parts: Path) -> None:
    write(parts / "masks" / "p1_b.png")
    with pytest.raises(DataError, match=r"p1_b\.png: found a picture where the layout .* has no place"):
        read_dataset(parts)


def test_other_files_are_listed(parts: Path) -> None:
    (parts / "notes.txt").write_text("monday")
    assert [(one.path.name, one.reason) for one in read_dataset(parts).unused] == [("notes.txt", "no picture")]


def test_a_name_that_is_not_utf_8_is_refused(parts: Path) -> None:
    (parts / "images" / os.fsdecode(b"caf\xe9.png")).write_bytes(b"")
    with pytest.raises(DataError, match=r"found the name 'caf\\udce9.png', expected printable UTF-8"):
        read_dataset(parts)


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16"])
def test_settings_with_a_byte_order_mark_are_read(parts: Path, encoding: str) -> None:
    (parts / "dataset.toml").write_bytes('citation = "Müller"\n'.encode(encoding))
    assert read_dataset(parts).citation == "Müller"


def test_settings_in_latin_1_are_one_clear_line(parts: Path) -> None:
    (parts / "dataset.toml").write_bytes('citation = "Müller"\n'.encode("latin-1"))
    with pytest.raises(DataError, match="that are not UTF-8"):
        read_dataset(parts)


def test_the_depth_of_16_bit_images_is_stated(parts: Path) -> None:
    cv2.imwrite(str(parts / "images" / "p9.png"), np.full((8, 6), 1600, np.uint16))
    with pytest.raises(DataError, match=r"state bits = 10, 12, 14 or 16 in dataset\.toml"):
        read_dataset(parts).samples[-1].load_image()
    (parts / "dataset.toml").write_text("bits = 12\n")
    assert (read_dataset(parts).samples[-1].load_image() == 100).all()


RED = np.array([0, 0, 128, 255], np.uint8)


def store(path: Path, mask: np.ndarray, kind: str) -> None:
    """Write a bool mask as a file of some kind."""
    if kind == "drawn in alpha":
        stored = np.full((*mask.shape, 4), 255, np.uint8)
        stored[..., 3] = mask * 255
    elif kind == "opaque":
        stored = np.dstack([mask * np.uint8(255)] * 3 + [np.full(mask.shape, 255, np.uint8)])
    elif kind == "red":
        stored = mask[..., np.newaxis] * RED[:3]
    elif kind == "colour file":
        stored = np.dstack([mask * np.uint8(255)] * 3)
    else:
        stored = mask * {"0 and 1": np.uint8(1), "16 bits": np.uint16(65535), "grey": np.uint8(255)}[kind]
    cv2.imwrite(str(path), stored)


MASK = np.eye(8, 6, dtype=bool)


@pytest.mark.parametrize("kind", ["grey", "16 bits", "opaque", "colour file"])
def test_masks_that_say_the_same_are_read_alike(tmp_path: Path, kind: str) -> None:
    store(tmp_path / "mask.png", MASK, kind)
    np.testing.assert_array_equal(MaskFile(tmp_path / "mask.png").load(8, 6), MASK)


@pytest.mark.parametrize(
    ("kind", "message"),
    [
        ("drawn in alpha", "found a mask with transparent pixels.*save it in grey"),
        ("0 and 1", 'found grey values up to 1, .*state masks = "nonzero" in dataset.toml'),
        ("red", "found a mask in colour"),
    ],
)
def test_a_mask_that_would_be_misread_says_what_it_holds(tmp_path: Path, kind: str, message: str) -> None:
    store(tmp_path / "mask.png", MASK, kind)
    with pytest.raises(DataError, match=message):
        MaskFile(tmp_path / "mask.png").load(8, 6)


def test_masks_of_0_and_1_are_read_where_the_settings_say_so(parts: Path) -> None:
    for path in (parts / "masks").rglob("*.png"):
        store(path, MASK, "0 and 1")
    (parts / "dataset.toml").write_text('masks = "nonzero"\n')
    np.testing.assert_array_equal(read_dataset(parts).samples[0].load_masks(8, 6)[0], MASK)


def test_palette_masks_are_read_where_the_settings_say_so(tmp_path: Path) -> None:
    (tmp_path / "mask.png").write_bytes(palette_png(MASK.astype(np.uint8), bytes([0, 0, 0, 128, 0, 0])))
    with pytest.raises(DataError, match="found a palette of 2 colours"):
        MaskFile(tmp_path / "mask.png").load(8, 6)
    np.testing.assert_array_equal(MaskFile(tmp_path / "mask.png", rule="nonzero").load(8, 6), MASK)


def voc_square() -> tuple[np.ndarray, np.ndarray]:
    """Draw an object of index 3 within a border of index 255."""
    indices = np.zeros((8, 6), np.uint8)
    indices[1:6, 1:6] = 255
    indices[2:5, 2:5] = 3
    return indices, indices == 3


VOC_PALETTE = bytes(value for index in range(256) for value in palette_colour(index))


@pytest.mark.parametrize("kind", ["palette", "grey"])
def test_the_border_of_pascal_voc_is_no_defect(tmp_path: Path, kind: str) -> None:
    indices, square = voc_square()
    path = tmp_path / "mask.png"
    if kind == "palette":
        path.write_bytes(palette_png(indices, VOC_PALETTE))
    else:
        cv2.imwrite(str(path), indices)
    np.testing.assert_array_equal(MaskFile(path, rule="voc").load(8, 6), square)


@pytest.mark.parametrize(
    ("kind", "rule", "found"),
    [
        ("grey", "above-127", "the grey values 3 and 255"),
        ("grey", "nonzero", "the grey values 3 and 255"),
        ("palette", "nonzero", "a palette's index 255 beside another"),
    ],
)
def test_a_border_of_pascal_voc_is_not_taken_for_a_defect(tmp_path: Path, kind: str, rule: str, found: str) -> None:
    indices, _ = voc_square()
    path = tmp_path / "mask.png"
    path.write_bytes(palette_png(indices, VOC_PALETTE)) if kind == "palette" else cv2.imwrite(str(path), indices)
    with pytest.raises(DataError, match=f'{found}, .*state masks = "voc" in dataset.toml'):
        MaskFile(path, rule=rule).load(8, 6)


def test_the_border_is_read_where_the_settings_say_so(parts: Path) -> None:
    indices, square = voc_square()
    for path in (parts / "masks").rglob("*.png"):
        path.write_bytes(palette_png(indices, VOC_PALETTE))
    (parts / "dataset.toml").write_text('masks = "voc"\n')
    np.testing.assert_array_equal(read_dataset(parts).samples[0].load_masks(8, 6)[0], square)


@pytest.mark.parametrize("grey", [64, 254])
def test_soft_edges_of_a_mask_are_no_border(tmp_path: Path, grey: int) -> None:
    indices, square = voc_square()
    cv2.imwrite(str(tmp_path / "mask.png"), np.where(square, 255, np.where(indices > 0, grey, 0)).astype(np.uint8))
    mask = MaskFile(tmp_path / "mask.png").load(8, 6)
    np.testing.assert_array_equal(mask, (indices > 0) if grey > 127 else square)
