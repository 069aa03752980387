"""The dry run refuses what training refuses, with the same counts."""

from pathlib import Path

import cv2
import numpy as np
import pytest

from tests.train.cli.test_main import RECIPE, run_main


@pytest.fixture
def parts(tmp_path: Path) -> Path:
    """Write 30 good images, then 12 whose class is known without an outline."""
    folder = tmp_path / "parts"
    (folder / "images").mkdir(parents=True)
    (folder / "masks" / "dent").mkdir(parents=True)
    generator = np.random.default_rng(3)
    for number in range(42):
        cv2.imwrite(str(folder / f"images/{number:02}.png"), generator.integers(0, 256, (32, 32), np.uint8))
    lines = [f"{number:02}.png,dent" for number in range(30, 42)]
    (folder / "labels.csv").write_text("\n".join(["image,class", *lines, ""]))
    return folder


def test_it_counts_the_sources_of_the_whole_training_part(
    parts: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    recipe = tmp_path / "mine.toml"
    recipe.write_text(f'split = "random"\n{RECIPE}\n[crops]\nimages = 4\n')
    arguments = ("--data", parts, "--recipe", recipe, "--out", tmp_path / "run")

    assert run_main(*arguments, "--dry-run") == 2
    told = capsys.readouterr().err
    assert run_main(*arguments) == 2
    assert told == capsys.readouterr().err
    assert "and 0 with outlined defects in the training part" in told
