"""Figures of a run's report, as PNG: training curves, precision-recall, parts with outlines."""

import io
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray
from sklearn.metrics import precision_recall_curve

from bundle import Threshold
from bundle.outlines import draw_outlines, enlarged, outlines_of
from train.data.dataset import Image, Masks
from train.data.image_set import ImageSet
from train.evaluate.outputs import Outputs

TRUE, PREDICTED = (0, 170, 0), (230, 0, 0)
"""Colours of the outlines, RGB."""

_ANY = "defect or not"
_WIDEST_SHIFT = 8.0
"""In log-odds; from a threshold of 0.5 to 0.9997."""


def training_curves(rows: Sequence[Mapping[str, Any]], best: str) -> bytes:
    """Training loss and validation metrics over the epochs."""
    figure = Figure(figsize=(10, 3.2), layout="constrained")
    left, right = figure.subplots(1, 2)
    epochs = range(1, len(rows) + 1)
    left.plot(epochs, [row["loss"] for row in rows], marker=".")
    left.set(title="loss (training)", xlabel="epoch")
    for name in sorted(rows[0]["measures"]):
        values = [100 * max(row["measures"][name], 0) for row in rows]
        right.plot(epochs, values, marker=".", linewidth=2.5 if name == best else 1, label=name)
    right.set(title="validation, %", xlabel="epoch", ylim=(0, 101))
    right.legend(fontsize="x-small")
    return _png(figure)


def class_curves(rows: Sequence[Mapping[str, Any]], classes: Sequence[str]) -> bytes:
    """Validation loss and guided-crop probability of each class over the epochs."""
    figure = Figure(figsize=(10, 3.2), layout="constrained")
    left, right = figure.subplots(1, 2)
    epochs = range(1, len(rows) + 1)
    for index, name in enumerate(classes):
        left.plot(epochs, [row["val_losses"][index] for row in rows], marker=".", label=name)
        drawn = [(row.get("crop_probabilities") or [np.nan] * len(classes))[index] for row in rows]
        right.plot(epochs, drawn, marker=".", label=name)
    crops = any(row.get("crop_probabilities") for row in rows)
    left.set(title="validation loss by class, as scheduled", xlabel="epoch", yscale="log")
    title = "probability in the guided crops" if crops else "no guided crops"
    right.set(title=title, xlabel="epoch", ylim=(0, 1), xlim=(0.5, len(rows) + 0.5))
    left.legend(fontsize="x-small")
    return _png(figure)


def precision_recall(outputs: Outputs, images: ImageSet, classes: Sequence[str]) -> bytes:
    """Precision-recall curves of each class's image score and of the largest score."""
    figure = Figure(figsize=(5, 4), layout="constrained")
    axes = figure.subplots()
    defective = np.asarray(images.labels.any(axis=1))
    labels_by_name = {name: images.labels[:, index] for index, name in enumerate(classes)} | {_ANY: defective}
    scores_by_name = {name: outputs.scores[:, index] for index, name in enumerate(classes)}
    scores_by_name[_ANY] = outputs.scores.max(axis=1)
    for name, labels in labels_by_name.items():
        if labels.any():
            precision, recall, _ = precision_recall_curve(labels, scores_by_name[name])
            axes.plot(recall, precision, label=name, linewidth=2.5 if name == _ANY else 1.2)
    axes.set(xlabel="recall", ylabel="precision", xlim=(0, 1.01), ylim=(0, 1.01))
    axes.legend(fontsize="x-small")
    return _png(figure)


def threshold_curve(margins: NDArray[np.float64], defective: NDArray[np.bool_]) -> bytes:
    """Escapes and false rejects over a common shift of all score thresholds.

    margins: of each part's score from its threshold in log-odds, [N]; minus infinity where nothing can be found.
    defective: bool [N], the truth.
    """
    figure = Figure(figsize=(6, 3.6), layout="constrained")
    axes = figure.subplots()
    shifts = np.linspace(-_WIDEST_SHIFT, _WIDEST_SHIFT, 161)
    found = margins[:, None] >= shifts
    for label, rows, wrong in (("escapes", defective, ~found), ("false rejects", ~defective, found)):
        if rows.any():
            name = f"{label}, of {int(rows.sum())} parts"
            axes.step(shifts, 100 * wrong[rows].mean(axis=0), where="mid", label=name)
    axes.axvline(0, color="grey", linewidth=1, linestyle="--", label="thresholds of this run")
    axes.set(xlabel="shift of the score thresholds, log-odds", ylabel="share of parts, %", ylim=(-2, 102))
    axes.legend(fontsize="x-small")
    return _png(figure)


def outlined_picture(
    image: Image, truth: Masks, masks: NDArray[np.uint8], found: NDArray[np.bool_], thresholds: Sequence[Threshold]
) -> Image:
    """One picture with truth and prediction outlined, uint8 [H, W, 3] RGB.

    image [channels, H, W], truth [C, H, W], masks [C, h, w], found [C]: the classes to outline.
    """
    height, width = image.shape[1:]
    picture = np.ascontiguousarray(np.broadcast_to(image, (3, height, width)).transpose(1, 2, 0))
    for index, threshold in enumerate(thresholds):
        if found[index]:
            draw_outlines(picture, outlines_of(enlarged(masks[index] >= threshold.level, height, width)), PREDICTED)
        draw_outlines(picture, outlines_of(truth[index]), TRUE)
    return picture


def _png(figure: Figure) -> bytes:
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=90)
    return buffer.getvalue()
