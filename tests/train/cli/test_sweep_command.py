"""`train sweep`: the runs of a plan, on a Ray of this machine."""

import json
import re
import subprocess
import sys
import threading
from importlib.util import find_spec
from pathlib import Path
from types import ModuleType

import pytest

from tests.train.cli.test_main import RECIPE, run_main
from train.data.readers import read_dataset
from train.errors import RecipeError, SplitError, TrainError
from train.sweep.plan import load_plan, planned_runs, write_splits
from train.sweep.ray_cluster import train_all

PLAN = """
recipe = "mine.toml"
folds = 2
seeds = [3]
[settings]
narrow = []
wide = ["network.width=8"]
"""
EPOCHS = 12
"""Of a run that is killed: several seconds."""
START_S = 300
"""Longest time to the first epochs on a busy machine; 15 s on a quiet one."""


@pytest.fixture
def plan(tiles: Path, tmp_path: Path) -> Path:
    (tmp_path / "mine.toml").write_text(RECIPE)
    (tmp_path / "plan.toml").write_text(f'data = ["{tiles}"]\n{PLAN}')
    return tmp_path / "plan.toml"


def test_each_fold_seed_and_setting_is_a_run_with_its_test_part(plan: Path, tiles: Path, tmp_path: Path) -> None:
    planned = load_plan(plan)
    splits = write_splits(planned, read_dataset(tiles), tmp_path / "splits")
    runs = [*planned_runs(planned, splits, tmp_path)]

    assert [run.name for run in runs] == [
        "narrow/fold-1-seed-3", "narrow/fold-2-seed-3", "wide/fold-1-seed-3", "wide/fold-2-seed-3",
    ]  # fmt: skip
    assert [(run.recipe.seed, run.recipe.network.width) for run in runs] == [(3, 4), (3, 4), (3, 8), (3, 8)]
    assert [run.split.name for run in runs] == ["fold-1.json", "fold-2.json"] * 2
    assert not any(run.is_finished for run in runs)


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("fold = 2", "fold: unknown key"),
        ("folds = 0", "folds"),
        ('settings = { "../other" = [] }', "settings"),
        ('settings = { a = ["network.wide=8"] }', "network.wide: unknown key"),
    ],
)
def test_a_mistake_in_a_plan_is_said(tmp_path: Path, line: str, message: str) -> None:
    (tmp_path / "plan.toml").write_text(f'data = ["d"]\nrecipe = "magnetic-tile"\n{line}\n')
    with pytest.raises(RecipeError, match=message):
        load_plan(tmp_path / "plan.toml")


def test_a_folder_of_other_runs_or_images_is_refused(plan: Path, tiles: Path, tmp_path: Path) -> None:
    planned, dataset = load_plan(plan), read_dataset(tiles)
    splits = write_splits(planned, dataset, tmp_path / "splits")
    first, *_ = planned_runs(planned, splits, tmp_path)
    first.begin()
    other, *_ = planned_runs(planned.model_copy(update={"settings": {"narrow": ("run.epochs=2",)}}), splits, tmp_path)

    with pytest.raises(RecipeError, match="found another recipe, split or data"):
        other.is_finished  # noqa: B018
    with pytest.raises(SplitError, match="found another split"):
        write_splits(planned.model_copy(update={"split_seed": 1}), dataset, tmp_path / "splits")


class SlowRay(ModuleType):
    """Ray where a busy machine starts it too slowly."""

    def init(self, **options: object) -> None:
        raise Exception("The current node timed out during startup.")


def test_a_ray_that_does_not_start_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "ray", SlowRay("ray"))
    with pytest.raises(TrainError, match=r"found no Ray at 'local' \(The current node timed out during startup\.\)"):
        train_all([], print, "local", 1, 0, print)


class SmallRay(ModuleType):
    """Ray of two machines, one of which has left."""

    is_shut_down = False

    def init(self, **options: object) -> None:
        """Start."""

    def nodes(self) -> list[dict[str, object]]:
        """Its machines."""
        return [
            {"Alive": True, "Resources": {"CPU": 2.0, "memory": 1e9}},
            {"Alive": False, "Resources": {"CPU": 64.0, "GPU": 8.0}},
        ]

    def shutdown(self) -> None:
        """End."""
        self.is_shut_down = True


@pytest.mark.parametrize(("cpus", "gpus"), [(4, 0.0), (1, 0.5)])
def test_a_run_that_fits_no_machine_is_refused(monkeypatch: pytest.MonkeyPatch, cpus: int, gpus: float) -> None:
    ray = SmallRay("ray")
    monkeypatch.setitem(sys.modules, "ray", ray)
    expected = rf"found machines with 2 and 0 processors and GPUs, expected one with {cpus} and {gpus:g}; set cpus"
    with pytest.raises(TrainError, match=expected):
        train_all([], print, "local", cpus, gpus, print)
    assert ray.is_shut_down


def test_a_sweep_that_was_killed_goes_on_where_it_was(
    plan: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    if find_spec("ray") is None:
        pytest.skip("ray is not installed: edge-inspect[sweep]")
    plan.write_text(plan.read_text().replace('wide = ["network.width=8"]', ""))
    recipe = tmp_path / "mine.toml"
    recipe.write_text(recipe.read_text().replace("epochs = 1", f"epochs = {EPOCHS}"))
    out = tmp_path / "out"
    arguments = ["sweep", str(plan), "--out", str(out), "--markdown"]
    command = [sys.executable, "-m", "train.cli.main", *arguments]  # its own process: Ray leaves threads behind
    killed = subprocess.Popen(command, stdout=subprocess.DEVNULL)
    try:
        for _ in range(START_S * 10):
            if killed.poll() is not None or len([*out.glob("narrow/*/last.pt")]) == 2:
                break
            threading.Event().wait(0.1)
        assert killed.poll() is None, "the sweep ended before both runs had an epoch"
    finally:
        killed.kill()
        killed.wait()
    assert not [*out.glob("narrow/*/metrics.json")]

    resumed = subprocess.run(command, capture_output=True, text=True, check=False, timeout=600)
    assert resumed.returncode == 0, resumed.stdout + resumed.stderr
    assert run_main(*arguments) == 0
    again = capsys.readouterr().out

    logs = [path.read_text() for path in out.glob("narrow/*/log")]
    assert all(re.search(rf"resumes after epoch \d+ of {EPOCHS} ", log) for log in logs), logs
    assert resumed.stdout.startswith("2 runs, 0 of them finished\n")
    assert again.startswith("2 runs, 2 of them finished\n| setting | runs | escapes |")
    assert "| narrow | 2 |" in again
    assert again.splitlines()[1:] == resumed.stdout.splitlines()[3:]
    metrics = [*out.glob("narrow/*/metrics.json")]
    assert [json.loads(path.read_text())["test"]["images"] for path in metrics] == [40, 40]
