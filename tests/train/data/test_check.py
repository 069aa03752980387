"""A folder of real-looking parts with twelve planted faults, and a clean one."""

import shutil
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest

from bundle import InputSpec
from train.cli.main import main
from train.data.check.checks import DataReport, check_folder, check_images
from train.data.readers import read_dataset
from train.data.splits import make_split

SIDE_PX = 96
PARTS = 112
"""Enough for three parts of each class in validation and test."""
SPEC = InputSpec(height=64, width=64, channels=1)


def brushed(seed: int, defect: str = "") -> tuple[np.ndarray, np.ndarray]:
    """Draw a brushed metal plate under uneven light, with a scratch or dent, and its mask."""
    generator = np.random.default_rng(seed)
    lines = generator.normal(0, 14, (SIDE_PX, 1)) + generator.normal(0, 4, (SIDE_PX, SIDE_PX))
    light = np.linspace(-12, 12, SIDE_PX)
    image = 120 + lines + light
    mask = np.zeros((SIDE_PX, SIDE_PX), np.uint8)
    x, y = generator.integers(20, 60, 2).tolist()
    if defect == "scratch":
        cv2.line(mask, (x, y), (x + 16, y + 12), 255, 3)
        image[mask > 0] += 70
    elif defect == "dent":
        cv2.circle(mask, (x, y), 6, 255, -1)
        image[mask > 0] -= 50
    return image.clip(1, 254).astype(np.uint8), mask


@pytest.fixture(scope="module")
def clean(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Write 112 parts with an image each: 56 good, 28 with a scratch, 28 with a dent."""
    folder = tmp_path_factory.mktemp("clean") / "parts"
    for place in ("images", "masks/scratch", "masks/dent"):
        (folder / place).mkdir(parents=True)
    for part in range(PARTS):
        defect = ("", "scratch", "", "dent")[part % 4]
        image, mask = brushed(part, defect)
        cv2.imwrite(str(folder / "images" / f"p{part:02}.png"), image)
        if defect:
            cv2.imwrite(str(folder / "masks" / defect / f"p{part:02}.png"), mask)
    return folder


@pytest.fixture
def parts(clean: Path, tmp_path: Path) -> Path:
    """Copy the clean parts, to plant faults in."""
    return Path(shutil.copytree(clean, tmp_path / "parts"))


def truncated_picture(parts: Path) -> None:
    path = parts / "images" / "p00.png"
    path.write_bytes(path.read_bytes()[:-500])


def mask_of_another_size(parts: Path) -> None:
    cv2.imwrite(str(parts / "masks" / "scratch" / "p01.png"), np.full((50, 50), 255, np.uint8))


def empty_mask(parts: Path) -> None:
    cv2.imwrite(str(parts / "masks" / "dent" / "p02.png"), np.zeros((SIDE_PX, SIDE_PX), np.uint8))


def mask_without_picture(parts: Path) -> None:
    cv2.imwrite(str(parts / "masks" / "dent" / "q99.png"), brushed(0, "dent")[1])


def unknown_depth(parts: Path) -> None:
    path = parts / "images" / "p04.png"
    cv2.imwrite(str(path), brushed(4)[0].astype(np.uint16) * 16)


def unread_kind(parts: Path) -> None:
    (parts / "images" / "q50.webp").write_bytes(b"RIFF")


def picture_elsewhere(parts: Path) -> None:
    cv2.imwrite(str(parts / "q51.png"), brushed(251)[0])


def good_and_defective(parts: Path) -> None:
    shutil.copy(parts / "images" / "p05.png", parts / "images" / "q52.png")


def mask_of_0_and_1(parts: Path) -> None:
    cv2.imwrite(str(parts / "masks" / "dent" / "p07.png"), brushed(7, "dent")[1] // 255)


def transparent_picture(parts: Path) -> None:
    image = brushed(8)[0]
    cv2.imwrite(str(parts / "images" / "p08.png"), np.dstack([image] * 4))


def nearly_the_same_picture(parts: Path) -> None:
    image = cv2.imread(str(parts / "images" / "p10.png"), cv2.IMREAD_GRAYSCALE)
    cv2.imwrite(str(parts / "images" / "q53.jpg"), (image * 0.95 + 4).astype(np.uint8))


def tiny_defect(parts: Path) -> None:
    mask = np.zeros((SIDE_PX, SIDE_PX), np.uint8)
    mask[41, 41] = 255
    cv2.imwrite(str(parts / "masks" / "scratch" / "p09.png"), mask)


def saturated_picture(parts: Path) -> None:
    cv2.imwrite(str(parts / "images" / "p12.png"), np.full((SIDE_PX, SIDE_PX), 255, np.uint8))


def colour_picture(parts: Path) -> None:
    image = brushed(14)[0]
    cv2.imwrite(str(parts / "images" / "p14.png"), np.dstack([image, image // 2, image]))


PLANTED: dict[Callable[[Path], None], str] = {
    truncated_picture: "p00.png: found a truncated image",
    mask_of_another_size: "p01.png: found a mask of 50x50, expected 96x96",
    empty_mask: "p02.png: found an empty mask",
    mask_without_picture: "q99.png: found a mask without its image",
    unknown_depth: "p04.png: found a 16-bit file",
    unread_kind: "q50.webp: found a picture of a kind that is not read",
    picture_elsewhere: "q51.png: found a picture where the layout",
    good_and_defective: "q52.png: found the same picture as",
    mask_of_0_and_1: "p07.png: found grey values up to 1",
    transparent_picture: "p08.png: found transparent pixels",
    nearly_the_same_picture: "q53.jpg: nearly the same picture as",
    tiny_defect: "class scratch: the smallest defect is 0.7 pixels",
    saturated_picture: "1 pictures have more than 50% of their pixels saturated, such as p12.png",
    colour_picture: "several kinds of pictures: grey (",
}


def texts(report: DataReport) -> list[str]:
    return [finding.text for finding in report.findings]


def test_clean_parts_have_no_findings(clean: Path) -> None:
    report = check_folder(clean, SPEC, "by-part", 0)
    assert texts(report) == []
    assert len(report.facts) == PARTS


def test_every_planted_fault_is_named(parts: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for plant in PLANTED:
        plant(parts)
    page = tmp_path / "page.html"
    with pytest.raises(SystemExit) as ended:
        main(["check", str(parts), "--set", "input.height=64", "--set", "input.width=64", "--html", str(page)])
    told = capsys.readouterr().out
    assert [message for message in PLANTED.values() if message not in told] == []
    assert ended.value.code == 1
    assert all(message.split(":")[0].split()[0] in page.read_text() for message in PLANTED.values())


@pytest.mark.parametrize("plant", PLANTED, ids=lambda plant: plant.__name__)
def test_a_fault_alone_is_the_only_finding(parts: Path, plant: Callable[[Path], None]) -> None:
    plant(parts)
    found = texts(check_folder(parts, SPEC, "by-part", 0))
    assert any(PLANTED[plant] in text for text in found)
    others = [text for text in found if PLANTED[plant] not in text]
    assert [text for text in others if "1 files not taken (the same picture as" not in text] == []


def test_a_clean_check_ends_with_0(clean: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["check", str(clean), "--set", "input.height=64", "--set", "input.width=64"])
    assert not ended.value.code
    assert "0 problems, 0 warnings" in capsys.readouterr().out


def test_defects_that_vanish_name_the_size_that_would_do(clean: Path) -> None:
    report = check_images(read_dataset(clean), InputSpec(height=8, width=8, channels=1))
    (finding, *_) = [one for one in report.findings if one.text.startswith("class scratch")]
    assert "--set input.height=" in finding.text
    big = int(finding.text.split("input.height=")[1].split()[0])
    enlarged = check_images(read_dataset(clean), InputSpec(height=big, width=big, channels=1))
    assert not [one for one in enlarged.findings if one.text.startswith("class scratch")]


def test_few_parts_on_a_side_are_a_warning(parts: Path) -> None:
    for number in range(64, PARTS):
        for path in parts.rglob(f"p{number:02}.png"):
            path.unlink()
    (finding,) = check_folder(parts, SPEC, "by-part", 0).findings
    assert not finding.is_problem
    assert finding.text.startswith("split: found few parts on a side (dent in val 2, dent in test 2, scratch in val 2")


def test_a_data_set_without_defects_is_a_problem(parts: Path) -> None:
    for mask in (parts / "masks").rglob("*.png"):
        mask.unlink()
    report = check_images(read_dataset(parts), SPEC)
    (problem,) = report.problems
    assert problem.text == "parts: found no image with a defect, expected some of each class; add them"


def test_tiles_are_named_where_the_input_would_become_large(parts: Path) -> None:
    image = np.kron(brushed(70)[0], np.ones((13, 13), np.uint8))
    mask = np.zeros(image.shape, np.uint8)
    mask[600:604, 600:604] = 255
    cv2.imwrite(str(parts / "images" / "q70.png"), image)
    cv2.imwrite(str(parts / "masks" / "dent" / "q70.png"), mask)
    (found,) = [text for text in texts(check_folder(parts, SPEC, "by-part", 0)) if "smallest defect" in text]
    size = SIDE_PX * 13
    assert f"judge in tiles: --set input.height={size} --set input.width={size} --set input.tiles.overlap=64" in found


def darkened(parts: Path, *levels: int) -> None:
    """Take the first parts darker, as many as there are levels."""
    for number, level in enumerate(levels):
        path = parts / "images" / f"p{number:02}.png"
        image = cv2.imread(str(path), cv2.IMREAD_GRAYSCALE).astype(int)
        cv2.imwrite(str(path), (image - level).clip(20, 254).astype(np.uint8))


def test_pictures_of_another_exposure_are_one_warning(parts: Path) -> None:
    darkened(parts, *[70] * 8)
    (finding,) = check_folder(parts, SPEC, "by-part", 0).warnings
    assert finding.text.startswith("8 pictures are darker or brighter than the others (mean 120 of 255), such as ")
    assert "p00.png" in finding.text
    assert "p07.png" not in finding.text
    assert len(finding.listed) == 8


def test_copies_that_roboflow_made_are_said(parts: Path) -> None:
    for number in (0, 2):
        for copy in ("0f3e9a1b2c", "9d8c7b6a5f"):
            image = cv2.imread(str(parts / "images" / f"p{number:02}.png"), cv2.IMREAD_GRAYSCALE)
            turned = image if copy.startswith("0") else cv2.flip(image, 0)
            cv2.imwrite(str(parts / "images" / f"q{number}_png.rf.{copy}.png"), cv2.add(turned, 1))
    report = check_images(read_dataset(parts), SPEC)
    (finding,) = report.warnings
    assert finding.text.startswith("4 pictures are copies that Roboflow made of 2 originals")
    split = make_split(report.dataset, "by-part", 0)
    sides = {split.images[one.sha256] for one in report.dataset.samples if one.path.stem.startswith("q0_")}
    assert len(sides) == 1


def test_several_exposures_of_each_part_are_said_once(clean: Path, tmp_path: Path) -> None:
    parts = tmp_path / "parts"
    shutil.copytree(clean, parts)
    for path in sorted((parts / "images").iterdir()):
        image = cv2.imread(str(path), cv2.IMREAD_GRAYSCALE).astype(int)
        cv2.imwrite(str(path.with_name(f"{path.stem}-dark.png")), (image - 70).clip(20, 254).astype(np.uint8))
    for path in sorted((parts / "masks").rglob("*.png")):
        shutil.copy(path, path.with_name(f"{path.stem}-dark.png"))
    (parts / "dataset.toml").write_text("part = '(p[0-9]+)'\n")
    (finding,) = check_folder(parts, SPEC, "by-part", 0).findings
    assert finding.text.startswith("several exposures of each part: the pictures of 112 of 112 parts differ by ")


def test_findings_of_one_wording_are_one_line(parts: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for number in (0, 4, 8):
        (parts / "images" / f"p{number:02}.png").write_bytes(b"no picture" * (1 + number))
    with pytest.raises(SystemExit):
        main(["check", str(parts), "--html", str(tmp_path / "page.html")])
    told = capsys.readouterr().out
    (line,) = (line for line in told.splitlines() if line.startswith("problem: "))
    assert line.endswith("(3 like this; also p04.png, p08.png)")
    assert "p08.png: found 90 bytes" in (tmp_path / "page.html").read_text()
    assert "3 problems" in told
