"""What becomes of each rejected part behind the camera: thrown out, escaped, arrived in the bin."""

import logging
import threading
from dataclasses import replace

from edge.alarms import Alarms, Area
from edge.cameras.camera import Clock
from edge.config.ejector import ConfirmationSettings
from edge.ejector.belt import HALF, U32, Belt
from edge.ejector.confirmation import Confirmation
from edge.ejector.ejector import Ejector
from edge.ejector.track import Fate
from edge.part import Part
from edge.records.writer import Records

log = logging.getLogger(__name__)

ESCAPED, UNCONFIRMED = "part escaped the ejector", "eject not confirmed"
"""Names of the alarms; each stays until somebody has looked after it."""
COAST_S = 0.5
"""How long after the last count of the PLC a frame's place on the belt is told."""
REMEMBERED = 4096
"""Parts of which fates may still come."""


class Rejects:
    """Notes every rejected part's fate in its row, and raises the alarm where a part may have got away.

    Safe to use from several threads.
    """

    def __init__(
        self, records: Records, alarms: Alarms, clock: Clock, confirmation: ConfirmationSettings | None = None
    ) -> None:
        self.ejector: Ejector | None = None
        """Of the station itself; without one the PLC throws the parts out."""
        self._records, self._alarms, self._clock = records, alarms, clock
        self._by_time = confirmation is not None and confirmation.within_ms is not None
        self._confirmation = _confirmation(confirmation)
        self._belt = Belt(COAST_S, back=(confirmation.within_counts or 0) if confirmation else HALF)
        self._parts: dict[int, Part] = {}  # by number, the latest ones, without their frames, which are large
        self._reported: set[int] = set()
        self._early: dict[int, str] = {}  # fates of parts that have no row yet
        self._lock = threading.RLock()

    def triggered(self, part: Part) -> None:
        """Take a part that is on its way."""
        with self._lock:
            self._parts[part.number] = replace(part, views=())
            if len(self._parts) > REMEMBERED:
                oldest = next(iter(self._parts))
                self._reported.discard(oldest)
                del self._parts[oldest]
        if self.ejector is not None:
            self.ejector.expect(part)

    def reported(self, part: Part, passes: bool) -> None:
        """Take a part's verdict, once its row has been handed over; `passes`: whether it may go on."""
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
        """Take a part's fate at the station's own ejector."""
        part = self._parts.get(number)
        if part is None or fate is Fate.PASSED:
            return
        self._note(number, fate.value)
        if fate is Fate.EJECTED:
            self._expect_arrival(part)
            return
        found = (
            f"part {part.part_id} (row {number}) was not proved good, and was not thrown out; look for it behind the "
        )
        self._alarms.raise_(ESCAPED, found + "ejector, then acknowledge", Area.OUTPUT, part.part_id)

    def belt_at(self, encoder: int, arrived: int) -> None:
        """Take what the PLC says of belt and bin."""
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
        """Return the belt's count at a time, u32; None where the PLC has not said it for a while."""
        with self._lock:
            return int(self._belt.at(at)) % U32 if self._belt.known and self._belt.fresh(at) else None

    def look(self) -> None:
        """Look for parts that should have arrived by now."""
        if self._confirmation is not None and self._by_time:
            with self._lock:
                missing = self._confirmation.advance(self._clock())
            self._miss(missing)

    def connected(self, there: bool, anew: bool = False) -> None:
        """Note whether the PLC is there; `anew`: it has started again."""
        if self.ejector is not None:
            self.ejector.connected(there, anew)
        if anew:
            with self._lock:
                self._forget()
                self._belt.forget()

    def unconfirmed(self, part_id: int) -> None:
        """Note that the reject controller itself misses a part in the bin."""
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
            found = (
                f"part {part_id} (row {number}) was thrown out, but did not arrive in the bin in time; look for it, "
            )
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
