"""Schedule of the faults, drawn from a seed before the test starts."""

from collections.abc import Iterator
from dataclasses import dataclass
from random import Random

SETTLE_S = 10.0
"""Seconds without a fault at the start and the end of a test."""


@dataclass(frozen=True)
class FaultKind:
    """Kind of fault in a place; `lasts_s` is its shortest and longest duration."""

    name: str
    lasts_s: tuple[float, float]


@dataclass(frozen=True)
class Place:
    """Place of faults, one at a time; the pause before each is drawn from an exponential distribution."""

    name: str
    every_s: float
    """Mean pause."""
    kinds: tuple[FaultKind, ...]


PLACES = (
    Place("camera", 60, (FaultKind("camera lost", (0.2, 5)), FaultKind("camera frozen", (0.2, 3)))),
    Place("engine", 60, (FaultKind("engine error", (0.05, 1)), FaultKind("engine crash", (0.05, 1)))),
    Place("disk", 60, (FaultKind("slow disk", (0.1, 3)), FaultKind("full disk", (0.5, 8)))),
    Place(
        "wire",
        30,
        (FaultKind("link cut", (0.05, 3)), FaultKind("link unplugged", (0.2, 3)), FaultKind("noise", (0.2, 5))),
    ),
    Place("reload", 45, (FaultKind("good bundle", (0, 0)), FaultKind("bad bundle", (0, 0)))),
)
"""Long enough for detection and recovery, short enough that all combinations occur within an hour."""


@dataclass(frozen=True)
class PlannedFault:
    """One fault, in seconds from the start of the run."""

    begins_s: float
    ends_s: float
    place: str
    kind: str


def draw_plan(
    seed: int, length_s: float, density: float = 1.0, places: tuple[Place, ...] = PLACES
) -> list[PlannedFault]:
    """Draw the faults of a run in the order of their beginnings; a density of 2 halves the pauses, 0 draws none."""
    if not density:
        return []
    plan = [fault for place in places for fault in _strike(Random(f"{seed} {place.name}"), length_s, density, place)]
    return sorted(plan, key=lambda fault: fault.begins_s)


def _strike(random: Random, length_s: float, density: float, place: Place) -> Iterator[PlannedFault]:
    end_s = SETTLE_S
    while True:
        begin_s = end_s + random.expovariate(density / place.every_s)
        kind = random.choice(place.kinds)
        end_s = begin_s + random.uniform(*kind.lasts_s)
        if end_s > length_s - SETTLE_S:
            return
        yield PlannedFault(begin_s, end_s, place.name, kind.name)
