"""Drift monitoring: control charts of brightness, sharpness, scores and reject rate against a baseline.

Each signal is smoothed by an exponentially weighted moving average (EWMA) and compared with its baseline: Roberts,
"Control chart tests based on geometric moving averages", Technometrics 1, 1959. A significant change may still be too
small to matter, so each kind of signal also has a smallest relevant change.
"""

import logging
import math
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from bundle import Manifest
from edge.alarms import Alarms, Area
from edge.config.schema import DriftSettings
from edge.errors import DriftError
from edge.monitoring.drift_baseline import (
    EDGES,
    Baseline,
    BaselineLearner,
    ScoreDistribution,
    SignalNorm,
    TrainingBrightness,
    baseline_path,
    read_baseline,
    store_baseline,
    training_brightness,
)
from edge.monitoring.drift_signals import INSPECTED, REJECTS, Signals, measure
from edge.part import Part

log = logging.getLogger(__name__)

SIGMAS = 5.0
"""Control limit in standard deviations of the average. At 3 a false alarm occurs every 400 parts, on a fast line every
minute."""
LEAST_SHARE = 0.2
"""Smallest relevant change of a score's distribution, as a share of the parts."""
END = 0.5
"""Hysteresis: an alarm is cleared when the deviation has fallen to this share of the limit."""


@dataclass(frozen=True)
class SignalKind:
    """Smallest relevant change, format and advice of one kind of signal."""

    least: float
    """Smallest relevant change, in the unit of the signal."""
    show: Callable[[float], str]
    advice: str
    skew: float = 0.0
    """Third central moment divided by the variance; 1 for a rare event."""


KINDS = {
    "brightness": SignalKind(8.0, "{:.0f}".format, "check lamp, exposure and lens"),
    "sharpness": SignalKind(math.log(1.3), lambda value: f"{math.expm1(value):.0f}", "check focus, lens and vibration"),
    REJECTS: SignalKind(
        0.05,
        lambda value: f"{max(0.0, value):.1%}",
        "check the rejected parts: the process or the pictures have changed",
        skew=1.0,
    ),
}
"""By the first word of the signal's name."""


class Chart(Protocol):
    """Control chart of one signal."""

    excess: float
    """Deviation from the baseline divided by the limit."""

    def say(self) -> str:
        """Return what was found, what was expected, what to do."""


class AverageChart:
    """EWMA chart of a value."""

    def __init__(self, kind: SignalKind, norm: SignalNorm, weight: float, parts: int) -> None:
        self.kind, self._expected, self._weight = kind, norm.mean, weight
        self._found = norm.mean
        noise = norm.deviation * math.sqrt(weight / (2 - weight) + 1 / parts)
        # Cornish and Fisher's correction of the tail; an average of weight w has 2/3 w of its values' skew.
        tail = (SIGMAS**2 - 1) / 6 * kind.skew * 2 / 3 * weight
        self._limit = max(SIGMAS * noise + tail, kind.least)
        self.excess = 0.0

    def add(self, value: float) -> None:
        """Add the next part."""
        self._found += self._weight * (value - self._found)
        self.excess = abs(self._found - self._expected) / self._limit

    def say(self) -> str:
        """See Chart."""
        low, high = (self.kind.show(self._expected + sign * self._limit) for sign in (-1, 1))
        found, expected = self.kind.show(self._found), self.kind.show(self._expected)
        return f"found {found}, expected {expected} ({low} to {high}); {self.kind.advice}"


class DistributionChart:
    """EWMA chart of the distribution of a class's scores, by its Kolmogorov distance from the baseline.

    The distance is the largest difference of the shares of scores below one of the `EDGES`.
    """

    def __init__(self, spread: ScoreDistribution, weight: float, parts: int) -> None:
        self._expected, self._weight = spread.below, weight
        self._found = list(spread.below)
        noise = 0.5 * math.sqrt(weight / (2 - weight) + 1 / parts)  # a share's deviation is at most 0.5
        self._limit = max(SIGMAS * noise, LEAST_SHARE)
        self.excess = 0.0

    def add(self, score: float) -> None:
        """Add the next part."""
        for number, edge in enumerate(EDGES):
            self._found[number] += self._weight * ((score < edge) - self._found[number])
        self.excess = abs(self._gap(self._widest())) / self._limit

    def _gap(self, number: int) -> float:
        return self._found[number] - self._expected[number]

    def _widest(self) -> int:
        return max(range(len(EDGES)), key=lambda number: abs(self._gap(number)))

    def say(self) -> str:
        """See Chart."""
        number = self._widest()
        expected, limit = self._expected[number], self._limit
        return (
            f"found {self._found[number]:.0%} of the parts below {EDGES[number]:g}, expected {expected:.0%} "
            f"({max(0.0, expected - limit):.0%} to {min(1.0, expected + limit):.0%}); compare new and old pictures"
        )


class Drift:
    """Learns a baseline from a bundle's first parts, then monitors the following parts.

    One thread calls `add` with every settled part. Each bundle has its own baseline, beside the records.
    """

    def __init__(
        self, settings: DriftSettings, records: Path, manifest: Callable[[], Manifest], alarms: Alarms | None = None
    ) -> None:
        """records: path of the database. manifest: returns the manifest of the bundle in use."""
        self.alarms: dict[str, str] = {}
        """Messages of the active alarms, by signal."""
        self._station_alarms = alarms or Alarms()
        self._settings, self._records, self._manifest = settings, records, manifest
        self._bundle_id = ""
        self._learner: BaselineLearner | None = None
        self._averages: dict[str, AverageChart] = {}
        self._distributions: dict[str, DistributionChart] = {}
        self._trained: TrainingBrightness | None = None

    def add(self, part: Part) -> None:
        """Add a settled part; parts without an inspection, or inspected by another bundle, are ignored."""
        manifest = self._manifest()
        if part.outcome is None or part.outcome.verdict not in INSPECTED or part.bundle_id != manifest.id:
            return
        signals = measure(part, manifest)
        if manifest.id != self._bundle_id:
            self._begin(manifest, signals)
        self._compare_with_training(signals)
        if self._learner is not None:
            self._learn(self._learner, signals)
        else:
            self._watch(signals)

    def _begin(self, manifest: Manifest, signals: Signals) -> None:
        self._bundle_id, self._learner, self._trained = manifest.id, None, training_brightness(manifest)
        for name in tuple(self.alarms):
            self._end(name)
        path = baseline_path(self._records, manifest.id)
        try:
            baseline = read_baseline(path)
        except DriftError as error:
            log.error("drift: %s", error)
            baseline = None
        if baseline is not None and baseline.fits(signals):
            self._compare_with(baseline)
            return
        self._learner = BaselineLearner()
        why = "which has other cameras or classes" if baseline else "which does not exist yet"
        log.info("drift: the next %d parts become the baseline %s, %s", self._settings.baseline_parts, path, why)

    def _compare_with_training(self, signals: Signals) -> None:
        """Alarm `drift levels CAMERA` for a single picture whose brightness is far from that of the training pictures.

        A baseline that the line learns from wrong pictures would never tell.
        """
        if self._trained is None:
            return
        for name, value in signals.values.items():
            kind, _, camera = name.partition(" ")
            if kind != "brightness":
                continue
            if (problem := self._trained.problem(value)) is not None:
                self._raise(f"levels {camera}", problem)
            elif f"levels {camera}" in self.alarms:
                self._end(f"levels {camera}")

    def _learn(self, learner: BaselineLearner, signals: Signals) -> None:
        learner.add(signals)
        if learner.parts < self._settings.baseline_parts:
            return
        baseline, path = learner.baseline(self._bundle_id), baseline_path(self._records, self._bundle_id)
        try:
            store_baseline(path, baseline)
        except DriftError as error:
            log.error("drift: %s", error)
        else:
            log.info(
                "drift: baseline of %d parts stored in %s; delete the file to learn a new one", baseline.parts, path
            )
        self._learner = None
        self._compare_with(baseline)

    def _compare_with(self, baseline: Baseline) -> None:
        weight = 2 / (self._settings.span_parts + 1)  # usual relation of an EWMA's weight to its span
        self._averages = {
            name: AverageChart(KINDS[name.split()[0]], norm, weight, baseline.parts)
            for name, norm in baseline.values.items()
        }
        self._distributions = {
            name: DistributionChart(spread, weight, baseline.parts) for name, spread in baseline.scores.items()
        }

    def _watch(self, signals: Signals) -> None:
        for name, value in signals.values.items():
            self._averages[name].add(value)
            self._evaluate(name, self._averages[name])
        for name, score in signals.scores.items():
            self._distributions[name].add(score)
            self._evaluate(f"score {name}", self._distributions[name])

    def _evaluate(self, name: str, chart: Chart) -> None:
        if chart.excess > 1 or (name in self.alarms and chart.excess >= END):
            self._raise(name, chart.say())
        elif name in self.alarms:
            self._end(name)

    def _raise(self, name: str, text: str) -> None:
        self.alarms[name] = text
        self._station_alarms.raise_(f"drift {name}", text, Area.DRIFT)

    def _end(self, name: str) -> None:
        del self.alarms[name]
        self._station_alarms.clear(f"drift {name}")
