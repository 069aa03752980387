"""Cost of judging in tiles: time per megapixel of the picture, beside the network on one tile alone."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from statistics import median
from time import perf_counter

import numpy as np
from rich.table import Table

from bundle import Bundle, Image
from edge.cameras.camera import Clock
from edge.engines.engine import Engine
from edge.engines.registry import ENGINES, load_opener, open_engine
from edge.errors import CheckFailed


@dataclass(frozen=True)
class TileCost:
    """Times of one bundle on one engine, medians over the rounds."""

    tiles: int
    """Tiles of a picture."""
    picture_mpx: float
    tile_mpx: float
    picture_ms: float
    """Of a whole picture: from the preprocessed picture to its scores and masks."""
    tile_ms: float
    """Of the network on one tile, without cutting and stitching."""

    @property
    def overlap(self) -> float:
        """Pixels that the network sees per pixel of the picture."""
        return self.tiles * self.tile_mpx / self.picture_mpx

    @property
    def stitching(self) -> float:
        """Time of a picture relative to that of the network on its tiles: 1 without the cost of stitching."""
        return self.picture_ms / (self.tiles * self.tile_ms)

    def table(self, engine: str) -> Table:
        """Table of the costs."""
        table = Table("", "Mpx", "ms", "ms per Mpx", title=engine)
        rows = (
            ("network on one tile", self.tile_mpx, self.tile_ms),
            (f"network on {self.tiles} tiles, {self.overlap:.2f} times the picture's pixels", *self._of_tiles()),
            (f"picture in tiles, {self.stitching:.2f} times that", self.picture_mpx, self.picture_ms),
        )
        for what, mpx, ms in rows:
            table.add_row(what, f"{mpx:.3f}", f"{ms:.2f}", f"{ms / mpx:.2f}")
        return table

    def _of_tiles(self) -> tuple[float, float]:
        return self.picture_mpx, self.tiles * self.tile_ms


def measure_tiles(
    bundle: Bundle, engine_name: str, threads: int | None, rounds: int, clock: Clock = perf_counter
) -> TileCost:
    """Measure whole pictures and single tiles in turn. Raises CheckFailed for a bundle without tiles, EngineError."""
    grid = bundle.manifest.tile_grid
    if grid is None:
        raise CheckFailed(f"{bundle.folder}: found a bundle without tiles, expected one; use `edge-inspect bench`")
    pictures = np.stack([bundle.prepare(bundle.golden.frames[0])])
    batches = list(grid.batches(pictures))
    whole = open_engine(engine_name, replace(bundle, first_stage=None), threads)  # every tile
    alone = _network_alone(bundle, engine_name, threads)
    try:
        times = [
            (_ms(lambda: whole.infer(pictures), clock), _ms(lambda: _run(alone, batches), clock))
            for _ in range(1 + rounds)
        ][1:]
    finally:
        whole.close()
        alone.close()
    spec = bundle.manifest.input
    return TileCost(
        tiles=len(grid.places),
        picture_mpx=spec.height * spec.width / 1e6,
        tile_mpx=spec.network.height * spec.network.width / 1e6,
        picture_ms=median(picture for picture, _ in times),
        tile_ms=median(tiles for _, tiles in times) / len(grid.places),
    )


def _network_alone(bundle: Bundle, engine_name: str, threads: int | None) -> Engine:
    """The network as that of a bundle without tiles, with the same batch; no golden frame is of its size."""
    manifest = bundle.manifest
    changes = {"input": manifest.input.network, "masks": manifest.network_masks}
    untiled = Bundle(bundle.folder, manifest.model_copy(update=changes), bundle.golden)
    return load_opener(engine_name, ENGINES[engine_name])(untiled, threads, manifest.run_size(1))


def _run(engine: Engine, batches: Sequence[Image]) -> None:
    for tiles in batches:
        engine.infer(tiles)


def _ms(work: Callable[[], object], clock: Clock) -> float:
    start = clock()
    work()
    return 1e3 * (clock() - start)
