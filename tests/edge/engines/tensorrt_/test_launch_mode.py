"""A network is launched as a CUDA graph where that is faster on this machine, and answers the same."""

import logging
from collections.abc import Callable
from pathlib import Path

import pytest

from bundle import Bundle, load_bundle
from edge.engines.tensorrt_.build import PlanBuilder, open_checked
from edge.engines.tensorrt_.engine import StreamEngine
from edge.engines.tensorrt_.launch_mode import LaunchMode
from edge.engines.tensorrt_.plan_cache import PlanCache
from tests.conftest import grey_frame
from tests.edge.engines.tensorrt_.recording_driver import RecordingDriver
from tests.edge.engines.tensorrt_.test_plan_cache import ORIN, Foundry, with_kernel


class PricedMachine:
    """Drivers one after the other; its clock goes on by what each call costs in milliseconds."""

    def __init__(self, make: Callable[[], RecordingDriver] = RecordingDriver, **prices: float) -> None:
        self.foundry = Foundry(make())
        self.said: list[str] = []
        self._make, self._prices = make, prices

    def clock(self) -> float:
        """Seconds."""
        names = self.foundry.driver.names()
        return sum(names.count(call) * price for call, price in self._prices.items()) / 1000

    def open(self, bundle: Bundle) -> StreamEngine:
        def make_driver() -> RecordingDriver:
            self.foundry.driver = self._make()
            return self.foundry.driver

        return open_checked(
            bundle, PlanBuilder(self.foundry, ORIN, say=self.said.append), make_driver, clock=self.clock
        )


@pytest.fixture
def bundle(make_bundle: Callable[..., Path]) -> Bundle:
    bundle = load_bundle(make_bundle())
    with_kernel(PlanCache.of(bundle), "sm_87")
    return bundle


def launches(machine: PricedMachine, engine: StreamEngine) -> str:
    """Launch mode of one more frame; closes the engine."""
    made = len(machine.foundry.driver.calls)
    assert engine.begin([grey_frame(spot=255)])()[0][0, 0] == pytest.approx(1.0)
    engine.close()
    names = machine.foundry.driver.names()[made:]
    return next(name for name in names if name in ("enqueue", "launch_graph"))


def stored(bundle: Bundle) -> LaunchMode:
    return LaunchMode.model_validate_json(next(PlanCache.of(bundle).folder.glob("*.launch")).read_bytes())


def test_a_faster_graph_is_chosen_said_and_kept(bundle: Bundle) -> None:
    machine = PricedMachine(enqueue=2.0, launch_graph=1.0)

    assert launches(machine, machine.open(bundle)) == "launch_graph"
    assert machine.said[-1] == (
        "tiny: network launched as one CUDA graph: 1.000 ms a frame as a graph, 2.000 ms without"
    )
    assert stored(bundle) == LaunchMode(graph=True, plain_ms=2.0, graph_ms=1.0)


def test_a_graph_that_gains_nothing_is_not_used(bundle: Bundle) -> None:
    machine = PricedMachine(enqueue=1.0, launch_graph=0.99)

    assert launches(machine, machine.open(bundle)) == "enqueue"
    assert "launched kernel by kernel: 0.990 ms a frame as a graph" in machine.said[-1]
    assert not machine.foundry.driver.graphs


@pytest.mark.parametrize(("price", "way"), [(1.0, "launch_graph"), (3.0, "enqueue")])
def test_the_choice_is_found_again_without_measuring(bundle: Bundle, price: float, way: str) -> None:
    machine = PricedMachine(enqueue=2.0, launch_graph=price)
    machine.open(bundle).close()

    engine = machine.open(bundle)

    assert machine.foundry.driver.names().count("upload") < 10
    assert launches(machine, engine) == way


def test_a_choice_that_cannot_be_read_is_made_again(bundle: Bundle) -> None:
    machine = PricedMachine(enqueue=2.0, launch_graph=1.0)
    machine.open(bundle).close()
    next(PlanCache.of(bundle).folder.glob("*.launch")).write_bytes(b"{}")

    assert launches(machine, machine.open(bundle)) == "launch_graph"
    assert stored(bundle).graph


class Refusing(RecordingDriver):
    """Captures nothing."""

    def __init__(self) -> None:
        super().__init__()
        self.refuses_capture = True


def test_a_refused_capture_is_said_in_one_line_and_the_network_runs_without(bundle: Bundle) -> None:
    machine = PricedMachine(Refusing, enqueue=2.0)

    assert launches(machine, machine.open(bundle)) == "enqueue"
    assert machine.said[-1] == (
        "tiny: network launched kernel by kernel, no CUDA graph, because: recording device: no capture (as asked)"
    )


def test_a_capture_refused_later_is_said_as_well(bundle: Bundle) -> None:
    PricedMachine(enqueue=2.0, launch_graph=1.0).open(bundle).close()
    machine = PricedMachine(Refusing)
    machine.foundry.built = 1

    assert launches(machine, machine.open(bundle)) == "enqueue"
    assert "no CUDA graph, because: recording device: no capture" in machine.said[-1]


class Forgetful(RecordingDriver):
    """Its graphs do nothing when launched."""

    def capture(self, stream, work) -> int:
        graph = super().capture(stream, work)
        self.graphs[graph] = []
        return graph


def test_a_graph_that_answers_otherwise_is_not_used(bundle: Bundle) -> None:
    machine = PricedMachine(Forgetful, enqueue=2.0, launch_graph=1.0)

    assert launches(machine, machine.open(bundle)) == "enqueue"
    assert "no CUDA graph, because: " in machine.said[-1]
    assert "golden" in machine.said[-1]


def test_the_choice_goes_with_its_plan(bundle: Bundle) -> None:
    PricedMachine(enqueue=2.0, launch_graph=1.0).open(bundle).close()
    machine = PricedMachine(enqueue=1.0, launch_graph=2.0)
    machine.foundry.wrong.add(b"plan 1")
    machine.foundry.built = 1

    machine.open(bundle).close()

    assert machine.foundry.built == 2
    assert stored(bundle) == LaunchMode(graph=False, plain_ms=1.0, graph_ms=2.0)


def test_without_a_listener_the_log_has_it(bundle: Bundle, caplog: pytest.LogCaptureFixture) -> None:
    foundry = Foundry(RecordingDriver())

    def make_driver() -> RecordingDriver:
        foundry.driver = RecordingDriver()
        return foundry.driver

    with caplog.at_level(logging.INFO):
        open_checked(bundle, PlanBuilder(foundry, ORIN), make_driver).close()

    assert "network launched" in caplog.text
