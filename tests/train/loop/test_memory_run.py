import io
from pathlib import Path

import cv2
import numpy as np
import pytest
from rich.console import Console

from tests.torchvision_operators import declare_torchvision_operators
from train.data.anomaly import ANOMALY
from train.data.readers import read_dataset
from train.data.splits import Split, make_split
from train.device import choose_compute
from train.errors import CheckpointError, SplitError
from train.evaluate.predict import evaluate_checkpoint
from train.loop.memory_run import MemoryRun
from train.models.checkpoint import load_checkpoint
from train.recipe import Recipe, load_recipe

CPU = choose_compute("cpu", "float32")
TILES = ["input.tiles.height=32", "input.tiles.width=32", "input.tiles.overlap=16"]


@pytest.fixture(scope="module", autouse=True)
def encoder() -> None:
    declare_torchvision_operators()


def recipe_of(*overrides: str) -> Recipe:
    small = ["input.height=48", "input.width=32", "network.pretrained=false", "network.patches=50"]
    return load_recipe("good-only", [*small, *overrides])


def run_of(tiles: Path, out: Path, recipe: Recipe, log: io.StringIO | None = None) -> MemoryRun:
    dataset = read_dataset(tiles, one_class=True)
    split = make_split(dataset, "by-part", recipe.seed)
    return MemoryRun(recipe, dataset, split, out, CPU, Console(file=log or io.StringIO(), width=200))


@pytest.fixture(scope="module")
def run(tiles: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[MemoryRun, str]:
    """A finished run, with what it printed."""
    log = io.StringIO()
    run = run_of(tiles, tmp_path_factory.mktemp("run"), recipe_of(), log)
    run.train()
    run.test()
    return run, log.getvalue()


def test_blocks_on_tiles_are_told_from_good_ones(run: tuple[MemoryRun, str]) -> None:
    metrics = load_checkpoint(run[0].best).meta.metrics["test"]
    assert metrics["union"]["average_precision"] > 0.9
    assert metrics["classes"][0]["name"] == ANOMALY


def test_no_defect_is_learnt(run: tuple[MemoryRun, str]) -> None:
    assert all(sample.good for sample in run[0].samples["train"])


def test_the_interval_of_false_rejects_is_printed(run: tuple[MemoryRun, str]) -> None:
    held_out = load_checkpoint(run[0].best).meta.metrics["val"]["false_rejects"]
    assert held_out["count"] == 0
    assert "false rejects of held-out good parts: 0 of" in run[1]
    assert "95 %: 0.0 to" in run[1]


def test_a_report_is_written(run: tuple[MemoryRun, str]) -> None:
    report = (run[0].out / "report.html").read_text()
    assert "Learned from good parts alone" in report
    assert "training loss" not in report


def test_the_checkpoint_evaluates_as_the_run_did(run: tuple[MemoryRun, str], tiles: Path) -> None:
    stored = load_checkpoint(run[0].best)
    judged, _ = evaluate_checkpoint(stored, read_dataset(tiles, one_class=True), stored.meta.split, "test", CPU)
    assert judged.metrics().model_dump(mode="json") == stored.meta.metrics["test"]


def test_another_recipe_in_the_folder_is_refused(run: tuple[MemoryRun, str], tiles: Path) -> None:
    other = run_of(tiles, run[0].out, recipe_of("network.patches=60"))
    with pytest.raises(CheckpointError, match=r"network\.patches"):
        other.train()


def test_pictures_in_tiles_are_learnt_tile_by_tile(tiles: Path, tmp_path: Path) -> None:
    run = run_of(tiles, tmp_path, recipe_of("input.height=48", *TILES))
    run.train()
    assert run.test().union.average_precision > 0.9


def test_good_parts_alone_need_no_defect(tmp_path: Path) -> None:
    generator = np.random.default_rng(2)
    (tmp_path / "parts" / "images").mkdir(parents=True)
    for number in range(12):
        image = generator.normal(120, 4, (48, 32)).clip(0, 255).astype(np.uint8)
        cv2.imwrite(str(tmp_path / "parts" / "images" / f"{number}.png"), image)
    log = io.StringIO()
    run = run_of(tmp_path / "parts", tmp_path / "out", recipe_of(), log)
    run.train()
    assert run.test().escapes.total == 0
    assert "escapes - (no cases)" in log.getvalue()


def test_a_split_without_good_validation_parts_is_refused(tiles: Path, tmp_path: Path) -> None:
    dataset = read_dataset(tiles, one_class=True)
    sides = {s.sha256: "val" if not s.good else "train" for s in dataset.samples}
    sides[dataset.samples[-1].sha256] = "test"
    split = Split(kind="random", seed=0, images=sides)
    with pytest.raises(SplitError, match="found no good image of magnetic-tile in the val part"):
        MemoryRun(recipe_of(), dataset, split, tmp_path, CPU, Console(file=io.StringIO()))
