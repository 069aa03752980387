"""Batches side by side on a processor engine: their order, their threads, and what a failure touches."""

import threading
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from time import monotonic

import numpy as np
import pytest

from bundle import Bundle, FrameError, Image, Verdict, load_bundle
from edge.engines.engine import Outputs, Pending
from edge.engines.onnxruntime_cpu import OnnxruntimeEngine
from edge.engines.processor import first_line
from edge.errors import EngineError
from edge.pipeline.inference_loop import InferenceLoop
from edge.pipeline.inspector import Inspector
from tests.conftest import HEIGHT, WIDTH, grey_frame
from tests.edge.line_doubles import arrived, infer_all

GOOD, BRIGHT = grey_frame(), grey_frame(spot=255)
NO_FRAME = np.zeros((HEIGHT, WIDTH), np.float32)


class WatchedEngine(OnnxruntimeEngine):
    """Notes which thread runs each batch; fails on the batches named, and waits at the gate."""

    def __init__(self, bundle: Bundle, fail_on: Sequence[int] = ()) -> None:
        super().__init__(bundle, threads=1)
        self.gate = threading.Event()
        self.gate.set()
        self.ran_by: list[threading.Thread] = []
        self._fail_on = fail_on

    def _infer(self, inputs: Image) -> Outputs:
        self.ran_by.append(threading.current_thread())
        number = len(self.ran_by)
        assert self.gate.wait(10.0)
        if number in self._fail_on:
            raise EngineError("failed as asked")
        return super()._infer(inputs)


Open = Callable[..., WatchedEngine]


@pytest.fixture
def open_watched(make_bundle: Callable[..., Path]) -> Iterator[Open]:
    """Open engines that are closed when the test ends."""
    bundle = load_bundle(make_bundle())
    opened: list[WatchedEngine] = []

    def open_one(*arguments: object) -> WatchedEngine:
        opened.append(WatchedEngine(bundle, *arguments))  # type: ignore[arg-type]
        return opened[-1]

    yield open_one
    for engine in opened:
        engine.gate.set()
        engine.close()


def brightest(pending: Pending) -> float:
    return float(pending()[0][0, 0])


@pytest.mark.parametrize(("threads", "set_to"), [(3, 3), (None, 0)])  # 0: onnxruntime's choice
def test_the_threads_are_those_that_were_asked_for(threads: int | None, set_to: int, make_bundle) -> None:
    engine = OnnxruntimeEngine(load_bundle(make_bundle()), threads)

    assert engine._session.get_session_options().intra_op_num_threads == set_to
    engine.close()


def test_a_batch_that_is_alone_is_run_by_the_thread_that_waits_for_it(open_watched: Open) -> None:
    engine = open_watched()

    for _ in range(3):
        engine.begin([GOOD])()

    assert engine.ran_by == [threading.current_thread()] * 3


def test_batches_side_by_side_are_run_beside_the_thread_that_begins_them(open_watched: Open) -> None:
    engine = open_watched()
    engine.gate.clear()
    first, second = engine.begin([GOOD]), engine.begin([BRIGHT])  # returns although the network cannot get on

    engine.gate.set()

    assert (brightest(first), brightest(second)) == (pytest.approx(128 / 255), pytest.approx(1.0))
    assert set(engine.ran_by).isdisjoint({threading.current_thread()})


def test_batches_are_run_in_the_order_of_beginning(open_watched: Open) -> None:
    engine = open_watched([2])
    pending = [engine.begin([GOOD]), engine.begin([GOOD])]

    with pytest.raises(EngineError, match="as asked"):
        pending[1]()  # the second one to be run, although it is the first one asked for

    assert brightest(pending[0]) == pytest.approx(128 / 255)


def test_a_frame_that_cannot_be_prepared_does_not_touch_its_neighbours(open_watched: Open) -> None:
    engine = open_watched()
    before = engine.begin([BRIGHT])
    with pytest.raises(FrameError, match="expected uint8"):
        engine.begin([NO_FRAME])
    after = engine.begin([GOOD])

    assert (brightest(before), brightest(after)) == (pytest.approx(1.0), pytest.approx(128 / 255))


def test_a_closed_engine_still_answers_what_was_handed_over(open_watched: Open) -> None:
    engine = open_watched()
    pending = [engine.begin([GOOD]), engine.begin([BRIGHT])]

    engine.close()

    assert [brightest(each) for each in pending] == [pytest.approx(128 / 255), pytest.approx(1.0)]


def test_a_batch_without_a_waiting_caller_is_not_run(open_watched: Open) -> None:
    engine = open_watched()
    engine.begin([GOOD])

    assert [brightest(engine.begin([BRIGHT])) for _ in range(3)] == [pytest.approx(1.0)] * 3
    assert engine.ran_by == [threading.current_thread()] * 3


def test_parts_side_by_side_get_each_its_own_verdict(open_watched: Open, make_bundle: Callable[..., Path]) -> None:
    bundle = load_bundle(make_bundle("other"))
    parts = [arrived(number, pixels) for number, pixels in enumerate([GOOD, BRIGHT, NO_FRAME, GOOD, BRIGHT, GOOD])]

    infer_all(InferenceLoop(Inspector(bundle, open_watched([5]), monotonic), monotonic, lambda *_: None), *parts)

    # the third has no frame, the sixth is the fifth that the network sees
    wanted = [Verdict.OK, Verdict.NG, Verdict.FAULT, Verdict.OK, Verdict.NG, Verdict.FAULT]
    assert [part.outcome and part.outcome.verdict for part in parts] == wanted


def test_a_changeover_lets_the_engine_finish_before_it_is_closed(
    open_watched: Open, make_bundle: Callable[..., Path]
) -> None:
    bundle = load_bundle(make_bundle("other"))
    engines = [open_watched(), open_watched()]
    inspectors = [Inspector(bundle, engine, monotonic) for engine in engines]
    parts = [arrived(number, GOOD) for number in range(5)]

    infer_all(InferenceLoop(inspectors[0], monotonic, lambda *_: None), *parts[:3], (inspectors[1], 7), *parts[3:])

    assert [len(engine.ran_by) for engine in engines] == [3, 2]
    assert [part.outcome and part.outcome.verdict for part in parts] == [Verdict.OK] * 5


def test_the_line_of_an_error_is_its_reason_not_its_place_in_the_sources() -> None:
    places = "Exception from src/inference/src/cpp/core.cpp:117:\nException from src/x.cpp:1:\n"

    assert first_line(RuntimeError(f"{places}bad graph\n\n")) == "bad graph"
    assert first_line(RuntimeError(places)) == "RuntimeError"
