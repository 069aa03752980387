"""Thresholds of a finished network, chosen again: on held-out predictions of several runs, such as cross-validation
folds, or on its own validation part.

The validation part of one run has few parts of a rare class, so its thresholds are uncertain. The test parts of k folds
cover all parts, each predicted by a network that was not trained on it.
"""

from collections.abc import Iterable, Mapping, Sequence

from train.data.dataset import Dataset, Sample
from train.data.image_set import joined, load_images
from train.data.splits import sides_of
from train.device import Compute
from train.errors import DataError
from train.evaluate.outputs import evaluate, joined_outputs, judged_together
from train.evaluate.predict import predict_apart
from train.evaluate.thresholds import check_positives, choose_thresholds
from train.models.checkpoint import Checkpoint, Meta
from train.network_recipe import NetworkRecipe
from train.recipe import Recipe

HELD_OUT = "held_out"
"""Key of a checkpoint's metrics on the images that its thresholds were chosen on."""


def with_held_out_thresholds(
    checkpoint: Checkpoint, runs: Mapping[str, Checkpoint], dataset: Dataset, recipe: Recipe, compute: Compute
) -> Checkpoint:
    """The checkpoint with thresholds chosen on the test parts of `runs`, without the images of its own test part, or
    without runs on its own validation part.

    recipe: the checkpoint's, with its table of thresholds possibly changed.
    Metrics of these images replace those of the checkpoint, under `HELD_OUT`; they are optimistic, since the
    thresholds were chosen on them. Raises DataError if a run has other classes or another input than the checkpoint,
    if two runs have a test image in common, or if there is no image to choose on.
    """
    meta = checkpoint.meta
    held_out = _tested(checkpoint, runs, dataset, recipe) if runs else _validated(checkpoint, dataset, recipe)
    images = [load_images(samples, meta.input, len(meta.classes)) for _, samples in held_out]
    each = [predict_apart(network, part, compute) for (network, _), part in zip(held_out, images, strict=True)]
    outputs = joined_outputs(each)
    together = joined(images)
    outputs = judged_together(outputs, together, recipe.thresholds.exposures)
    where = "test parts of the runs" if runs else "validation part"
    check_positives(together.labels, meta.classes, recipe.thresholds, where)
    thresholds = choose_thresholds(outputs, together, meta.classes, recipe.thresholds)
    measured = {HELD_OUT: evaluate(outputs, together, thresholds, meta.classes).model_dump(mode="json")}
    measured |= {key: value for key, value in meta.metrics.items() if key == "train"}
    changes = {"recipe": recipe, "thresholds": thresholds, "metrics": measured}
    return Checkpoint(meta.model_copy(update=changes), checkpoint.weights)


_HeldOut = list[tuple[Checkpoint, list[Sample]]]
"""Networks with the images that they predict, none of which they learnt."""


def _tested(checkpoint: Checkpoint, runs: Mapping[str, Checkpoint], dataset: Dataset, recipe: Recipe) -> _HeldOut:
    meta = checkpoint.meta
    own = {image for image, side in meta.split.images.items() if side == "test"}
    found: _HeldOut = []
    for name, run in runs.items():
        _check_alike(name, run.meta, meta)
        tests = sides_of(run.meta.split, dataset, recipe.thresholds.exposures)["test"]
        samples = [sample for sample in tests if sample.sha256 not in own]
        if samples:  # a run that tests only the checkpoint's own test part contributes nothing
            found.append((run, samples))
    if not found:
        raise DataError(
            f"{', '.join(runs)}: found no test image beside those of the checkpoint's own test part, expected runs "
            "that test other parts, such as folds; see `train split --folds`"
        )
    _check_once([samples for _, samples in found])
    return found


def _validated(checkpoint: Checkpoint, dataset: Dataset, recipe: Recipe) -> _HeldOut:
    samples = list(sides_of(checkpoint.meta.split, dataset, recipe.thresholds.exposures)["val"])
    if not samples:
        raise DataError(
            f"{dataset.name}: found no image of the checkpoint's validation part, expected some (a run with "
            "thresholds.folds learns it as well); name runs that test other parts, such as folds"
        )
    return [(checkpoint, samples)]


def _check_alike(name: str, found: Meta, expected: Meta) -> None:
    for what, here, there in (
        ("classes", found.classes, expected.classes),
        ("input", found.input, expected.input),
        ("kind of network", _kinds(found.recipe.network), _kinds(expected.recipe.network)),
    ):
        if here != there:
            raise DataError(
                f"{name}: found another {what} than the checkpoint's, {here} instead of {there}; "
                "choose its thresholds by runs of the same recipe"
            )


def _kinds(network: NetworkRecipe) -> str:
    members = [member.network.model for member in network.members]
    return f"{network.model} of {', '.join(members)}" if members else network.model


def _check_once(parts: Iterable[Sequence[Sample]]) -> None:
    seen: set[str] = set()
    for samples in parts:
        twice = [sample for sample in samples if sample.sha256 in seen]
        if twice:
            raise DataError(
                f"{twice[0].path}: found in the test parts of two runs, expected folds; see `train split --folds`"
            )
        seen.update(sample.sha256 for sample in samples)
