"""Checkpoint files: weights with their metadata, optionally with the state to resume training."""

import hashlib
import io
import pickle
import platform
import zipfile
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any, Literal

import torch
from pydantic import Field, ValidationError
from torch import Tensor

from bundle import FrozenModel, InputSpec, Threshold, first_problem, write_whole
from train.data.splits import Split
from train.errors import CheckpointError
from train.models.build import make_network
from train.models.network import NormalisedNetwork
from train.recipe import Recipe

FORMAT: Literal[1] = 1
"""Version of the file layout."""

_MARK = "edge-inspect checkpoint"


class Meta(FrozenModel):
    """Metadata of a checkpoint: recipe, classes, split, thresholds, metrics."""

    format: Literal[1] = FORMAT
    recipe: Recipe
    classes: tuple[str, ...]
    """In channel order."""
    split: Split
    thresholds: dict[str, Threshold]
    """One per class in channel order, chosen on the validation part."""
    epoch: int
    """Epochs trained, 1 after the first."""
    metrics: dict[str, Any] = Field(default_factory=dict)
    """Metrics of the validation part ("val") and, after a whole run, of the test part ("test"). With thresholds from
    other runs: only those of the images that they were chosen on ("held_out")."""
    data: str = ""
    """Name of the data set."""
    citation: str = ""
    software: dict[str, str] = Field(default_factory=dict)
    seen: tuple[str, ...] = ()
    """Hashes of the images that trained the start checkpoint and those before it, or chose their thresholds."""
    init: str = ""
    """The sha256 of the checkpoint that fine-tuning started from, or empty."""

    @property
    def trained_on(self) -> frozenset[str]:
        """Hashes of all images that shaped the weights or thresholds, those of earlier checkpoints included."""
        own = (image for image, side in self.split.images.items() if side != "test")
        return frozenset(self.seen).union(own)

    @property
    def input(self) -> InputSpec:
        """The network's input."""
        return self.recipe.input


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
    _check_whole(path)
    try:
        content = torch.load(path, map_location="cpu", weights_only=True)
    except FileNotFoundError:
        raise CheckpointError(f"{path}: found no such file, expected a checkpoint; check the path") from None
    except (OSError, RuntimeError, EOFError, ValueError, KeyError, pickle.UnpicklingError) as error:
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise CheckpointError(
            f"{path}: cannot be read as a checkpoint ({reason}); it is damaged or another kind of file: copy it again"
        ) from None
    return _checked(content, path)


def _check_whole(path: Path) -> None:
    """Verify the CRC-32 of every member of the zip file, which torch.load does not."""
    if not path.is_file():
        return  # torch.load raises
    if not zipfile.is_zipfile(path):
        raise CheckpointError(
            f"{path}: cannot be read as a checkpoint: found a truncated file or another format; copy it again"
        )
    try:
        with zipfile.ZipFile(path) as members:
            damaged = members.testzip()
    except (zipfile.BadZipFile, OSError) as error:
        raise CheckpointError(f"{path}: cannot be read as a checkpoint ({error}); copy it again") from None
    if damaged is not None:
        raise CheckpointError(f"{path}: found a wrong checksum of {damaged}; copy it again")


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
            f"checkpoint: weights do not fit the network {settings.model} of its own recipe ({problem}); "
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
    if content["format"] != FORMAT:
        raise CheckpointError(
            f"{path}: found checkpoint format {content['format']!r}, expected {FORMAT}; "
            "use the version of edge-inspect that wrote it, or train again"
        )
    try:
        meta = Meta.model_validate_json(content["meta"])
    except ValidationError as error:
        raise CheckpointError(
            f"{path}: {first_problem(error)}; it was written by another version: train again"
        ) from None
    return Checkpoint(meta, content["weights"], content["training"])
