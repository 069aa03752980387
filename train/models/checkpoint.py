"""Checkpoint files: weights with their metadata, optionally with the state to resume training."""

import hashlib
import io
import platform
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from textwrap import shorten
from typing import Any, Literal

import torch
from pydantic import BaseModel, Field, TypeAdapter, ValidationError, model_validator
from torch import Tensor

from bundle import BundleError, FrozenModel, InputSpec, Threshold, first_problem, write_whole
from bundle.manifest import MANIFEST, MOST_CLASSES, Name, read_manifest
from train.data.splits import Split
from train.errors import CheckpointError
from train.models.build import make_network
from train.models.network import NormalisedNetwork
from train.models.torch_file import TorchFileError, check_tensors, read_torch_file
from train.recipe import Recipe

FORMAT: Literal[1] = 1
"""Version of the file layout."""

_MARK = "edge-inspect checkpoint"


class Meta(FrozenModel):
    """Metadata of a checkpoint: recipe, classes, split, thresholds, metrics."""

    format: Literal[1] = FORMAT
    recipe: Recipe
    classes: tuple[Name, ...]
    """In channel order."""
    split: Split
    thresholds: dict[str, Threshold]
    """One per class in channel order, chosen on images that the network did not learn from."""
    epoch: int = Field(ge=0)
    """Epochs trained, 1 after the first."""
    metrics: dict[str, Any] = Field(default_factory=dict)
    """Metrics of the validation part ("val") and, after a whole run, of the test part ("test"), with the brightness and
    the sizes of the training pictures ("train"). With thresholds from other runs, or from parts that are left
    out in turn, the metrics of the images that they were chosen on ("held_out") in the place of those of the validation
    part."""
    data: str = ""
    """Name of the data set."""
    citation: str = ""
    software: dict[str, str] = Field(default_factory=dict)
    seen: tuple[str, ...] = ()
    """Hashes of the images that trained the start checkpoint, the teacher and those before them, or chose their
    thresholds."""
    init: str = ""
    """The sha256 of the checkpoint that fine-tuning started from, or empty."""
    teacher: str = ""
    """The sha256 of the checkpoint whose masks were targets beside the ground truth, or empty."""
    members: tuple[str, ...] = ()
    """The sha256 of the checkpoints that an ensemble joins, in their order."""
    example: str = Field(default="", max_length=2**26)
    """PNG in base64: a good picture at the network's input, for golden frames where drawn parts do not serve."""

    @model_validator(mode="after")
    def _consistent(self) -> "Meta":
        if not 1 <= len(self.classes) <= MOST_CLASSES or tuple(self.thresholds) != self.classes:
            raise ValueError(
                f"thresholds: found {len(self.thresholds)} for {len(self.classes)} classes, expected one for each of 1 "
                f"to {MOST_CLASSES}, in their order"
            )
        return self

    @property
    def trained_on(self) -> frozenset[str]:
        """Hashes of all images that shaped the weights or thresholds, those of earlier checkpoints included."""
        own = (image for image, side in self.split.images.items() if side != "test")
        return frozenset(self.seen).union(own)

    @property
    def input(self) -> InputSpec:
        """The network's input."""
        return self.recipe.input

    def unfinished(self, path: Path) -> str | None:
        """A warning, if it is not what a run leaves at its end, with the metrics of the test part.

        path: of the file that it was read from.
        """
        if not set(self.metrics) <= {"train", "val"}:
            return None
        return (
            f"{path}: found no figures of the test part, expected best.pt of a finished run; finish it with the same "
            "`train`, then do this again"
        )


@dataclass(frozen=True)
class Checkpoint:
    """A checkpoint in memory."""

    meta: Meta
    weights: dict[str, Tensor]
    """State dict of the `NormalisedNetwork`, with buffers."""
    training: dict[str, Any] | None = None
    """Optimiser, averages and history, if training can resume from here; tensors and plain values."""


def save_checkpoint(checkpoint: Checkpoint, path: Path) -> None:
    """Write a checkpoint in one step. Raises CheckpointError if it cannot be written, and keeps the old file."""
    content = {
        "mark": _MARK,
        "format": FORMAT,
        "meta": checkpoint.meta.model_dump_json(),
        "weights": checkpoint.weights,
        "training": checkpoint.training,
    }
    buffer = io.BytesIO()
    torch.save(content, buffer)
    try:
        write_whole(path, buffer.getvalue())
    except OSError as error:
        reason = error.strerror
        raise CheckpointError(f"{path}: cannot be written ({reason}); check the folder and the disk's space") from None


def load_checkpoint(path: Path) -> Checkpoint:
    """Read a checkpoint onto the CPU; unpickles tensors and plain values only.

    Raises CheckpointError for a file that is missing, damaged, not a checkpoint of `train`, or of another format.
    """
    if path.is_dir():
        raise CheckpointError(f"{path}: {_found_folder(path)}")
    try:
        return _checked(read_torch_file(path), path)
    except FileNotFoundError:
        raise CheckpointError(f"{path}: found no such file, expected a checkpoint; check the path") from None
    except OSError as error:
        raise CheckpointError(f"{path}: cannot be read ({error.strerror}); check the path and permissions") from None
    except TorchFileError as error:
        raise CheckpointError(
            f"{path}: cannot be read as a checkpoint ({error}); it is damaged or another kind of file: copy it again"
        ) from None


def _found_folder(folder: Path) -> str:
    """Problem with a folder in the place of a checkpoint; a bundle names the checkpoint that it was made of."""
    if not (folder / MANIFEST).is_file():
        return f"found a folder, expected a checkpoint; name the file in it, such as {folder / 'best.pt'}"
    try:
        sha256 = read_manifest(folder).made_from.checkpoint_sha256
    except BundleError as error:
        return f"found a damaged bundle, expected a checkpoint; name the best.pt of its run ({error})"
    return (
        "found a bundle, whose folded weights cannot be trained further, expected a checkpoint; name the best.pt of "
        f"its run (sha256 {sha256}: find it with sha256sum runs/*/best.pt)"
    )


def build_network(checkpoint: Checkpoint) -> NormalisedNetwork:
    """The checkpoint's network in evaluation mode. Raises CheckpointError if the weights do not fit it."""
    meta = checkpoint.meta
    settings = meta.recipe.network.model_copy(update={"pretrained": False})
    network = make_network(settings, meta.input.channels, len(meta.classes))
    try:
        network.load_state_dict(checkpoint.weights)
    except RuntimeError as error:
        problem = str(error).splitlines()[1].strip() if "\n" in str(error) else str(error)
        raise CheckpointError(
            f"checkpoint: weights do not fit the network {settings.model} of its own recipe ({shorten(problem, 160)}); "
            "it was written by another version: train again"
        ) from None
    return network.eval()


def file_sha256(path: Path) -> str:
    """The sha256 of a file."""
    return hashlib.sha256(path.read_bytes()).hexdigest()


def software() -> dict[str, str]:
    """Versions of the software that trains, by name."""
    try:
        own = version("edge-inspect")
    except PackageNotFoundError:
        own = "not installed"
    return {"edge-inspect": own, "python": platform.python_version(), "torch": str(torch.__version__)}


def _checked(content: object, path: Path) -> Checkpoint:
    if not isinstance(content, dict) or content.get("mark") != _MARK:
        raise CheckpointError(f"{path}: found a file of weights that `train` did not write, expected best.pt")
    if content.get("format") != FORMAT:
        raise CheckpointError(
            f"{path}: found checkpoint format {ascii(content.get('format'))[:80]}, expected {FORMAT}; "
            "use the version of edge-inspect that wrote it, or train again"
        )
    meta, training = content.get("meta"), content.get("training")
    if not isinstance(meta, str) or not (training is None or _is_training(training)):
        raise TorchFileError("found no metadata or an odd state of training, expected those of a run")
    try:
        read = Meta.model_validate_json(meta)
    except (ValidationError, UnicodeError) as error:
        problem = first_problem(error) if isinstance(error, ValidationError) else "meta: found text that is no Unicode"
        raise CheckpointError(f"{path}: {problem}; it was written by another version: train again") from None
    return Checkpoint(read, check_tensors(content.get("weights"), "weights"), training)


class _HistoryRow(BaseModel):
    """Fields of a row of the history that a resumed run and its report read."""

    loss: float
    images: int
    seconds: float
    val_losses: list[float]
    measures: dict[str, float]
    crop_probabilities: list[float] | None = None


_HISTORY = TypeAdapter(list[_HistoryRow])


def _is_training(state: object) -> bool:
    if not isinstance(state, dict) or not isinstance(state.get("trainer"), dict):
        return False
    try:
        _HISTORY.validate_python(state.get("history"))
    except ValidationError:
        return False
    return True
