"""Whether parts, lamps or cameras have changed since the bundle's first parts.

Every signal is smoothed by an exponentially weighted moving average and held against its baseline, after Roberts,
"Control chart tests based on geometric moving averages", Technometrics 1, 1959. What is statistically certain may
still be too small to matter, so each kind of signal also has a smallest change that counts.
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
    Learner,
    Norm,
    Spread,
    baseline_path,
    read_baseline,
    store_baseline,
)
from edge.monitoring.drift_signals import INSPECTED, REJECTS, Signals, measure
from edge.part import Part

log = logging.getLogger(__name__)

SIGMAS = 5.0
"""Widths of the average's own noise. A chart of 3 has a false alarm every 400 parts; a line sees those in a minute."""
LEAST_SHARE = 0.2
"""Smallest share of the parts whose score has to have moved."""
END = 0.5
"""An alarm ends when the deviation has fallen to this share of the limit, so that it does not come and go."""


@dataclass(frozen=True)
class Kind:
    """One kind of signal."""

    least: float
    """Smallest change that counts, in the signal's unit."""
    show: Callable[[float], str]
    advice: str
    skew: float = 0.0
    """Third moment over variance; 1 for what happens rarely or not at all."""


KINDS = {
    "brightness": Kind(8.0, "{:.0f}".format, "check lamp, exposure and lens"),
    "sharpness": Kind(math.log(1.3), lambda value: f"{math.expm1(value):.0f}", "check focus, lens and vibration"),
    REJECTS: Kind(
        0.05,
        lambda value: f"{max(0.0, value):.1%}",
        "look at the rejected parts: the process or the pictures have changed",
        skew=1.0,
    ),
}
"""By the first word of a signal's name."""


class Chart(Protocol):
    """One signal under watch."""

    excess: float
    """How far it is off, as a share of what is allowed."""

    def say(self) -> str:
        """Tell what was found, what was expected, what to do."""


class Average:
    """The moving average of a value."""

    def __init__(self, kind: Kind, norm: Norm, weight: float, parts: int) -> None:
        self.kind, self._expected, self._weight = kind, norm.mean, weight
        self._found = norm.mean
        noise = norm.deviation * math.sqrt(weight / (2 - weight) + 1 / parts)
        # Cornish and Fisher's correction of the tail; an average of weight w has 2/3 w of its values' skew.
        tail = (SIGMAS**2 - 1) / 6 * kind.skew * 2 / 3 * weight
        self._limit = max(SIGMAS * noise + tail, kind.least)
        self.excess = 0.0

    def add(self, value: float) -> None:
        """Take in the next part."""
        self._found += self._weight * (value - self._found)
        self.excess = abs(self._found - self._expected) / self._limit

    def say(self) -> str:
        """See Chart."""
        low, high = (self.kind.show(self._expected + sign * self._limit) for sign in (-1, 1))
        found, expected = self.kind.show(self._found), self.kind.show(self._expected)
        return f"found {found}, expected {expected} ({low} to {high}); {self.kind.advice}"


class Distribution:
    """The moving distribution of a class's scores, held against the baseline's by Kolmogorov's distance.

    That is the largest difference of the shares below any of the `EDGES`; rare scores do not disturb it.
    """

    def __init__(self, spread: Spread, weight: float, parts: int) -> None:
        self._expected, self._weight = spread.below, weight
        self._found = list(spread.below)
        noise = 0.5 * math.sqrt(weight / (2 - weight) + 1 / parts)  # a share's deviation is at most 0.5
        self._limit = max(SIGMAS * noise, LEAST_SHARE)
        self.excess = 0.0

    def add(self, score: float) -> None:
        """Take in the next part."""
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
            f"({max(0.0, expected - limit):.0%} to {min(1.0, expected + limit):.0%}); compare pictures of now and then"
        )


class Drift:
    """Learns what a bundle's first parts look like, then watches the others.

    `add` is called by one thread with every settled part. Baselines lie beside the records, one for each bundle.
    """

    def __init__(
        self, settings: DriftSettings, records: Path, manifest: Callable[[], Manifest], alarms: Alarms | None = None
    ) -> None:
        """`records` is the database's path, `manifest` gives that of the bundle in use."""
        self.alarms: dict[str, str] = {}
        """By signal, what is off at present."""
        self._station = alarms or Alarms()
        self._settings, self._records, self._manifest = settings, records, manifest
        self._bundle_id = ""
        self._learner: Learner | None = None
        self._averages: dict[str, Average] = {}
        self._distributions: dict[str, Distribution] = {}

    def add(self, part: Part) -> None:
        """Take in a settled part; one that was not inspected says nothing about drift."""
        manifest = self._manifest()
        if part.outcome is None or part.outcome.verdict not in INSPECTED or part.bundle_id != manifest.id:
            return
        signals = measure(part, manifest)
        if manifest.id != self._bundle_id:
            self._begin(manifest, signals)
        if self._learner is not None:
            self._learn(self._learner, signals)
        else:
            self._watch(signals)

    def _begin(self, manifest: Manifest, signals: Signals) -> None:
        self._bundle_id, self._learner = manifest.id, None
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
        self._learner = Learner()
        why = "which has other cameras or classes" if baseline else "which does not exist yet"
        log.info("drift: the next %d parts become the baseline %s, %s", self._settings.baseline_parts, path, why)

    def _learn(self, learner: Learner, signals: Signals) -> None:
        learner.add(signals)
        if learner.parts < self._settings.baseline_parts:
            return
        baseline, path = learner.baseline(self._bundle_id), baseline_path(self._records, self._bundle_id)
        try:
            store_baseline(path, baseline)
        except DriftError as error:
            log.error("drift: %s", error)
        else:
            log.info("drift: %d parts are the baseline %s; remove it to learn anew", baseline.parts, path)
        self._learner = None
        self._compare_with(baseline)

    def _compare_with(self, baseline: Baseline) -> None:
        weight = 2 / (self._settings.span_parts + 1)  # the usual relation of an average's weight to its span
        self._averages = {
            name: Average(KINDS[name.split()[0]], norm, weight, baseline.parts)
            for name, norm in baseline.values.items()
        }
        self._distributions = {
            name: Distribution(spread, weight, baseline.parts) for name, spread in baseline.scores.items()
        }

    def _watch(self, signals: Signals) -> None:
        for name, value in signals.values.items():
            self._averages[name].add(value)
            self._judge(name, self._averages[name])
        for name, score in signals.scores.items():
            self._distributions[name].add(score)
            self._judge(f"score {name}", self._distributions[name])

    def _judge(self, name: str, chart: Chart) -> None:
        if chart.excess > 1 or (name in self.alarms and chart.excess >= END):
            self.alarms[name] = chart.say()
            self._station.raise_(f"drift {name}", self.alarms[name], Area.DRIFT)
        elif name in self.alarms:
            self._end(name)

    def _end(self, name: str) -> None:
        del self.alarms[name]
        self._station.clear(f"drift {name}")
