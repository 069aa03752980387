"""The faulty engine fails on command and recovers afterwards."""

from collections.abc import Callable, Sequence
from contextlib import closing
from pathlib import Path

import pytest

from bundle import Image, Manifest, load_bundle
from edge.engines.engine import Pending
from edge.errors import EngineError
from tests.conftest import grey_frame
from tests.edge.line_doubles import NumpyEngine
from tools.fault_rig.equipment.engine import CRASHES, FAILS, FaultyEngine
from tools.fault_rig.equipment.switches import Switches
from tools.fault_rig.equipment.witness import Witness


class SlottedEngine(NumpyEngine):
    """Takes a batch for each of its slots, and one more when a caller has waited for the first."""

    slots = 2

    def __init__(self, manifest: Manifest) -> None:
        super().__init__(manifest)
        self.under_way = 0

    def begin(self, frames: Sequence[Image]) -> Pending:
        """Occupy a slot."""
        if self.under_way == self.slots:
            raise EngineError(f"found {self.slots} batches under way, expected fewer")
        waiting = super().begin(frames)
        self.under_way += 1

        def finish():  # type: ignore[no-untyped-def]
            self.under_way -= 1
            return waiting()

        return finish


@pytest.mark.parametrize(("switch", "error"), [(FAILS, EngineError), (CRASHES, RuntimeError)])
def test_a_failure_under_way_leaves_no_slot_occupied(
    make_bundle: Callable[..., Path], tmp_path: Path, switch: str, error: type[Exception]
) -> None:
    switches = Switches(tmp_path / "switches")
    real = SlottedEngine(load_bundle(make_bundle()).manifest)
    with closing(Witness(tmp_path / "witness")) as witness:
        engine = FaultyEngine(real, switches, witness)
        under_way = [engine.begin([grey_frame()]) for _ in range(engine.slots)]
        switches.set(switch, on=True)
        for pending in under_way:
            with pytest.raises(error):
                pending()
        with pytest.raises(error):
            engine.begin([grey_frame()])
        switches.set(switch, on=False)
        engine.begin([grey_frame()])()

    assert real.under_way == 0
    assert (tmp_path / "witness").read_text().count("judged") == 1
