"""Predictions of a run as a JSON file, from which several runs are pooled without their networks."""

import json
from collections.abc import Iterable
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from bundle import write_whole
from train.data.dataset import Sample
from train.errors import DataError
from train.evaluate.metrics import Metrics, measure
from train.evaluate.prediction import Prediction

FILE = "predictions.json"
"""File name of the test part's predictions in the folder of a run."""


@dataclass(frozen=True)
class Predictions:
    """Predictions of a set of images."""

    classes: tuple[str, ...]
    """In channel order."""
    images: tuple[Prediction, ...]

    def metrics(self) -> Metrics:
        """Metrics of these predictions. Raises DataError if there is no image."""
        return measure(self.images, self.classes)


def named_predictions(classes: tuple[str, ...], samples: Iterable[Sample], rows: Iterable[Prediction]) -> Predictions:
    """Predictions with the file name, the sha256 and the part of their images."""
    pairs = zip(samples, rows, strict=True)
    return Predictions(
        classes, tuple(replace(row, name=one.path.name, image=one.sha256, part=one.part) for one, row in pairs)
    )


def save_predictions(made: Predictions, path: Path) -> None:
    """Write predictions as JSON, with the field names of `Prediction`."""
    write_whole(path, json.dumps(asdict(made), indent=1, default=_plain) + "\n")


def load_predictions(path: Path) -> Predictions:
    """Read a file of `save_predictions`. Raises DataError for a missing file or other content."""
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        rows = tuple(Prediction(**{key: _restored(value) for key, value in row.items()}) for row in content["images"])
        return Predictions(tuple(content["classes"]), rows)
    except OSError as error:
        reason = error.strerror
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        reason = str(error)
    raise DataError(
        f"{path}: cannot be read as predictions ({reason}); "
        f"write it with `train evaluate {path.parent / 'best.pt'} --data DIR --predictions {path}`"
    )


def _plain(value: np.generic | np.ndarray[Any, Any]) -> Any:
    return value.tolist()


def _restored(value: Any) -> Any:
    if not isinstance(value, list):
        return value
    array = np.array(value)
    return array.astype(np.float32) if array.dtype.kind == "f" else array
