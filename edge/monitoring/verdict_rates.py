"""Alarms for a rate of TIMEOUT, FAULT or rejects far above the tolerated one, by an exact binomial test."""

import math
from collections import deque
from dataclasses import dataclass

from bundle import Verdict
from edge.alarms import Alarms, Area
from edge.config.schema import RateSettings
from edge.part import Part

FALSE_ALARM = 1e-6
"""Probability of an alarm at the tolerated rate, per part. At 10 parts a second it is one alarm in more than a day,
because windows that share most of their parts agree."""
TIMEOUTS, FAULTS, REJECTS = "rate of TIMEOUT", "rate of FAULT", "rate of rejects"
"""Names of the alarms."""
NOT_INSPECTED = (TIMEOUTS, FAULTS)
"""Alarms that mean that parts are not inspected."""


def exceeds(count: int, parts: int, rate: float, probability: float = FALSE_ALARM) -> bool:
    """Return true if `count` or more of `parts` have less than `probability` at this rate.

    The upper tail of the binomial distribution, summed exactly: Clopper and Pearson, "The use of confidence or fiducial
    limits illustrated in the case of the binomial", Biometrika 26, 1934.
    """
    if count <= rate * parts:
        return False
    if rate == 0.0:
        return True
    logs = math.lgamma(parts + 1) - math.lgamma(count + 1) - math.lgamma(parts - count + 1)
    term = math.exp(logs + count * math.log(rate) + (parts - count) * math.log1p(-rate))
    tail = 0.0
    for number in range(count, parts + 1):
        tail += term
        term *= (parts - number) / (number + 1) * rate / (1 - rate)
        if tail >= probability or term < probability * 1e-9:  # beyond its mean the terms only fall
            break
    return tail < probability


@dataclass(frozen=True)
class RecentPart:
    """Data of one part in a window, without its frames."""

    verdict: Verdict
    stamps: dict[str, float]
    """The part's own, to which a late inference still adds."""
    fault: str
    part_id: int


@dataclass(frozen=True)
class RateKind:
    """One of the watched rates."""

    verdicts: tuple[Verdict, ...]
    tolerated: float
    what: str
    area: Area


class VerdictRates:
    """Watches the verdicts of the latest parts; `add` is called with every part after its result is sent.

    An alarm ends after `minimum_parts` parts at no more than the tolerated rate. Parts of a pause are left out.
    """

    def __init__(self, settings: RateSettings, deadline_s: float, alarms: Alarms) -> None:
        self._settings, self._deadline_s, self._alarms = settings, deadline_s, alarms
        self._window: deque[RecentPart] = deque(maxlen=settings.window_parts)
        self._active: set[str] = set()
        self._kinds = {
            TIMEOUTS: RateKind((Verdict.TIMEOUT,), settings.timeouts, "TIMEOUT", Area.ENGINE),
            FAULTS: RateKind((Verdict.FAULT,), settings.faults, "FAULT", Area.OTHER),
            REJECTS: RateKind((Verdict.NG, Verdict.UNSURE), settings.rejects, "rejected", Area.OTHER),
        }
        # by name of the alarm, of those parts of the window that may lead to it: whether each is of its kind
        self._hits: dict[str, deque[bool]] = {name: deque(maxlen=settings.window_parts) for name in self._kinds}

    def add(self, part: Part) -> None:
        """Add a reported part."""
        if part.outcome is None or part.outcome.paused:
            return
        self._window.append(RecentPart(part.outcome.verdict, part.stamps, part.outcome.fault, part.part_id))
        for name, kind in self._kinds.items():
            self._hits[name].append(part.outcome.verdict in kind.verdicts)
        if len(self._window) < self._settings.minimum_parts:
            return
        for name, kind in self._kinds.items():
            if name in self._active:
                self._end(name, kind)
                if name in self._active and self._hits[name][-1]:
                    self._alarms.raise_(name, self._text(name, kind), kind.area)
            elif exceeds(sum(self._hits[name]), len(self._hits[name]), kind.tolerated):
                self._active.add(name)
                self._alarms.raise_(name, self._text(name, kind), kind.area)

    def _end(self, name: str, kind: RateKind) -> None:
        """Clear an alarm that is over; what has led to it must not lead to the next one."""
        latest = list(self._hits[name])[-self._settings.minimum_parts :]
        if sum(latest) <= kind.tolerated * len(latest):
            self._active.remove(name)
            self._alarms.clear(name)
            self._hits[name] = deque(latest, self._settings.window_parts)

    def _text(self, name: str, kind: RateKind) -> str:
        found = f"found {sum(self._hits[name])} of the latest {len(self._hits[name])} parts {kind.what}"
        text = f"{found}, expected at most {kind.tolerated:.3g} of them"
        if name == TIMEOUTS:
            deadline = f"deadline {self._deadline_s * 1e3:.0f} ms"
            return f"parts keep missing their deadline: {self._engine_time()}, {deadline}; {text}"
        if name == FAULTS:
            latest = next(sample for sample in reversed(self._window) if sample.verdict in kind.verdicts)
            return f"{text}; part {latest.part_id}: {latest.fault}"
        return f"{text}; check the parts, lamp, camera and bundle"

    def _engine_time(self) -> str:
        """99th percentile of the engine's time, over the parts of the window whose inference has ended."""
        stamps = [sample.stamps.copy() for sample in self._window]
        times_s = sorted(at["inferred"] - at["prepared"] for at in stamps if "inferred" in at and "prepared" in at)
        if not times_s:
            return "no part came out of the engine"
        return f"engine p99 is {times_s[math.ceil(0.99 * len(times_s)) - 1] * 1e3:.0f} ms"
