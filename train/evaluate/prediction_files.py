"""The predictions of a run as a file, one row per image, so that several runs can be pooled without their networks."""

import json
from collections.abc import Iterable
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from train.data.dataset import Sample
from train.errors import DataError
from train.evaluate.metrics import Metrics, measure
from train.evaluate.prediction import Prediction

FILE = "predictions.json"
"""Of the test part, in the folder of a run."""


@dataclass(frozen=True)
class Predictions:
    """What a network and its thresholds said of some images."""

    classes: tuple[str, ...]
    """In channel order."""
    images: tuple[Prediction, ...]

    def metrics(self) -> Metrics:
        """All measures of them. Raises DataError if there is no image."""
        return measure(self.images, self.classes)


def named_predictions(classes: tuple[str, ...], samples: Iterable[Sample], rows: Iterable[Prediction]) -> Predictions:
    """Each row under the name and the sha256 of its image."""
    pairs = zip(samples, rows, strict=True)
    return Predictions(classes, tuple(replace(row, name=one.path.name, image=one.sha256) for one, row in pairs))


def save_predictions(made: Predictions, path: Path) -> None:
    """Write them as JSON, the fields of an image under the names of `Prediction`."""
    path.write_text(json.dumps(asdict(made), indent=1, default=_plain) + "\n", encoding="utf-8")


def load_predictions(path: Path) -> Predictions:
    """Read what `save_predictions` wrote. Raises DataError for a file that is missing or holds something else."""
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
