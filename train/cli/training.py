"""Body of the command `train`: prepares a run, trains it, tests it."""

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import typer
from rich.console import Console

from train.cli.dry_run import dry_run
from train.cli.options import console_for, use_threads
from train.data.check.checks import DataReport, check_images
from train.data.check.findings import gathered
from train.data.check.image_facts import ImageFacts
from train.data.check.split_counts import side_lines, thin_sides
from train.data.dataset import Dataset
from train.data.joined import read_datasets
from train.data.splits import KINDS, SHARES, Split, extend_split, named_split, without_validation
from train.device import Compute, compute_of
from train.errors import DataError, RecipeError
from train.evaluate.runs.improvement import Improvement, compare_checkpoints
from train.loop.classifier_run import ClassifierRun
from train.loop.distributed import local_device, process_group
from train.loop.memory import keep_freed_memory
from train.loop.memory_run import MemoryRun
from train.loop.run import Run
from train.loop.run_folder import RunFolder
from train.models.checkpoint import Checkpoint, load_checkpoint
from train.network_recipe import WITHOUT_ENCODER
from train.recipe import Recipe, with_overrides

_WITHOUT_OUTLINES = "union.average_precision"
"""Metric of the best epoch where there is nothing to hold masks against."""
_COLOUR_CONTRAST = 4.0
"""Difference in colour of defects, in levels, from which on colour tells them apart; JPEG alone gives about 1."""


def train_in_folder(
    data: Sequence[Path],
    recipe: Recipe,
    out: Path,
    split: str | None,
    init: Path | None,
    teacher: Path | None,
    dry: bool,
    tensorboard: bool,
    device: str,
    threads: int | None,
) -> None:
    """Train as the options of the command `train` say. Raises TrainError."""
    given = {
        "--dry-run": dry,
        "--tensorboard": tensorboard,
        "--init": init is not None,
        "--teacher": teacher is not None,
    }
    named = " and ".join(option for option, said in given.items() if said)
    if recipe.network.one_pass and named:
        raise RecipeError(
            f"recipe {recipe.name}: found {named}, expected none of {', '.join(given)}: it sees each picture once, "
            "with a frozen encoder; leave it out"
        )
    use_threads(threads)
    keep_freed_memory()
    dataset = read_datasets(data, one_class=recipe.good_only)
    report = check_images(dataset, recipe.input)
    _refuse_problems(report)
    chosen, extended = _chosen_split(split, recipe, dataset, init)
    if recipe.thresholds.folds > 1:
        chosen = without_validation(chosen)
    recipe, followed = following(recipe, report, chosen)
    found = (finding.text for finding in gathered(report.warnings))
    warnings = (*found, *mixed_parts(dataset, recipe), *frozen_at_random(recipe))
    remarks = (*(f"warning: {text}" for text in warnings), *extended, *followed)
    if recipe.network.one_pass:
        _fit_in_one_pass(recipe, dataset, chosen, out, compute_of(device, recipe), remarks)
        return
    with _prepared(recipe, dataset, chosen, out, local_device(device)) as run:
        _print_lines(run.console, remarks)
        if dry:
            run.console.print("\n".join(dry_run(run)), highlight=False)
            return
        run.resume()
        if init is not None:
            run.start_from(init)
        run.learn_from(teacher)
        _train(run, tensorboard)
        if run.group.is_leader:
            run.test()


def mixed_parts(dataset: Dataset, recipe: Recipe) -> Iterator[str]:
    """Warn of parts with good and defective pictures where the pictures of a part are judged together."""
    if recipe.thresholds.exposures == "worst":
        return
    kinds: dict[str, set[bool]] = {}
    for sample in dataset.samples:
        kinds.setdefault(sample.part, set()).add(sample.good)
    mixed = sorted(part for part, found in kinds.items() if len(found) > 1)
    if mixed:
        yield (
            f"thresholds.exposures: {len(mixed)} of {len(kinds)} parts have good and defective pictures, such as "
            f"{mixed[0]}; they are judged together, as at the line: if they show several parts, name each by itself; "
            "if one part, label its defect in all of them"
        )


def frozen_at_random(recipe: Recipe) -> Iterator[str]:
    """Warn of layers that neither ImageNet's pictures nor these teach anything."""
    network, stages = recipe.network, recipe.optimiser.frozen_stages
    if network.pretrained or network.model in WITHOUT_ENCODER or not (network.one_pass or stages):
        return
    frozen = "the encoder keeps" if network.one_pass else f"{stages} stages of the encoder keep"
    advice = "" if network.one_pass else ", or let them learn: --set optimiser.frozen_stages=0"
    yield (
        f"network.pretrained: found false in recipe {recipe.name}, where {frozen} random weights, which see little; "
        f"leave out --no-pretrained{advice}"
    )


def _fit_in_one_pass(
    recipe: Recipe, dataset: Dataset, split: Split, out: Path, compute: Compute, remarks: Sequence[str]
) -> None:
    """Fit in the leading process; further ones of torchrun wait."""
    with process_group(compute.device) as group:
        if group.is_leader:
            kind = MemoryRun if recipe.good_only else ClassifierRun
            run = kind(recipe, dataset, split, out, compute, console_for())
            _print_choices(run, remarks)
            run.train()
            run.test()


def improve_in_folder(
    data: Sequence[Path],
    recipe: Recipe,
    out: Path,
    before: Checkpoint,
    init: Path,
    hold_out: float,
    device: str,
    threads: int | None,
) -> Improvement:
    """Train a checkpoint further on joined data sets, and compare both on the held-out parts. Raises TrainError.

    before: the content of the file `init`. hold_out: share of each class in the test part, where new parts are dealt.
    """
    if recipe.good_only:
        raise RecipeError(
            f"{init}: found a network of good parts alone, expected one that learnt defects; learn all good parts "
            "again with --recipe good-only, or train the defects with another recipe"
        )
    if recipe.network.one_pass:
        raise RecipeError(
            f"{init}: found {recipe.network.model}, expected a network that is trained as a whole; this one is fitted "
            "in minutes: train --data OLD --data NEW with its recipe"
        )
    use_threads(threads)
    keep_freed_memory()
    dataset = read_datasets(data)
    report = check_images(dataset, recipe.input)
    _refuse_problems(report)
    val = min(SHARES["val"], (1 - hold_out) / 3)
    split = extend_split(before.meta.split, dataset, {"train": 1 - hold_out - val, "val": val, "test": hold_out})
    with _prepared(recipe, dataset, split, out, local_device(device)) as run:
        run.resume()
        run.start_from(init)
        _train(run, tensorboard=False)
        run.test()
        return compare_checkpoints(before, load_checkpoint(run.best), dataset, run.samples["test"], run.compute)


def _refuse_problems(report: DataReport) -> None:
    """Raise DataError for the first problem of the data set."""
    if report.problems:
        more = len(report.problems) - 1
        others = f" (and {more} more problems: `train check` lists them)" if more else ""
        raise DataError(report.problems[0].text + others)


def _chosen_split(
    name: str | None, recipe: Recipe, dataset: Dataset, init: Path | None
) -> tuple[Split, tuple[str, ...]]:
    """The split, with lines on how it came about; that of a start checkpoint is extended where none is named."""
    kind = name or recipe.split
    if init is None or kind not in KINDS:
        return named_split(kind, dataset, recipe.seed), ()
    before = load_checkpoint(init).meta.split
    known = sum(sample.sha256 in before.images for sample in dataset.samples)
    if not known or before.kind != kind:
        return named_split(kind, dataset, recipe.seed), ()
    new = len(dataset.samples) - known
    line = f"split of {init} extended: {known} images keep their part, {new} new ones are dealt"
    return extend_split(before, dataset), (line,)


@contextmanager
def _prepared(recipe: Recipe, dataset: Dataset, split: Split, out: Path, device: str) -> Iterator[Run]:
    """The run inside its process group; prints the choices once, with their reasons."""
    compute = compute_of(device, recipe)
    with process_group(compute.device) as group:
        console = console_for(group.is_leader)
        run = Run(recipe, dataset, split, out, compute, console, group)
        _print_choices(run, (), group.size)
        yield run


def _print_choices(run: RunFolder, remarks: Sequence[str], processes: int = 1) -> None:
    split, compute = run.split, run.compute
    console, dataset = run.console, run.dataset
    console.print(f"{dataset.name}: split {split.kind}, seed {split.seed}", highlight=False)
    thin = (f"warning: {one.text}" for one in thin_sides(split, dataset))
    _print_lines(console, (f"  {line}" for line in (*side_lines(split, dataset), *thin)))
    shared = f" in {processes} processes" if processes > 1 else ""
    console.print(f"recipe {run.recipe.name} on {compute.device}{shared}, {compute.reason}", highlight=False)
    _print_lines(console, remarks)


def _print_lines(console: Console, lines: Iterable[str]) -> None:
    for line in lines:
        console.print(line, highlight=False, markup=False, soft_wrap=True)


def _train(run: Run, tensorboard: bool) -> None:
    try:
        run.train(tensorboard=tensorboard)
    except KeyboardInterrupt:
        done = f"epoch {run.history.done} is complete: the same command resumes from {run.last}"
        none = "no epoch is complete: the same command starts from the beginning"
        run.console.print(f"interrupted; {done if run.history.done else none}", highlight=False)
        raise typer.Exit(130) from None


def following(recipe: Recipe, report: DataReport, split: Split) -> tuple[Recipe, tuple[str, ...]]:
    """The recipe with channels and normalisation of the training images, where it follows them, with lines that say so.

    Without an outline in the training part its crops are switched off. Where it does not follow the images, a line
    warns of classes whose colour is dropped.
    """
    facts = [one for one in report.facts if split.images.get(one.sample.sha256) == "train"]
    coloured = _classes_in_colour(facts, report.dataset.classes)
    if recipe.follow != "pictures" or not facts:
        return recipe, _dropped_colour(coloured) if recipe.input.channels == 1 else ()
    channels = 3 if coloured or sum(one.is_colour for one in facts) * 2 > len(facts) else 1
    means = np.mean([one.channel_means for one in facts], axis=0)
    deviations = np.sqrt(np.maximum(np.mean([one.channel_squares for one in facts], axis=0) - means**2, 1e-4))
    if channels == 1:
        means, deviations = means.mean(keepdims=True), deviations.mean(keepdims=True)
    values = {"mean": [round(float(value), 3) for value in means]}
    values["deviation"] = [round(float(value), 3) for value in deviations]
    followed = with_overrides(
        recipe, [f"input.channels={channels}", *(f"network.{key}={value}" for key, value in values.items())]
    )
    kind = "colour, 3 channels" if channels == 3 else "grey, 1 channel"
    reason = f" (classes that differ in colour: {', '.join(coloured)})" if coloured else ""
    line = f"input follows the pictures: {kind}{reason}; mean {values['mean']}, deviation {values['deviation']}"
    if any(one.defects for one in facts) or not followed.crops.images or recipe.tile_grid is not None:
        return followed, (line,)
    without = with_overrides(followed, ["crops.images=0", f"run.best={_WITHOUT_OUTLINES}"])
    return without, (
        line,
        "no defect of the training part has an outline: crops are switched off, and the best epoch is that of the "
        f"greatest {_WITHOUT_OUTLINES} on the validation part; masks will say little",
    )


def _dropped_colour(coloured: Sequence[str]) -> tuple[str, ...]:
    if not coloured:
        return ()
    return (
        f"warning: found classes that differ from the pictures in colour ({', '.join(coloured)}), which one channel "
        "drops; take channels and normalisation from the pictures: --set follow=pictures",
    )


def _classes_in_colour(facts: Sequence[ImageFacts], classes: Sequence[str]) -> list[str]:
    """Classes whose defects have another colour than their picture in half of the pictures that have them."""
    contrasts = {
        name: [one.colour_contrast for one in facts if one.sample.labels[index]] for index, name in enumerate(classes)
    }
    return [name for name, found in contrasts.items() if found and np.median(found) > _COLOUR_CONTRAST]
