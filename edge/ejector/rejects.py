"""Rejected parts behind the camera: ejected, escaped, confirmed by the sensor in the bin."""

import logging
import threading
from collections import deque
from dataclasses import replace

from edge.alarms import Alarms, Area
from edge.cameras.camera import Clock
from edge.config.ejector import ConfirmationSettings
from edge.ejector.belt import HALF, U32, Belt
from edge.ejector.ejector import Ejector
from edge.ejector.track import Fate
from edge.part import Part
from edge.records.writer import Records

log = logging.getLogger(__name__)

ESCAPED, UNCONFIRMED = "part escaped the ejector", "eject not confirmed"
"""Names of the alarms; each stays until it is acknowledged."""
COAST_S = 0.5
"""Time after the last count from the PLC for which a frame's encoder count is extrapolated."""
REMEMBERED = 4096
"""Number of latest parts whose fate may still arrive."""
U16 = 2**16


class Confirmation:
    """Assigns each arrival in the bin to the part that has waited longest; without a clock.

    The sensor counts parts without identifying them: a part put into the bin by hand confirms the wrong one.
    """

    def __init__(self, within: float) -> None:
        """within: largest distance or time from a part's place to its arrival, in the caller's unit."""
        self._within = within
        self._waiting: deque[tuple[int, float]] = deque()  # keys with the places of their parts
        self._count: int | None = None

    def expect(self, key: int, place: float) -> None:
        """Add a part that was or will be ejected."""
        self._waiting.append((key, place))

    def arrived(self, count: int) -> list[int]:
        """Evaluate the sensor's count, a u16 that wraps; returns the parts that it confirms."""
        new = 0 if self._count is None else (count - self._count) % U16
        self._count = count
        return [self._waiting.popleft()[0] for _ in range(min(new, len(self._waiting)))]

    def advance(self, position: float) -> list[int]:
        """Move to this place or time; returns the parts that are overdue."""
        missing = []
        while self._waiting and position > self._waiting[0][1] + self._within:
            missing.append(self._waiting.popleft()[0])
        return missing

    def forget(self) -> None:
        """Discard all parts, because the sensor's count and the encoder have restarted."""
        self._waiting.clear()
        self._count = None


class Rejects:
    """Records the fate of every rejected part, and raises an alarm for a part that may have escaped.

    Safe to use from several threads.
    """

    def __init__(
        self, records: Records, alarms: Alarms, clock: Clock, confirmation: ConfirmationSettings | None = None
    ) -> None:
        self.ejector: Ejector | None = None
        """Ejector timed by the station; None if the PLC ejects the parts."""
        self._records, self._alarms, self._clock = records, alarms, clock
        self._by_time = confirmation is not None and confirmation.within_ms is not None
        self._confirmation = _confirmation(confirmation)
        self._belt = Belt(COAST_S, back=(confirmation.within_counts or 0) if confirmation else HALF)
        self._parts: dict[int, Part] = {}  # by number, without their frames, which are large
        self._reported: set[int] = set()
        self._early: dict[int, str] = {}  # fates of parts without a row
        self._lock = threading.RLock()

    def triggered(self, part: Part) -> None:
        """Add a triggered part."""
        with self._lock:
            self._parts[part.number] = replace(part, views=())
            if len(self._parts) > REMEMBERED:
                oldest = next(iter(self._parts))
                self._reported.discard(oldest)
                del self._parts[oldest]
        if self.ejector is not None:
            self.ejector.expect(part)

    def reported(self, part: Part, passes: bool) -> None:
        """Add a part's verdict after its row is queued. passes: the part is not ejected."""
        with self._lock:
            self._reported.add(part.number)
            early = self._early.pop(part.number, None)
        if early is not None:
            self._records.note_ejection(part.number, early)
        if self.ejector is not None:
            self.ejector.decide(part, passes)
        elif not passes:
            self._expect_arrival(part)

    def settled(self, number: int, fate: Fate) -> None:
        """Record a part's fate at the ejector that the station times."""
        part = self._parts.get(number)
        if part is None or fate is Fate.PASSED:
            return
        self._note(number, fate.value)
        if fate is Fate.EJECTED:
            self._expect_arrival(part)
            return
        found = f"part {part.part_id} (row {number}) is not OK and was not ejected; remove it from behind the "
        self._alarms.raise_(ESCAPED, found + "ejector, then acknowledge", Area.OUTPUT, part.part_id)

    def belt_at(self, encoder: int, arrived: int) -> None:
        """Evaluate a BeltPosition message: encoder count, and count of the sensor in the bin."""
        if self.ejector is not None:
            self.ejector.belt_at(encoder)
        with self._lock:
            if not self._belt.read(encoder, self._clock()):
                self._forget()
            if self._confirmation is None:
                return
            confirmed = self._confirmation.arrived(arrived)
            missing = [] if self._by_time else self._confirmation.advance(self._belt.place(encoder))
        for number in confirmed:
            self._note(number, "confirmed")
        self._miss(missing)

    def encoder(self, at: float) -> int | None:
        """Return the encoder count at a time, u32; None if it is unknown."""
        with self._lock:
            return int(self._belt.at(at)) % U32 if self._belt.known and self._belt.fresh(at) else None

    def check(self) -> None:
        """Raise the alarm for parts that are overdue by time."""
        if self._confirmation is not None and self._by_time:
            with self._lock:
                missing = self._confirmation.advance(self._clock())
            self._miss(missing)

    def connected(self, there: bool, restarted: bool = False) -> None:
        """Set the connection to the PLC. restarted: the PLC has restarted."""
        if self.ejector is not None:
            self.ejector.connected(there, restarted)
        if restarted:
            with self._lock:
                self._forget()
                self._belt.forget()

    def unconfirmed(self, part_id: int) -> None:
        """Record that the reject controller misses a part in the bin."""
        with self._lock:
            number = next((part.number for part in reversed(self._parts.values()) if part.part_id == part_id), None)
        if number is not None:
            self._note(number, "unconfirmed")

    def _expect_arrival(self, part: Part) -> None:
        if self._confirmation is not None:
            with self._lock:
                place = part.triggered if self._by_time else self._belt.place(part.encoder)
                self._confirmation.expect(part.number, place)

    def _forget(self) -> None:
        if self._confirmation is not None:
            self._confirmation.forget()

    def _miss(self, numbers: list[int]) -> None:
        for number in numbers:
            self._note(number, "unconfirmed")
            part_id = self._parts[number].part_id if number in self._parts else 0
            found = f"part {part_id} (row {number}) was ejected, but did not arrive in the bin in time; find it, "
            self._alarms.raise_(UNCONFIRMED, found + "then acknowledge", Area.OUTPUT, part_id)

    def _note(self, number: int, ejection: str) -> None:
        with self._lock:
            if number not in self._reported:
                self._early[number] = ejection
                return
        self._records.note_ejection(number, ejection)


def _confirmation(settings: ConfirmationSettings | None) -> Confirmation | None:
    if settings is None:
        return None
    return Confirmation(settings.within_counts or (settings.within_ms or 0) / 1e3)
