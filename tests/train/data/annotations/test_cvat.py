import tempfile
from pathlib import Path

import cv2
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.train.data.annotations.drawn import (
    HEIGHT,
    SQUARE,
    WIDTH,
    left_over,
    polygons,
    run_lengths,
    square,
    write_images,
)
from train.data.annotations.cvat import import_cvat
from train.data.readers import read_dataset
from train.errors import DataError

POINTS = ";".join(f"{x}.0,{y}.0" for x, y in zip(SQUARE[::2], SQUARE[1::2], strict=True))
POLYGON = f'<polygon label="dent" source="manual" occluded="0" points="{POINTS}" z_order="0"></polygon>'
BOX = '<box label="dent" xtl="2.00" ytl="1.00" xbr="5.00" ybr="4.00"><attribute name="depth">1</attribute></box>'
TURNED = '<box label="dent" xtl="2" ytl="1" xbr="5" ybr="4" rotation="90.0"/>'
ROWS = ", ".join(map(str, run_lengths(square()[1:7, 1:8].T)))
MASK = f'<mask label="dent" source="manual" rle="{ROWS}" left="1" top="1" width="7" height="6"/>'
ELLIPSE = '<ellipse label="dent" cx="4" cy="4" rx="2" ry="2"/>'
LABELS = "".join(f"<label><name>{name}</name><color>#fa3253</color></label>" for name in ("dent", "scratch"))


def document(shapes: str = POLYGON, labels: str = LABELS, size: str = f'width="{WIDTH}" height="{HEIGHT}"') -> str:
    return (
        f'<?xml version="1.0" encoding="utf-8"?>\n<annotations><version>1.1</version><meta><task><labels>{labels}'
        f'</labels></task></meta><image id="0" name="a.png" {size}>{shapes}</image>'
        f'<image id="1" name="b.png" width="{WIDTH}" height="{HEIGHT}"></image></annotations>'
    )


def written(folder: Path, content: str | bytes) -> Path:
    write_images(folder / "in" / "images", "a.png", "b.png")
    file = folder / "in" / "annotations.xml"
    file.write_bytes(content if isinstance(content, bytes) else content.encode("utf-8", "surrogatepass"))
    return file


def imported(folder: Path, content: str | bytes, **more: str):
    file = written(folder, content)
    return import_cvat(file, file.parent / "images", folder / "out", **more)


@pytest.mark.parametrize("shape", [POLYGON, MASK], ids=["polygon", "mask"])
def test_cvat_becomes_a_folder_that_reads(tmp_path: Path, shape: str) -> None:
    summary = imported(tmp_path, document(shape))
    assert (summary.images, summary.defective, summary.notes) == (2, 1, ())
    dataset = read_dataset(tmp_path / "out")
    assert dataset.classes == ("dent", "scratch")
    assert [sample.labels for sample in dataset.samples] == [(True, False), (False, False)]
    np.testing.assert_array_equal(dataset.samples[0].load_masks(HEIGHT, WIDTH)[0], square())


def test_an_ellipse_is_filled(tmp_path: Path) -> None:
    imported(tmp_path, document(ELLIPSE))
    expected = cv2.circle(np.zeros((HEIGHT, WIDTH), np.uint8), (4, 4), 2, 1, -1) > 0
    assert (read_dataset(tmp_path / "out").samples[0].load_masks(HEIGHT, WIDTH)[0] ^ expected).sum() <= 4


@pytest.mark.parametrize("shape", [BOX, TURNED], ids=["upright", "turned by 90 degrees"])
def test_a_box_is_filled_where_that_is_asked_for(tmp_path: Path, shape: str) -> None:
    imported(tmp_path, document(shape), boxes="fill")
    np.testing.assert_array_equal(read_dataset(tmp_path / "out").samples[0].load_masks(HEIGHT, WIDTH)[0], square())


def test_a_box_is_a_class_without_an_outline_where_that_is_asked_for(tmp_path: Path) -> None:
    imported(tmp_path, document(BOX), boxes="label")
    assert (tmp_path / "out" / "labels.csv").read_text().splitlines() == ["image,class", "a.png,dent"]
    (first, second) = read_dataset(tmp_path / "out").samples
    assert (first.labels, second.labels) == ((True, False), (False, False))
    assert not first.load_masks(HEIGHT, WIDTH).any()


def test_pictures_that_the_file_does_not_list_are_named(tmp_path: Path) -> None:
    write_images(tmp_path / "in" / "images", "c.png")
    (note,) = imported(tmp_path, document()).notes
    assert note.startswith("1 pictures that the file does not list: not taken")


ENTITIES = '<!DOCTYPE a [<!ENTITY x "dent"><!ENTITY y "&x;&x;&x;">]><annotations>&y;</annotations>'
REMOTE = '<!DOCTYPE a SYSTEM "file:///etc/passwd"><annotations/>'


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (document(BOX), "a.png, box: found a box without an outline"),
        (document('<points label="dent" points="1,1"/>'), "found the shape points, expected polygon, mask"),
        (document('<polyline label="dent" points="1,1;2,2"/>'), "found the shape polyline"),
        (document('<tag label="dent"/>'), "found the shape tag"),
        (document('<polygon label="dent" points=""/>'), "found '' as a point, expected a number"),
        (document('<polygon label="dent"/>'), "found '' as a point"),
        (document('<polygon label="dent" points="1,1;2,2"/>'), "found an outline of 2 points"),
        (document('<polygon label="dent" points="1,1;2,nan;3,1"/>'), "found 'nan' as a point"),
        (document('<polygon label="dent" points="1,1;2,2,3;3,1"/>'), "found points"),
        (document('<polygon label="dent" points="1,1;99,2;3,1"/>'), "found a point at 99, 2"),
        (document(MASK.replace('left="1"', 'left="9"')), "found a mask of 7x6 at 9, 1"),
        (document(MASK.replace('width="7"', 'width="0"')), "found a mask of 0x6"),
        (document(MASK.replace('rle="', 'rle="1, ')), "found run lengths over 43 pixels, expected 42"),
        (document(MASK.replace("rle=", "runs=")), "found '' as a run length"),
        (document('<ellipse label="dent" cx="4" cy="4" rx="-2" ry="2"/>'), "found an ellipse of radii -2, 2"),
        (document(f"{POLYGON}{POLYGON.replace('dent', 'dint')}"), "found the label 'dint', expected one of dent, scr"),
        (document(labels=LABELS.replace("scratch", "../../evil")), r"found the class name '\.\./\.\./evil'"),
        (document(labels=LABELS.replace("scratch", "Dent")), "found the class names 'dent' and 'Dent'"),
        (document(size='width="8" height="10"'), r"found the size 8x10 for a\.png"),
        (document(size='width="8"'), "found None as height, expected a number"),
        (document().replace('name="b.png"', 'name="a.png"'), "found two images 'a.png'"),
        (document().replace('name="b.png"', 'name="c.png"'), r"c\.png: found no such image"),
        (document().replace('name="b.png"', 'name="../b.png"'), r"found the file name '\.\./b\.png'"),
        (document().replace("annotations>", "annotation>"), "found <annotation>, expected <annotations>"),
        ("<annotations><track id='0'/></annotations>", "found the tracks of a video"),
        ("<annotations/>", "found no <image>"),
        ("<annotations>", "cannot be read as XML"),
        ("", "cannot be read as XML"),
        (ENTITIES, "cannot be read as XML"),
        (REMOTE, "cannot be read as XML"),
        (b"<?xml version='1.0' encoding='none'?><annotations/>", "cannot be read as XML"),
        (document().replace("dent", "Dr\xfccker").encode("latin-1"), "cannot be read as XML"),
    ],
)
def test_a_bad_file_is_one_clear_line(tmp_path: Path, content: str | bytes, message: str) -> None:
    with pytest.raises(DataError, match=message) as caught:
        imported(tmp_path, content)
    assert "\n" not in str(caught.value)
    assert left_over(tmp_path) == []


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16", "iso-8859-1"])
def test_other_encodings_are_read_as_the_file_declares_them(tmp_path: Path, encoding: str) -> None:
    declared = encoding.removesuffix("-sig")
    content = document().replace("dent", "Dr\xfccker").replace('encoding="utf-8"', f'encoding="{declared}"')
    imported(tmp_path, content.encode(encoding))
    assert read_dataset(tmp_path / "out").classes == ("Dr\xfccker", "scratch")


def test_one_class_outlined_and_as_a_box_in_one_picture_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="found 'dent' with an outline and as a box in one picture"):
        imported(tmp_path, document(POLYGON + BOX), boxes="label")


WORDS = st.one_of(st.floats(-2, 12).map(lambda value: f"{value:.2f}"), st.floats().map(str), st.integers().map(str))
PAIRS = st.lists(st.tuples(st.floats(-2, 12), st.floats(-2, 9)), min_size=3, max_size=6)
NAMES = ["points", "rle", "left", "top", "width", "height", "xtl", "cx", "cy", "rx", "ry", "rotation", "label"]
SHAPES = st.sampled_from(["polygon", "mask", "ellipse", "box", "points", "tag"])


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(kind=SHAPES, values=st.dictionaries(st.sampled_from(NAMES), WORDS), corners=PAIRS, valid=st.booleans())
def test_any_shape_is_our_error_or_the_mask_it_states(tmp_path: Path, kind, values, corners, valid: bool) -> None:
    if valid:
        kind, values = "polygon", {"points": ";".join(f"{x:.2f},{y:.2f}" for x, y in corners)}
    attributes = " ".join(f'{name}="{value}"' for name, value in ({"label": "dent"} | values).items())
    place = Path(tempfile.mkdtemp(dir=tmp_path))
    try:
        imported(place, document(f"<{kind} {attributes}/>", labels=""), boxes="fill")
    except DataError:
        assert left_over(place) == []
        return
    mask = read_dataset(place / "out").samples[0].load_masks(HEIGHT, WIDTH)[0]
    assert mask.any()
    if valid:
        rounded = [[float(f"{x:.2f}"), float(f"{y:.2f}")] for x, y in corners]
        np.testing.assert_array_equal(mask, polygons(rounded))
