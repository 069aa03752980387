import tempfile
from pathlib import Path

import cv2
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.bundle.test_images import palette_png
from tests.train.data.annotations.drawn import HEIGHT, WIDTH, left_over, polygons, square, write_images
from train.data.annotations.voc import import_voc, palette_colour
from train.data.readers import read_dataset
from train.errors import DataError

BOX = "<bndbox><xmin>2</xmin><ymin>1</ymin><xmax>5</xmax><ymax>4</ymax></bndbox>"
CORNERS = [(2, 1), (5, 1), (5, 4), (2, 4)]
POLYGON = "".join(f"<x{n}>{x}</x{n}><y{n}>{y}</y{n}>" for n, (x, y) in enumerate(CORNERS, start=1))
COLOURS = "# label:color_rgb:parts:actions\nbackground:0,0,0::\ndent:128,0,0::\nscratch:0,128,0::\n"
NAMES = "__ignore__\n_background_\ndent\nscratch\n"


def document(objects: str, name: str = "a.png", width: object = WIDTH) -> str:
    size = f"<size><width>{width}</width><height>{HEIGHT}</height><depth>1</depth></size>"
    return f"<annotation><filename>{name}</filename>{size}{objects}</annotation>"


def one(inner: str = BOX, name: str = "dent") -> str:
    return f"<object><name>{name}</name><difficult>0</difficult>{inner}</object>"


def index_mask() -> np.ndarray:
    """Draw the square in index 1, within a border of index 255."""
    mask = np.zeros((HEIGHT, WIDTH), np.uint8)
    mask[0:6, 1:7] = 255
    mask[square()] = 1
    return mask


def written(
    folder: Path, *, xml: str | None = None, mask: np.ndarray | None = None, names: str = "", colours: str = ""
):
    """Write one annotated and one good picture."""
    directory = folder / "in"
    write_images(directory / "JPEGImages", "a.png", "b.png")
    if xml is not None:
        (directory / "Annotations").mkdir(exist_ok=True)
        (directory / "Annotations" / "a.xml").write_text(xml)
    if mask is not None:
        (directory / "SegmentationClass").mkdir(exist_ok=True)
        palette = bytes(value for index in range(256) for value in palette_colour(index))
        (directory / "SegmentationClass" / "a.png").write_bytes(palette_png(mask, palette))
    for file, text in (("class_names.txt", names), ("labelmap.txt", colours)):
        if text:
            (directory / file).write_text(text)
    return directory


def check_imported(out: Path) -> None:
    dataset = read_dataset(out)
    first, second = dataset.samples
    index = dataset.classes.index("dent")
    assert [first.labels[index], sum(first.labels), sum(second.labels)] == [True, 1, 0]
    np.testing.assert_array_equal(first.load_masks(HEIGHT, WIDTH)[index], square())


@pytest.mark.parametrize("naming", [{"names": NAMES}, {"colours": COLOURS}], ids=["class_names", "labelmap"])
@pytest.mark.parametrize("xml", [None, document(one())], ids=["masks alone", "with boxes"])
def test_palettes_become_a_folder_that_reads(tmp_path: Path, naming: dict[str, str], xml: str | None) -> None:
    summary = import_voc(written(tmp_path, xml=xml, mask=index_mask(), **naming), tmp_path / "out")
    assert (summary.images, summary.defective) == (2, 1)
    assert summary.notes == ("1 pictures without annotation or mask: taken as good",)
    check_imported(tmp_path / "out")


def test_a_mask_of_indices_in_grey_is_read(tmp_path: Path) -> None:
    directory = written(tmp_path, mask=index_mask(), names=NAMES)
    cv2.imwrite(str(directory / "SegmentationClass" / "a.png"), index_mask())
    import_voc(directory, tmp_path / "out")
    check_imported(tmp_path / "out")


def test_polygons_and_boxes_are_read(tmp_path: Path) -> None:
    import_voc(written(tmp_path, xml=document(one(f"<polygon>{POLYGON}</polygon>{BOX}"))), tmp_path / "polygons")
    import_voc(written(tmp_path, xml=document(one())), tmp_path / "boxes", boxes="fill")
    check_imported(tmp_path / "polygons")
    check_imported(tmp_path / "boxes")


def test_boxes_are_labels_where_that_is_asked_for(tmp_path: Path) -> None:
    import_voc(written(tmp_path, xml=document(one())), tmp_path / "out", boxes="label")
    assert "a.png,dent" in (tmp_path / "out" / "labels.csv").read_text()


def test_the_palette_is_the_one_of_voc() -> None:
    assert [palette_colour(index) for index in (0, 1, 2, 20, 255)] == [
        (0, 0, 0), (128, 0, 0), (0, 128, 0), (0, 64, 128), (224, 224, 192),
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ({"xml": document(one())}, r"a\.xml, 'dent': found a box without an outline"),
        ({"xml": document(one(), name="b.png")}, r"a\.xml: found objects of 'b\.png', expected those of a\.png"),
        ({"xml": document(one(), width=99)}, r"found the size 99x8 for a\.png"),
        ({"xml": document(one(), width="wide")}, "found 'wide' as the picture's size"),
        ({"xml": document(one("<bndbox/>"))}, "found None as xmin, expected a number"),
        ({"xml": document(one("<polygon><x1>1</x1></polygon>"))}, "found points"),
        ({"xml": document(one(name="../../evil"))}, r"found the class name '\.\./\.\./evil'"),
        ({"xml": document(one(name=""))}, "expected a name that is not empty"),
        ({"xml": document("")}, "found no class"),
        ({"xml": "<annotation>"}, r"a\.xml: cannot be read as XML"),
        ({"xml": "<annotations/>"}, "found <annotations>, expected <annotation>"),
        ({}, "found neither Annotations/"),
        ({"mask": index_mask()}, "found masks without the names of their colours"),
        ({"mask": index_mask() * 3, "names": NAMES}, r"found the colour \(.*\), expected one of dent"),
        ({"mask": index_mask()[:4], "names": NAMES}, r"found the size 10x4 for a\.png"),
        ({"mask": index_mask(), "names": "dent\n"}, "found 'dent' first, expected _background_"),
        ({"mask": index_mask(), "colours": COLOURS + "spot:128,0,0::\n"}, "found 'dent' and 'spot' in one colour"),
        ({"mask": index_mask(), "colours": "dent:128,0::\n"}, "found 'dent:128,0::', expected name:r,g,b::"),
        ({"mask": index_mask(), "colours": "dent:red::\n"}, "found 'red' as a colour"),
        (
            {"mask": index_mask(), "names": NAMES, "xml": document(one(name="scratch"))},
            r"a\.png: found dent, expected the objects of .*a\.xml: scratch",
        ),
        (
            {"mask": index_mask(), "names": NAMES, "xml": document("")},
            r"a\.png: found dent, expected the objects of .*a\.xml: none",
        ),
        (
            {"mask": np.zeros((HEIGHT, WIDTH), np.uint8), "names": NAMES, "xml": document(one())},
            r"a\.png: found none, expected the objects of .*a\.xml: dent",
        ),
    ],
)
def test_a_bad_folder_is_one_clear_line(tmp_path: Path, content: dict, message: str) -> None:
    directory = written(tmp_path, **content)
    with pytest.raises(DataError, match=message) as caught:
        import_voc(directory, tmp_path / "out")
    assert "\n" not in str(caught.value)
    assert left_over(tmp_path) == []


@pytest.mark.parametrize("place", ["Annotations/c.xml", "SegmentationClass/c.png"])
def test_a_file_without_its_picture_is_refused(tmp_path: Path, place: str) -> None:
    directory = written(tmp_path, xml=document(one()), mask=index_mask(), names=NAMES)
    (directory / place).write_text(document(one()))
    with pytest.raises(DataError, match=rf"{place[-5:]}: found no picture JPEGImages/c\.\* for it"):
        import_voc(directory, tmp_path / "out")


VALUES = st.one_of(st.floats(-2, 12).map(str), st.integers(-(10**20), 10**20).map(str), st.floats().map(str))
SIDES = st.fixed_dictionaries(dict.fromkeys(("xmin", "ymin", "xmax", "ymax"), VALUES))
OUTLINE = st.lists(st.tuples(st.floats(-2, 12), st.floats(-2, 9)), min_size=3, max_size=6)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(sides=SIDES, words=st.lists(VALUES, max_size=9), corners=OUTLINE, kind=st.sampled_from(["box", "any", "valid"]))
def test_any_object_is_our_error_or_the_mask_it_states(tmp_path: Path, sides, words, corners, kind: str) -> None:
    values = [f"{value:.2f}" for pair in corners for value in pair] if kind == "valid" else words
    inner = "".join(f"<{name}>{value}</{name}>" for name, value in sides.items())
    if kind == "box":
        content = f"<bndbox>{inner}</bndbox>"
    else:
        content = f"<polygon>{''.join(f'<p>{value}</p>' for value in values)}</polygon>"
    place = Path(tempfile.mkdtemp(dir=tmp_path))
    try:
        import_voc(written(place, xml=document(one(content))), place / "out", boxes="fill")
    except DataError:
        assert left_over(place) == []
        return
    mask = read_dataset(place / "out").samples[0].load_masks(HEIGHT, WIDTH)[0]
    assert mask.any()
    if kind == "valid":
        np.testing.assert_array_equal(mask, polygons([float(v) for v in values]))
