"""A first stage for a bundle with tiles, and the level of its masks from which on a tile is judged."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass
from statistics import median
from time import perf_counter
from typing import NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray
from rich.table import Table

from bundle import Bundle, Image, Manifest, Verdict
from bundle.manifest import FirstStage
from edge.engines.engine import Engine, Outputs
from edge.engines.registry import DEFAULT_ENGINE, open_engine
from edge.engines.two_stage import TwoStageEngine, chosen, tile_levels
from export.bundles.assemble import with_comparisons
from export.errors import StageError
from export.evaluate.batched_inference import Bar, load_in_chunks
from export.evaluate.labelled_images import Labelled
from train.data.dataset import Masks
from train.evaluate.rates import rate


class Joined(NamedTuple):
    """Manifest of both networks with a table of what the first one saves."""

    manifest: Manifest
    table: Table


@dataclass(frozen=True)
class TrueDefects:
    """Connected defects of one picture, by their pixels."""

    count: int
    numbers: NDArray[np.intp]
    """Defect of each pixel, from 0."""
    cells: tuple[NDArray[np.intp], ...]
    """Row and column of each pixel's mask cell."""

    @classmethod
    def of(cls, masks: Masks, cell: tuple[int, int]) -> "TrueDefects":
        """masks: bool [C, H, W]; cell: height and width of a mask cell in pixels."""
        count, labels = cv2.connectedComponents(np.asarray(masks.any(axis=0), np.uint8))
        rows, columns = np.nonzero(labels)
        return cls(count - 1, labels[rows, columns].astype(np.intp) - 1, (rows // cell[0], columns // cell[1]))

    def found(self, marked: NDArray[np.bool_]) -> NDArray[np.bool_]:
        """Defects that a mark touches, bool [count]; marked: bool [h, w]."""
        hit = np.zeros(self.count, np.bool_)
        hit[self.numbers[marked[self.cells]]] = True
        return hit


@dataclass(frozen=True)
class Judgement:
    """One picture as judged in one way."""

    good: bool
    """By its label."""
    found: NDArray[np.bool_]
    """True defects that are found, bool [N]."""
    rejected: bool
    share: float
    """Of its tiles, those that the network saw."""
    ms: float


@dataclass(frozen=True)
class Picture:
    """One labelled picture."""

    pixels: Image
    """uint8 [1, C, H, W], preprocessed."""
    good: bool
    truth: TrueDefects


class Joining:
    """Two networks on their engines, with the pictures that the level is chosen on."""

    def __init__(self, tiled: Bundle, tiles: Engine, first: Engine, labelled: Labelled) -> None:
        grid = tiled.manifest.tile_grid
        if grid is None:
            raise StageError(f"{tiled.folder}: found a bundle without tiles, expected one with tiles")
        if tiled.manifest.exposures != "worst":
            raise StageError(
                f"{tiled.folder}: found exposures judged together ({tiled.manifest.exposures}), expected each by "
                "itself: the level of a first stage is chosen by what is found in single pictures"
            )
        self._tiled, self._tiles, self._first, self._grid, self._labelled = tiled, tiles, first, grid, labelled

    def survey(self) -> tuple[list[Judgement], list[int]]:
        """Judge every tile; returns the judgements, and for each defect found the highest level that keeps it."""
        judged, highest = [], list[int]()
        for picture in self._pictures("judging every tile"):
            start = perf_counter()
            of_tiles = list(self._tiles.infer_tiles(self._grid.batches(picture.pixels)))
            outputs = self._grid.stitch(1, of_tiles)
            judged.append(self._judgement(picture, outputs, 1.0, perf_counter() - start))
            if judged[-1].found.any():
                highest += self._highest(picture, of_tiles, judged[-1].found)
        return judged, highest

    def judge(self, level: int) -> list[Judgement]:
        """Judge the tiles from a level on, as the station does."""
        engine, judged = TwoStageEngine(self._first, self._tiles, level), []
        for picture in self._pictures("judging in two stages"):
            start = perf_counter()
            outputs = engine.infer(picture.pixels)
            seconds = perf_counter() - start
            share = float(chosen(tile_levels(self._first, self._grid, picture.pixels), level).mean())
            judged.append(self._judgement(picture, outputs, share, seconds))
        return judged

    def _highest(self, picture: Picture, of_tiles: Sequence[Outputs], found: NDArray[np.bool_]) -> list[int]:
        """Highest level at which each of the defects found is still found."""
        levels = tile_levels(self._first, self._grid, picture.pixels)
        scores, masks = (np.concatenate(part) for part in zip(*of_tiles, strict=True))
        kept = np.zeros(len(found), np.intp)
        for level in np.unique(levels):
            seen = chosen(levels, int(level))
            left = self._grid.stitch(1, [(scores[seen[0]], masks[seen[0]])], seen)
            kept[self._found(picture, left)[0]] = level
        return [int(level) for level in kept[found]]

    def _judgement(self, picture: Picture, outputs: Outputs, share: float, seconds: float) -> Judgement:
        found, rejected = self._found(picture, outputs)
        return Judgement(picture.good, found, rejected, share, 1e3 * seconds)

    def _found(self, picture: Picture, outputs: Outputs) -> tuple[NDArray[np.bool_], bool]:
        """Defects that are found, and whether the picture is rejected."""
        scores, masks = outputs[0][0], outputs[1][0]
        decision = self._tiled.decide(scores, masks, picture.pixels.shape[2:])
        limits = list(self._tiled.manifest.thresholds.values())
        marked = np.zeros(masks.shape[1:], np.bool_)
        for index in {defect.class_index for defect in decision.defects}:
            marked |= masks[index] >= limits[index].level
        return picture.truth.found(marked), decision.verdict is not Verdict.OK

    def _pictures(self, what: str) -> Iterator[Picture]:
        manifest = self._tiled.manifest
        cell = self._grid.rows.cell, self._grid.columns.cell
        with Bar(what, len(self._labelled.samples)) as bar:
            for images in load_in_chunks(self._labelled.samples, manifest.input, len(manifest.classes)):
                for index in range(len(images)):
                    truth = TrueDefects.of(images.masks(index), cell)
                    yield Picture(images.images[index : index + 1], not images.labels[index].any(), truth)
                    bar.step(1)


def join(
    tiled: Bundle,
    first: Bundle,
    name: str,
    labelled: Labelled,
    most_lost: float = 0.0,
    threads: int | None = None,
    engine: str = DEFAULT_ENGINE,
) -> Joined:
    """Choose the highest level that loses at most this share of the defects that all tiles find.

    Raises StageError for networks that do not fit, pictures without a defect that is found, and a first stage that
    leaves no tile out.
    """
    if (problem := first.manifest.problem_as_first_stage(tiled.manifest)) is not None:
        raise StageError(f"{first.folder}: {problem}")
    with closing(open_engine(engine, tiled, threads)) as tiles, closing(open_engine(engine, first, threads)) as small:
        joining = Joining(tiled, tiles, small, labelled)
        every, highest = joining.survey()
        level = level_of(highest, most_lost)
        staged = joining.judge(level)
    kept = sum(int((one.found & other.found).sum()) for one, other in zip(every, staged, strict=True))
    lost = rate(len(highest) - kept, len(highest))
    told = {
        "source": tiled.id,
        "first": first.id,
        "chosen_on": f"{len(every)} images of {labelled.dataset}, part {labelled.part}",
        "most_lost": most_lost,
        "lost": [lost.count, lost.total],
        "lost_interval_95": [lost.low, lost.high],
        "tiles_of_good_images": _mean([one.share for one in staged if one.good]),
    }
    stage = FirstStage(id=first.id, level=level)
    manifest = with_comparisons(
        tiled.manifest.model_copy(update={"name": name, "first_stage": stage}), {"first stage": told}
    )
    table = _table(every, staged, f"tiles from level {level}")
    table.add_row("defects lost, with 95 %", "-", f"{lost.counts} ({100 * lost.low:.1f} to {100 * lost.high:.1f} %)")
    return Joined(manifest, table)


def level_of(highest: Sequence[int], most_lost: float) -> int:
    """Level that keeps all but this share of the defects, by the highest level that keeps each. Raises StageError."""
    if not highest:
        raise StageError(
            "first-stage: found no outlined defect that the tiles find, expected some; give --data with defective parts"
        )
    level = sorted(highest)[min(int(most_lost * len(highest)), len(highest) - 1)]
    if level == 0:
        raise StageError(
            f"first-stage: found that the first network marks nothing where {sum(not each for each in highest)} of "
            f"{len(highest)} defects lie, so that every tile would be judged; train it longer or on larger pictures, "
            "or allow more by --most-lost"
        )
    return level


def _table(every: Sequence[Judgement], staged: Sequence[Judgement], title: str) -> Table:
    table = Table("", "all tiles", title)
    for what, figure in FIGURES.items():
        table.add_row(what, figure(every), figure(staged))
    return table


def _of(judged: Sequence[Judgement], good: bool) -> list[Judgement]:
    return [one for one in judged if one.good is good]


def _mean(values: Sequence[float]) -> float | None:
    return float(np.mean(values)) if values else None


def _percent(judged: Sequence[Judgement]) -> str:
    mean = _mean([one.share for one in judged])
    return "-" if mean is None else f"{100 * mean:.1f}"


def _typical_ms(judged: Sequence[Judgement]) -> str:
    return f"{median(one.ms for one in judged):.1f}" if judged else "-"


FIGURES: dict[str, Callable[[Sequence[Judgement]], str]] = {
    "defects found": lambda judged: (
        rate(sum(int(one.found.sum()) for one in judged), sum(len(one.found) for one in judged)).counts
    ),
    "defective pictures passed": lambda judged: (
        rate(sum(not one.rejected for one in _of(judged, good=False)), len(_of(judged, good=False))).counts
    ),
    "good pictures rejected": lambda judged: (
        rate(sum(one.rejected for one in _of(judged, good=True)), len(_of(judged, good=True))).counts
    ),
    "tiles of a good picture, %": lambda judged: _percent(_of(judged, good=True)),
    "tiles of a defective picture, %": lambda judged: _percent(_of(judged, good=False)),
    "ms, good picture": lambda judged: _typical_ms(_of(judged, good=True)),
    "ms, slowest picture": lambda judged: f"{max(one.ms for one in judged):.1f}",
}
"""Rows of the table."""
