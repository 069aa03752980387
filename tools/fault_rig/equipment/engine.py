"""An engine that fails on command, around the real one."""

from collections.abc import Sequence

from bundle import Bundle, Image
from edge.engines.engine import Engine, Outputs, Pending
from edge.engines.registry import open_engine
from edge.errors import EngineError
from tools.fault_rig.equipment.switches import Switches
from tools.fault_rig.equipment.witness import Witness, fingerprint

FAILS, CRASHES = "engine-fails", "engine-crashes"


class FaultyEngine(Engine):
    """Raises EngineError or an unexpected exception while the fault is on; otherwise runs the real engine."""

    def __init__(self, engine: Engine, switches: Switches, witness: Witness) -> None:
        super().__init__(engine.manifest, f"faulty: {engine.description}")
        self.slots = engine.slots
        self._engine, self._switches, self._witness = engine, switches, witness

    def begin(self, frames: Sequence[Image]) -> Pending:
        """See `Engine.begin`."""
        pictures = [fingerprint(frame) for frame in frames]
        self._fail()
        pending = self._engine.begin(frames)

        def finish() -> Outputs:
            outputs = pending()  # in any case, as the real one has a slot under way
            self._fail()
            for picture in pictures:
                self._witness.note(judged=picture)
            return outputs

        return finish

    def close(self) -> None:
        """Close the real engine."""
        self._engine.close()

    def _infer(self, inputs: Image) -> Outputs:
        return self._engine.infer(inputs)

    def _fail(self) -> None:
        if self._switches.is_on(FAILS):
            raise EngineError("found the engine told to fail, expected an answer")
        if self._switches.is_on(CRASHES):
            raise RuntimeError("an error that no engine announces")


def open_faulty_engine(
    switches: Switches,
    witness: Witness,
    name: str,
    bundle: Bundle,
    threads: int | None = None,
    batch: int = 1,
    reopens: bool = False,
) -> Engine:
    """Open the real engine, including its golden frame check, and wrap it."""
    return FaultyEngine(open_engine(name, bundle, threads, batch, reopens), switches, witness)
