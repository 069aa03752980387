"""An engine that is reopened after its device has failed."""

import logging
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager

from bundle import Image, TileGrid
from bundle.tiling import Judged
from edge.engines.engine import Engine, Outputs, Pending
from edge.errors import DeviceError

log = logging.getLogger(__name__)


class ReopeningEngine(Engine):
    """Closes an engine whose device has failed; the next batch opens it again, with the golden frames checked.

    Running batches fail with DeviceError, and so does every batch while reopening fails.
    """

    def __init__(self, open_one: Callable[[], Engine]) -> None:
        self._open_one = open_one
        self._engine: Engine | None = open_one()
        super().__init__(self._engine.manifest, self._engine.description)
        self.slots = self._engine.slots

    def begin(self, frames: Sequence[Image]) -> Pending:
        """Start a batch; see `Engine.begin`."""
        engine = self._opened()
        with self._watching(engine):
            pending = engine.begin(frames)
        return lambda: self._wait(engine, pending)

    def close(self) -> None:
        """Close the current engine."""
        if self._engine is not None:
            self._engine.close()
            self._engine = None

    def _infer(self, inputs: Image) -> Outputs:
        engine = self._opened()
        with self._watching(engine):
            return engine._infer(inputs)

    def _infer_batches(self, batches: Iterable[Image]) -> Iterator[Outputs]:
        engine = self._opened()
        with self._watching(engine):
            yield from engine._infer_batches(batches)

    def _judged(self, inputs: Image, grid: TileGrid) -> Judged | None:
        engine = self._opened()
        with self._watching(engine):
            return engine._judged(inputs, grid)

    def _wait(self, engine: Engine, pending: Pending) -> Outputs:
        with self._watching(engine):
            return pending()

    def _opened(self) -> Engine:
        if self._engine is None:
            self._engine = self._open_one()
            log.warning("engine reopened: %s", self._engine.description)
        return self._engine

    @contextmanager
    def _watching(self, engine: Engine) -> Iterator[None]:
        try:
            yield
        except DeviceError as error:
            if engine is self._engine:
                log.error("engine closed, the next part reopens it: %s", error)
                self.close()
            raise
