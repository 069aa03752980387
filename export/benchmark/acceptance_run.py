"""One acceptance run: bundles, then the comparison of engines, within a deadline."""

from collections.abc import Callable, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from time import perf_counter

from bundle import Bundle, BundleError
from edge.engines.registry import DEFAULT_ENGINE, open_engine
from edge.engines.tensorrt_.engine import StreamEngine
from edge.errors import StationError
from export.benchmark.acceptance import Accepted, accept, launched
from export.benchmark.acceptance_rivals import EngineFigures, Open, missing, rival_row, row
from export.benchmark.benchmark import RUNS
from export.benchmark.roofline import Peak
from export.errors import ExportError

FOR_BUNDLES = 0.6
"""Share of the time for the bundles; the rest is for the comparison."""

FOR_A_RIVAL_S = 20
"""Time needed to compile another engine; with less left, it is skipped."""


@dataclass(frozen=True)
class Machine:
    """The engine under test and the functions that open it and its rivals."""

    engine: str
    """Name in the comparison."""
    open_engine: Callable[[Bundle], StreamEngine]
    """Opens the engine under test, checked on the golden frames."""
    runtime_over_bare: Callable[[Bundle], float | None]
    """Ratio of the runtime's throughput to the engine's; None where it cannot be measured."""
    rivals: Mapping[str, Open]
    peak: Peak | None


@dataclass
class Acceptance:
    """An acceptance run with its deadline. frames, soak: see `accept`."""

    machine: Machine
    frames: int
    soak: int
    deadline: float
    """End of the run, by the clock."""
    say: Callable[[str], None]
    clock: Callable[[], float] = perf_counter
    runs: int = RUNS
    not_accepted: dict[str, str] = field(default_factory=dict)
    """By bundle: the reason why it could not be measured."""

    def bundles(self, bundles: Sequence[Bundle]) -> list[Accepted]:
        """Run the acceptance of each bundle; bundles that cannot be measured go to `not_accepted`."""
        accepted = []
        for number, bundle in enumerate(bundles):
            name = bundle.manifest.name
            until = self.clock() + FOR_BUNDLES * self._left_s() / (len(bundles) - number)
            self.say(f"{name}: {until - self.clock():.0f} s for it")
            try:
                accepted.append(self._one(bundle, until))
            except (StationError, BundleError, ExportError) as error:
                self.not_accepted[name] = str(error)
                self.say(f"{name}: not measured: {error}")
        return accepted

    def comparison(self, bundles: Sequence[Bundle]) -> list[EngineFigures]:
        """Measure the engine under test and its rivals on each bundle."""
        return [one for bundle in bundles for one in (*self._engine_rows(bundle), *self._rival_rows(bundle))]

    def _one(self, bundle: Bundle, until: float) -> Accepted:
        reference = open_engine(DEFAULT_ENGINE, bundle)
        with closing(self.machine.open_engine(bundle)) as engine:
            found = accept(bundle, engine, reference, self.frames, self.soak, self.clock, until, self.runs)
        return found.model_copy(update={"runtime_over_bare": self.machine.runtime_over_bare(bundle)})

    def _engine_rows(self, bundle: Bundle) -> list[EngineFigures]:
        name, peak = self.machine.engine, self.machine.peak
        self.say(f"comparison: {name}, {bundle.manifest.precision}")
        try:
            with closing(self.machine.open_engine(bundle)) as engine:
                plain, graph, refusal = launched(bundle, engine, self.runs, self.clock)
        except (StationError, BundleError, ExportError) as error:
            return [missing(name, bundle, str(error))]
        captured = f"{name}, CUDA graph"
        return [
            row(name, bundle, plain, peak),
            missing(captured, bundle, refusal) if graph is None else row(captured, bundle, graph, peak),
        ]

    def _rival_rows(self, bundle: Bundle) -> list[EngineFigures]:
        rows = []
        for name, open_one in self.machine.rivals.items():
            if self._left_s() < FOR_A_RIVAL_S:
                rows.append(missing(name, bundle, "the time was up; give it more --minutes"))
                continue
            self.say(f"comparison: {name}, {bundle.manifest.precision}")
            rows.append(rival_row(name, open_one, bundle, self.machine.peak, self.runs, self.clock))
        return rows

    def _left_s(self) -> float:
        return max(0.0, self.deadline - self.clock())
