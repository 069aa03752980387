import shutil
from pathlib import Path

import cv2
import numpy as np
import pytest

from train.data.duplicates import detail_of, near_duplicates
from train.data.readers import read_dataset
from train.data.splits import make_split, sides_of
from train.errors import DataError


def surface(seed: int) -> np.ndarray:
    """Draw a rough surface."""
    noise = np.random.default_rng(seed).integers(0, 256, (64, 64), dtype=np.uint8)
    return cv2.GaussianBlur(noise, (0, 0), 2)


@pytest.fixture
def parts(tmp_path: Path) -> Path:
    """Write 16 parts with two pictures each, every second one scratched."""
    for folder in ("images", "masks/scratch"):
        (tmp_path / folder).mkdir(parents=True)
    for part in range(16):
        for side in "lr":
            name = f"p{part:02}{side}.png"
            cv2.imwrite(str(tmp_path / "images" / name), surface(2 * part + (side == "r")))
            if part % 2:
                mask = np.zeros((64, 64), np.uint8)
                mask[20:30, 20:30] = 255
                cv2.imwrite(str(tmp_path / "masks" / "scratch" / name), mask)
    (tmp_path / "dataset.toml").write_text("part = '(p..)'\n")
    return tmp_path


def copy(parts: Path, source: str, target: str, mask: bool = False) -> None:
    shutil.copy(parts / "images" / source, parts / "images" / target)
    if mask:
        shutil.copy(parts / "masks" / "scratch" / source, parts / "masks" / "scratch" / target)


def test_a_picture_that_is_there_twice_counts_once(parts: Path) -> None:
    copy(parts, "p01l.png", "p01x.png", mask=True)
    dataset = read_dataset(parts)
    assert len(dataset.samples) == 32
    assert [(one.path.name, Path(one.reason).name) for one in dataset.unused] == [("p01x.png", "p01l.png")]


@pytest.mark.parametrize("kind", ["by-part", "random"])
def test_counts_agree_between_split_and_sides(parts: Path, kind: str) -> None:
    copy(parts, "p01l.png", "p01x.png", mask=True)
    dataset = read_dataset(parts)
    split = make_split(dataset, kind, 0)
    assert len(split.images) == sum(len(samples) for samples in sides_of(split, dataset).values()) == 32


@pytest.mark.parametrize("seed", range(8))
def test_parts_that_share_a_picture_stay_together(parts: Path, seed: int) -> None:
    copy(parts, "p01l.png", "p03x.png", mask=True)
    dataset = read_dataset(parts)
    split = make_split(dataset, "by-part", seed)
    assert len({split.images[one.sha256] for one in dataset.samples if one.path.name[:3] in ("p01", "p03")}) == 1


def test_a_picture_that_is_good_and_defective_is_refused(parts: Path) -> None:
    copy(parts, "p01l.png", "p00x.png")
    with pytest.raises(DataError, match=r"p01l\.png: found the same picture as .*p00x\.png with another label"):
        read_dataset(parts)


def test_a_picture_with_two_outlines_is_refused(parts: Path) -> None:
    copy(parts, "p01l.png", "p01x.png", mask=True)
    cv2.imwrite(str(parts / "masks" / "scratch" / "p01x.png"), np.full((64, 64), 255, np.uint8))
    with pytest.raises(DataError, match=r"p01x\.png: found the same picture as .*p01l\.png with another label"):
        read_dataset(parts)


def test_nearly_the_same_picture_is_found() -> None:
    pictures = [surface(seed) for seed in range(20)]
    _, again = cv2.imencode(".jpg", (pictures[3] * 0.8 + 20).astype(np.uint8), [cv2.IMWRITE_JPEG_QUALITY, 80])
    pictures.append(cv2.imdecode(again, cv2.IMREAD_GRAYSCALE))
    assert [(first, second) for first, second, _ in near_duplicates([detail_of(one) for one in pictures])] == [(3, 20)]


def test_nearly_the_same_pictures_are_found_however_many_lie_between_them() -> None:
    noise = np.random.default_rng(1)
    details = [noise.normal(0, 8, (64, 64)).astype(np.float32) for _ in range(600)]
    for first, second in ((0, 599), (255, 256), (300, 301)):
        details[second] = details[first] * 0.9
    assert [pair[:2] for pair in near_duplicates(details)] == [(0, 599), (255, 256), (300, 301)]


def test_parts_in_one_fixture_are_not_nearly_the_same() -> None:
    fixture = cv2.circle(np.zeros((64, 64), np.float32), (32, 32), 20, 120, 2)
    pictures = [(surface(seed) * 0.2 + fixture).astype(np.uint8) for seed in range(20)]
    assert list(near_duplicates([detail_of(one) for one in pictures])) == []


def test_pictures_without_detail_are_not_nearly_the_same() -> None:
    pictures = [np.full((64, 64), 100 + seed, np.uint8) for seed in range(20)]
    assert list(near_duplicates([detail_of(one) for one in pictures])) == []
