"""Large drawn parts: repeatable, with small defects and their truth."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest

from synthetic.large_parts import CLASSES, SCRATCH_PX, draw_large_part

ROOT = Path(__file__).resolve().parents[2]
SHAPE = (500, 900)


def test_the_same_arguments_draw_the_same_part() -> None:
    first, second, other = (draw_large_part(3, index, SHAPE, 4) for index in (1, 1, 2))

    assert first.image.shape == SHAPE
    assert first.masks.shape == (len(CLASSES), *SHAPE)
    assert np.array_equal(first.image, second.image)
    assert np.array_equal(first.masks, second.masks)
    assert not np.array_equal(first.image, other.image)


def test_a_good_part_has_an_empty_truth_and_differs_only_at_the_defects() -> None:
    good, bad = draw_large_part(3, 1, SHAPE), draw_large_part(3, 1, SHAPE, 4)
    near = cv2.dilate(bad.masks.max(axis=0), np.ones((17, 17), np.uint8)) > 0

    assert not good.masks.any()
    assert (good.image != bad.image).any()
    assert not (good.image != bad.image)[~near].any()


def test_scratches_are_six_pixels_wide_and_darker_than_the_part() -> None:
    good, bad = draw_large_part(5, 3, (700, 700)), draw_large_part(5, 3, (700, 700), 8)
    mask = bad.masks[CLASSES.index("Scratch")]
    thickest = 2 * cv2.distanceTransform(mask, cv2.DIST_L2, 5).max()

    assert SCRATCH_PX - 2 < thickest < SCRATCH_PX + 4  # two may cross
    assert bad.image[mask > 0].mean() < 0.85 * good.image[mask > 0].mean()


def test_the_tool_writes_a_folder_for_training(tmp_path: Path) -> None:
    pytest.importorskip("typer", reason="tools/draw-large-parts needs typer")
    tool = ROOT / "tools" / "draw-large-parts"
    options = ["--out", str(tmp_path / "large"), "--parts", "2", "--height", "200", "--width", "300", "--defects", "4"]
    for code in (0, 1):  # the folder is not empty the second time
        assert subprocess.run([sys.executable, tool, *options], capture_output=True, check=False).returncode == code

    written = sorted(path.relative_to(tmp_path / "large").as_posix() for path in tmp_path.rglob("*.png"))
    assert written == ["images/0000.png", "images/0001.png", "masks/Pit/0001.png", "masks/Scratch/0001.png"]
