"""Plan of a sweep: a frozen, validated model, read from TOML, and the runs that it consists of."""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import product
from pathlib import Path
from typing import Annotated

from pydantic import Field, StringConstraints, ValidationError

from bundle import FrozenModel, first_problem, write_whole
from bundle.toml_text import TomlError, parse_toml
from train.data.dataset import Dataset
from train.data.folds import make_folds
from train.data.splits import Kind, Split, load_split, make_split, save_split
from train.errors import RecipeError, SplitError
from train.recipe import Recipe, load_recipe

Setting = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$", max_length=60)]
CONTENT_FILE = "sweep-run.json"
"""Recipe, split and data that a run was started with, in its folder."""


class SweepPlan(FrozenModel):
    """Each fold with each seed and each setting is one run. Relative paths are below the plan's folder."""

    data: tuple[Path, ...] = Field(min_length=1)
    """Folders of labelled images, which are joined."""
    recipe: str
    """Name of a recipe, or a TOML file."""
    split: Kind = "by-part"
    folds: int = Field(default=1, ge=1, le=100)
    """Number of cross-validation folds; 1 is a single split, the same for all seeds and settings."""
    split_seed: int = Field(default=0, ge=0)
    seeds: tuple[int, ...] = Field(default=(0,), min_length=1)
    settings: dict[Setting, tuple[str, ...]] = Field(default={"recipe": ()}, min_length=1)
    """Overrides of the recipe by name, `key=value` as for `train --set`."""
    cpus: int = Field(default=1, ge=1)
    """Processor threads of a run."""
    gpus: float = Field(default=0, ge=0, le=1)
    """GPU of a run; with 0.5 two runs share one. Without one it trains on the processor."""

    @property
    def device(self) -> str:
        """As for `train --device`."""
        return "auto" if self.gpus else "cpu"


@dataclass(frozen=True)
class PlannedRun:
    """One run of a sweep."""

    setting: str
    folder: Path
    data: tuple[Path, ...]
    split: Path
    recipe: Recipe
    """With the overrides of the setting, and the seed."""

    @property
    def name(self) -> str:
        """Name in messages and tables."""
        return f"{self.setting}/{self.folder.name}"

    @property
    def is_finished(self) -> bool:
        """Whether its metrics are there. Raises RecipeError if the folder holds a run of another plan."""
        file = self.folder / CONTENT_FILE
        if not file.exists():
            return False
        if file.read_text(encoding="utf-8") != self._content():
            raise RecipeError(
                f"{file}: found another recipe, split or data than those of the plan; give the setting another name, "
                "or the sweep another --out"
            )
        return (self.folder / "metrics.json").exists()

    def begin(self) -> None:
        """Make the folder, with the content of the run."""
        self.folder.mkdir(parents=True, exist_ok=True)
        write_whole(self.folder / CONTENT_FILE, self._content())

    def _content(self) -> str:
        places = {"data": [*map(str, self.data)], "split": str(self.split)}
        return json.dumps(places | {"recipe": self.recipe.model_dump(mode="json")}, indent=1) + "\n"


def load_plan(path: Path) -> SweepPlan:
    """Read a plan. Raises RecipeError for unknown keys, values, recipes or overrides."""
    try:
        plan = SweepPlan.model_validate(parse_toml(path.read_text(encoding="utf-8-sig")))
    except OSError as error:
        problem = f"cannot be read ({error.strerror}), expected the plan of a sweep; check the path"
        raise RecipeError(f"{path}: {problem}") from None
    except (TomlError, UnicodeDecodeError) as error:
        raise RecipeError(f"{path}: {error}; expected the plan of a sweep, a TOML file in UTF-8") from None
    except ValidationError as error:
        raise RecipeError(f"{path}: {first_problem(error)}") from None
    recipe = str(path.parent / plan.recipe) if plan.recipe.endswith(".toml") else plan.recipe
    for overrides in plan.settings.values():
        load_recipe(recipe, overrides)
    return plan.model_copy(update={"recipe": recipe, "data": tuple(path.parent / folder for folder in plan.data)})


def write_splits(plan: SweepPlan, dataset: Dataset, folder: Path) -> list[Path]:
    """Write one split file per fold. Raises SplitError if the folder has others, such as those of other images."""
    if plan.folds == 1:
        splits = [make_split(dataset, plan.split, plan.split_seed)]
    else:
        splits = [*make_folds(dataset, plan.split, plan.split_seed, plan.folds).splits]
    files = [folder / f"fold-{number}.json" for number in range(1, len(splits) + 1)]
    folder.mkdir(parents=True, exist_ok=True)
    for file, split in zip(files, splits, strict=True):
        _write_split(file, split)
    return files


def planned_runs(plan: SweepPlan, splits: list[Path], out: Path) -> Iterator[PlannedRun]:
    """The runs, one setting after the other."""
    for (setting, overrides), split, seed in product(plan.settings.items(), splits, plan.seeds):
        recipe = load_recipe(plan.recipe, [*overrides, f"seed={seed}"])
        yield PlannedRun(setting, out / setting / f"{split.stem}-seed-{seed}", plan.data, split, recipe)


def _write_split(file: Path, split: Split) -> None:
    if not file.exists():
        save_split(split, file)
    elif load_split(file) != split:
        raise SplitError(
            f"{file}: found another split, expected that of the plan and its images; give the sweep another --out"
        )
