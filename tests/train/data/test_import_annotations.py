import json
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest

from train.data.import_annotations import import_coco, import_labelme
from train.data.readers import read_dataset
from train.errors import DataError

SQUARE = [2, 1, 5, 1, 5, 4, 2, 4]  # x, y of the corners
HEIGHT, WIDTH = 8, 10


def square() -> np.ndarray:
    mask = np.zeros((HEIGHT, WIDTH), bool)
    mask[1:5, 2:6] = True
    return mask


def run_lengths(mask: np.ndarray) -> list[int]:
    """Count outside and inside in turn, down the columns, as COCO does."""
    flat = mask.T.ravel()
    edges = np.flatnonzero(np.diff(flat)) + 1
    return np.diff([0, *edges, flat.size]).tolist()


def compressed(counts: list[int]) -> str:
    """Compress run lengths as pycocotools' rleToString does."""
    text = ""
    for index, count in enumerate(counts):
        value = count - counts[index - 2] if index > 2 else count
        more = True
        while more:
            bits = value & 0x1F
            value >>= 5
            more = value != -1 if bits & 0x10 else value != 0
            text += chr((bits | 0x20 if more else bits) + 48)
    return text


def write_images(folder: Path, *names: str) -> None:
    folder.mkdir(exist_ok=True)
    for name in names:
        cv2.imwrite(str(folder / name), np.full((HEIGHT, WIDTH), 90, np.uint8))


def coco(segmentation: object) -> dict[str, object]:
    """Make a COCO file's content: one image with two annotations of one class, one good image."""
    sizes = {"height": HEIGHT, "width": WIDTH}
    return {
        "images": [{"id": 7, "file_name": "a.png", **sizes}, {"id": 8, "file_name": "b.png", **sizes}],
        "categories": [{"id": 3, "name": "dent"}],
        "annotations": [{"id": 1, "image_id": 7, "category_id": 3, "segmentation": segmentation}],
    }


def write_coco(folder: Path, content: object) -> Path:
    write_images(folder, "a.png", "b.png")
    (folder / "labels.json").write_text(json.dumps(content))
    return folder / "labels.json"


@pytest.mark.parametrize(
    "segmentation",
    [
        [SQUARE],
        {"counts": run_lengths(square()), "size": [HEIGHT, WIDTH]},
        {"counts": compressed(run_lengths(square())), "size": [HEIGHT, WIDTH]},
    ],
    ids=["polygon", "run lengths", "compressed"],
)
def test_coco_becomes_a_folder_that_reads(tmp_path: Path, segmentation: object) -> None:
    file = write_coco(tmp_path / "in", coco(segmentation))
    assert import_coco(file, tmp_path / "in", tmp_path / "out") == 2
    dataset = read_dataset(tmp_path / "out")
    assert dataset.classes == ("dent",)
    assert [sample.labels for sample in dataset.samples] == [(True,), (False,)]
    np.testing.assert_array_equal(dataset.samples[0].load_masks(HEIGHT, WIDTH)[0], square())


def labelme(shape_type: str, points: list[list[float]]) -> dict[str, object]:
    return {
        "imagePath": "..\\pictures\\a.png",
        "imageHeight": HEIGHT,
        "imageWidth": WIDTH,
        "shapes": [{"label": "dent", "points": points, "shape_type": shape_type}],
    }


@pytest.mark.parametrize(
    ("kind", "points", "area"),
    [
        ("polygon", [[2, 1], [5, 1], [5, 4], [2, 4]], 16),
        ("rectangle", [[5, 4], [2, 1]], 16),
        ("circle", [[4, 4], [4, 6]], 13),
    ],
)
def test_labelme_becomes_a_folder_that_reads(tmp_path: Path, kind: str, points: list[list[float]], area: int) -> None:
    write_images(tmp_path / "in", "a.png", "b.png")
    (tmp_path / "in" / "a.json").write_text(json.dumps(labelme(kind, points)))
    assert import_labelme(tmp_path / "in", tmp_path / "out") == 2
    dataset = read_dataset(tmp_path / "out")
    assert [sample.labels for sample in dataset.samples] == [(True,), (False,)]
    assert dataset.samples[0].load_masks(HEIGHT, WIDTH).sum() == area


def without_categories(content: dict) -> None:
    del content["categories"]


def wrong_counts(content: dict) -> None:
    content["annotations"][0]["segmentation"] = {"counts": [3, 4]}


def unknown_image(content: dict) -> None:
    content["images"][1]["file_name"] = "c.png"


def text_for_list(content: dict) -> None:
    content["annotations"] = "none"


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (without_categories, "found no 'categories', expected it"),
        (wrong_counts, "annotation 1: found run lengths over 7 pixels, expected 80"),
        (unknown_image, r"c\.png: found no such image"),
        (text_for_list, "found another structure"),
    ],
)
def test_bad_coco_file_is_one_clear_line(tmp_path: Path, change: Callable[[dict], None], message: str) -> None:
    content = coco([SQUARE])
    change(content)
    file = write_coco(tmp_path / "in", content)
    with pytest.raises(DataError, match=message) as caught:
        import_coco(file, tmp_path / "in", tmp_path / "out")
    assert "\n" not in str(caught.value)


def test_other_labelme_shape_is_refused(tmp_path: Path) -> None:
    write_images(tmp_path / "in", "a.png")
    (tmp_path / "in" / "a.json").write_text(json.dumps(labelme("line", [[0, 0], [1, 1]])))
    with pytest.raises(DataError, match="found the shape line, expected polygon, rectangle or circle"):
        import_labelme(tmp_path / "in", tmp_path / "out")


def test_file_that_is_no_json_is_refused(tmp_path: Path) -> None:
    (tmp_path / "a.json").write_text("{")
    with pytest.raises(DataError, match=r"a\.json: cannot be read as JSON"):
        import_coco(tmp_path / "a.json", tmp_path, tmp_path / "out")


def test_folder_that_is_not_empty_is_refused(tmp_path: Path) -> None:
    file = write_coco(tmp_path / "in", coco([SQUARE]))
    with pytest.raises(DataError, match="found a folder that is not empty"):
        import_coco(file, tmp_path / "in", tmp_path / "in")
