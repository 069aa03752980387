"""Run that joins the networks of finished runs of one split into an ensemble and chooses its thresholds."""

from collections.abc import Mapping
from pathlib import Path
from typing import cast

from pydantic import ValidationError
from rich.console import Console

from bundle import Threshold, first_problem
from train.data.dataset import Dataset
from train.data.splits import Split, save_split, without_validation
from train.device import Compute
from train.errors import CheckpointError
from train.evaluate.metrics import Metrics
from train.evaluate.outputs import evaluate, judged_together
from train.evaluate.predict import predict
from train.evaluate.thresholds import choose_thresholds
from train.loop.run_folder import RunFolder, learnt_pictures, warn
from train.models.build import make_network
from train.models.checkpoint import Checkpoint, Meta, build_network, file_sha256, load_checkpoint, save_checkpoint
from train.models.ensemble import Ensemble
from train.models.network import NormalisedNetwork
from train.network_recipe import MemberRecipe, NetworkRecipe
from train.recipe import Recipe

NAME = "ensemble"


class EnsembleRun(RunFolder):
    """One ensemble in one folder: `best.pt`, `metrics.json` and the report.

    recipe: as by `ensemble_recipe`. checkpoints: of the members, by their paths, as messages name them. Raises
    CheckpointError for members of other classes than the data set's.
    """

    def __init__(
        self,
        recipe: Recipe,
        checkpoints: Mapping[str, Checkpoint],
        dataset: Dataset,
        out: Path,
        compute: Compute,
        console: Console,
    ):
        first = next(iter(checkpoints.values())).meta
        super().__init__(recipe, dataset, first.split, out, compute, console)
        if first.classes != dataset.classes:
            raise CheckpointError(
                f"{dataset.name}: found the classes {', '.join(dataset.classes)}, expected those of the members, "
                f"{', '.join(first.classes)}; name the data that they were trained on"
            )
        self.checkpoints = checkpoints
        self.members = tuple(file_sha256(Path(path)) for path in checkpoints)
        self.seen = frozenset(image for member in checkpoints.values() for image in member.meta.seen)

    def join(self) -> None:
        """Write `best.pt`, its thresholds chosen on the validation part; those of a member that decides are kept.

        Raises CheckpointError where the folder holds a run, which may be a member.
        """
        if self.best.exists() and not self._is_interrupted():
            raise CheckpointError(f"--out {self.out}: found the {self.best.name} of a run, expected none; name another")
        for path, member in self.checkpoints.items():
            warn(self.console, member.meta.unfinished(Path(path)))
        save_split(self.split, self.out / "split.json")
        network = make_network(self.recipe.network, self.recipe.input.channels, len(self.dataset.classes))
        for own, member in zip(cast(Ensemble, network.body).networks, self.checkpoints.values(), strict=True):
            own.load_state_dict(build_network(member).state_dict())
        self.learnt = learnt_pictures(self.load("train"))
        thresholds, metrics = self._judged(self.compute.place(network).eval())
        save_checkpoint(Checkpoint(self._meta(thresholds, metrics, epoch=1), network.state_dict()), self.best)

    def _is_interrupted(self) -> bool:
        """Whether the folder holds this ensemble, joined but not tested."""
        stored = load_checkpoint(self.best).meta
        tested = (self.out / "metrics.json").exists()
        same = (stored.recipe, stored.split, stored.members) == (self.recipe, self.split, self.members)
        return same and not tested

    def _judged(self, network: NormalisedNetwork) -> tuple[dict[str, Threshold], Metrics | None]:
        """Thresholds, and the metrics of the validation part where it is not learnt."""
        if self.recipe.network.is_decided:
            first = next(iter(self.checkpoints.values())).meta
            return first.thresholds, None
        val = self.load("val")
        outputs = judged_together(predict(network, val, self.compute), val, self.recipe.thresholds.exposures)
        thresholds = choose_thresholds(outputs, val, self.dataset.classes, self.recipe.thresholds)
        return thresholds, evaluate(outputs, val, thresholds, self.dataset.classes)


def ensemble_recipe(members: Mapping[str, Checkpoint]) -> Recipe:
    """The recipe of the first member, which gives input, grid of the masks and thresholds, with the networks of all.

    Raises CheckpointError for members that do not fit together.
    """
    names = list(members)
    metas = [member.meta for member in members.values()]
    first = metas[0]
    channels = first.input.channels
    network = _network_of(members, channels)
    areas = [threshold.min_area_px for threshold in first.thresholds.values()]
    if network.is_decided and any(areas):
        raise CheckpointError(
            f"{names[0]}: found a smallest area of {max(areas):.0f} pixels, expected 0 of a network that decides, as "
            "it was chosen for its own outlines; train it with --set thresholds.min_area_px=0 and without areas_px"
        )
    for name, meta in zip(names, metas, strict=True):
        if meta.recipe.thresholds.folds > 1 and not network.is_decided:
            raise CheckpointError(
                f"{name}: found a run that learnt the validation part as well, expected one that did not: an ensemble "
                "chooses its thresholds there; train it with --set thresholds.folds=1"
            )
        known = first.classes if meta.recipe.good_only else meta.classes
        if meta.input.tiles is not None or meta.recipe.network.members:
            kind = "an ensemble" if meta.recipe.network.members else "a network of tiles"
            raise CheckpointError(f"{name}: found {kind}, expected a single network of whole pictures; leave it out")
        for what, found, expected, advice in (
            ("the classes", ", ".join(known), ", ".join(first.classes), "train both on one data set"),
            ("the channels", meta.input.channels, first.input.channels, "train both with one input.channels"),
            ("the crop", meta.input.crop, first.input.crop, "train both with one input.crop"),
        ):
            if found != expected:
                raise CheckpointError(
                    f"{name}: found {what} {found}, expected those of {names[0]}, {expected}; {advice}"
                )
        if _learnt(meta, network) != _learnt(first, network):
            raise CheckpointError(
                f"{name}: found another split, expected that of {names[0]}; train it with --split of that run"
            )
    return first.recipe.model_copy(update={"name": NAME, "network": network})


def _network_of(members: Mapping[str, Checkpoint], channels: int) -> NetworkRecipe:
    """Raises CheckpointError for kinds of networks that do not go together, or not in this order."""
    networks = tuple(
        MemberRecipe(
            height=member.meta.input.height,
            width=member.meta.input.width,
            network=member.meta.recipe.network.model_copy(update={"pretrained": False, "weights": ""}),
        )
        for member in members.values()
    )
    mean, deviation = (0.0,) * channels, (1 / 255,) * channels  # each member has a normalisation of its own
    try:
        return NetworkRecipe(model="ensemble", members=networks, pretrained=False, mean=mean, deviation=deviation)
    except ValidationError as error:
        raise CheckpointError(f"{', '.join(members)}: {first_problem(error)}") from None


def _learnt(meta: Meta, network: NetworkRecipe) -> Split:
    """The split, or what it tests alone: a member that decides has learnt the validation part of the others."""
    return without_validation(meta.split) if network.is_decided else meta.split
