"""Parts on an engine with several slots: the next one begins before the one before is waited for."""

from collections.abc import Callable, Sequence
from pathlib import Path
from time import monotonic

from bundle import Image, Verdict, load_bundle
from edge.engines.engine import Pending
from edge.pipeline.inference_loop import InferenceLoop
from edge.pipeline.inspector import Inspector
from tests.conftest import grey_frame
from tests.edge.line_doubles import NumpyEngine, arrived, infer_all

GOOD, BRIGHT = grey_frame(), grey_frame(spot=255)


class SlottedEngine(NumpyEngine):
    """Notes when batches begin and end."""

    slots = 2

    def __init__(self, *arguments: object) -> None:
        super().__init__(*arguments)  # type: ignore[arg-type]
        self.order: list[str] = []

    def begin(self, frames: Sequence[Image]) -> Pending:
        """Begin a batch."""
        number = sum(entry.startswith("begin") for entry in self.order) + 1
        self.order.append(f"begin {number}")
        waiting = super().begin(frames)

        def finish():  # type: ignore[no-untyped-def]
            self.order.append(f"end {number}")
            return waiting()

        return finish


def test_copies_of_one_part_overlap_the_compute_of_its_neighbour(make_bundle: Callable[..., Path]) -> None:
    bundle = load_bundle(make_bundle())
    engine = SlottedEngine(bundle.manifest)
    parts = [arrived(1, GOOD), arrived(2, BRIGHT), arrived(3, GOOD)]

    infer_all(InferenceLoop(Inspector(bundle, engine, monotonic), monotonic, lambda *_: None), *parts)

    assert engine.order == ["begin 1", "begin 2", "end 1", "begin 3", "end 2", "end 3"]
    assert [part.outcome and part.outcome.verdict for part in parts] == [Verdict.OK, Verdict.NG, Verdict.OK]


def test_a_changeover_waits_for_the_parts_under_way(make_bundle: Callable[..., Path]) -> None:
    bundle = load_bundle(make_bundle())
    engine, other = SlottedEngine(bundle.manifest), SlottedEngine(bundle.manifest)
    inspectors = [Inspector(bundle, each, monotonic) for each in (engine, other)]
    taken: list[int] = []

    infer_all(
        InferenceLoop(inspectors[0], monotonic, lambda _, recipe: taken.append(recipe)),
        arrived(1, GOOD), (inspectors[1], 7), arrived(2, GOOD),
    )  # fmt: skip

    assert engine.order == other.order == ["begin 1", "end 1"]
    assert taken == [7]


def test_a_part_that_fails_under_way_does_not_touch_its_neighbour(make_bundle: Callable[..., Path]) -> None:
    bundle = load_bundle(make_bundle())
    engine = SlottedEngine(bundle.manifest, 1)  # the first batch fails
    parts = [arrived(1, GOOD), arrived(2, GOOD)]

    infer_all(InferenceLoop(Inspector(bundle, engine, monotonic), monotonic, lambda *_: None), *parts)

    assert [part.outcome and part.outcome.verdict for part in parts] == [Verdict.FAULT, Verdict.OK]


def test_an_answer_after_the_deadline_is_a_timeout(make_bundle: Callable[..., Path]) -> None:
    bundle = load_bundle(make_bundle())
    parts = [arrived(1, GOOD), arrived(2, GOOD)]
    parts[0].deadline = parts[0].triggered  # has passed when the answer comes

    loop = InferenceLoop(Inspector(bundle, NumpyEngine(bundle.manifest), monotonic), monotonic, lambda *_: None)
    infer_all(loop, *parts)

    assert [part.outcome and part.outcome.verdict for part in parts] == [Verdict.TIMEOUT, Verdict.OK]


def test_a_part_that_has_its_verdict_does_not_cost_the_engine_a_run(make_bundle: Callable[..., Path]) -> None:
    bundle = load_bundle(make_bundle())
    engine, part = NumpyEngine(bundle.manifest), arrived(1, GOOD)
    part.settle_late()

    infer_all(InferenceLoop(Inspector(bundle, engine, monotonic), monotonic, lambda *_: None), part)

    assert engine.calls == 0
