"""Bounded buffer between the reporter and the feed of a server."""

import threading
from collections import deque
from collections.abc import Callable
from datetime import datetime

from bundle import Verdict
from edge.part import Part
from edge.servers.state import DefectState, PartState
from edge.wall_clock import SteadyClock

PARTS_WAITING = 2000
"""Size of the buffer of parts; beyond it the oldest are dropped, but stay in the records."""
REJECTS_WAITING = 4
"""Size of the buffer of rejects to be drawn; beyond it the oldest are not drawn."""
DEFECTS_TOLD = 20


class Outbox:
    """Holds reported parts until the feed takes them; `add` costs the reporter some microseconds."""

    def __init__(self, utc: Callable[[], datetime] | None = None, pictured: bool = True) -> None:
        """`pictured`: whether parts are kept with their frames, to be drawn."""
        self._utc, self._pictured = utc or SteadyClock(), pictured
        self._lock = threading.Lock()
        self._parts: deque[PartState] = deque(maxlen=PARTS_WAITING)  # without frames, which are large
        self._rejects: deque[Part] = deque(maxlen=REJECTS_WAITING)
        self._latest: Part | None = None

    def add(self, part: Part) -> None:
        """Add a reported part."""
        told = describe(part, self._utc())
        with self._lock:
            self._parts.append(told)
            if not self._pictured:
                return
            self._latest = part
            if told.verdict != Verdict.OK.name:
                self._rejects.append(part)

    def take(self) -> tuple[tuple[PartState, ...], tuple[Part, ...]]:
        """Return the parts since the last call, and those to be drawn: the rejects and the latest."""
        with self._lock:
            told, pictured = tuple(self._parts), [*self._rejects]
            if self._latest is not None and self._latest not in pictured:
                pictured.append(self._latest)
            self._parts.clear()
            self._rejects.clear()
            self._latest = None
        return told, tuple(pictured)


def describe(part: Part, at: datetime) -> PartState:
    """Describe a settled part for the servers."""
    if part.outcome is None:
        raise ValueError(f"part {part.number} has no verdict yet")
    found = [(view.camera, defect) for view in part.views for defect in view.defects] if part.outcome.defects else []
    strongest = sorted(found, key=lambda pair: -pair[1].score)[:DEFECTS_TOLD]
    sent_us = part.since_trigger_us("sent")
    return PartState(
        number=part.number,
        time=at,
        part_id=part.part_id,
        encoder=part.encoder,
        verdict=part.outcome.verdict.name,
        told=(part.told or part.outcome.verdict).name,
        defects=tuple(
            DefectState(class_name=defect.class_name, score=defect.score, area_px=defect.area_px, camera=camera)
            for camera, defect in strongest
        ),
        fault=part.outcome.fault,
        latency_ms=None if sent_us is None else sent_us / 1e3,
        stages_ms={stage: (at_s - part.triggered) * 1e3 for stage, at_s in part.stamps.copy().items()},
        bundle_id=part.bundle_id,
        recipe=part.recipe,
    )
