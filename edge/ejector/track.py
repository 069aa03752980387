"""Track: parts between camera and ejector and the pulses that they require, without clock, thread or output.

A place is a number that increases as the belt moves: unwrapped encoder counts, or seconds for a belt without an
encoder. The ejector acts on what lies at `distance` behind a part's own place.

                 camera             ejector
    ---------------|-------------------|--------> places a part passes
                at |<--- distance ---->|<-length->|
                                       output on
"""

from dataclasses import dataclass
from enum import Enum

NEVER = float("-inf")
IN_TIME = 0.5
"""Share of the pulse that must remain when it begins; with less, the pulse is too late for its part."""


class Fate(Enum):
    """Result of the ejector's action on a part."""

    PASSED = "passed"
    """The verdict is OK, and the part was let through."""
    EJECTED = "ejected"
    ESCAPED = "escaped"
    """The verdict is not OK, and the ejector did not act on the part, or too late."""


Fates = list[tuple[int, Fate]]


@dataclass
class _Entry:
    """One tracked part, or several if the track was full."""

    keys: list[int]
    place: float
    """Place at which the ejector acts on the first part."""
    last: float
    """Place at which it acts on the last part."""
    passes: bool | None = None
    """None without a verdict."""


class Track:
    """Parts on their way to the ejector, identified by keys of the caller.

    A stopped belt changes nothing; a belt that creeps back repeats no pulse. Overlapping pulses are merged.
    """

    def __init__(self, distance: float, length: float, *, timed: bool, reject_unproved: bool, room: int) -> None:
        """length: of the pulse, as a distance of the belt, or in seconds with `timed`.

        reject_unproved: eject a part without a verdict at the ejector. room: number of entries; the newest one stands
        for all further parts, which are ejected with it.
        """
        self.on = False
        """Required state of the output."""
        self._distance, self._length, self._timed = distance, length, timed
        self._reject_unproved, self._room = reject_unproved, room
        self._entries: list[_Entry] = []  # by place
        self._unjudged: dict[int, float] = {}  # parts past the ejector without a verdict, with their places
        self._position = self._looked_at = NEVER
        self._through = NEVER
        """Place at which the output goes off."""
        self._until = NEVER
        """End of a timed pulse, on the caller's clock."""

    @property
    def full(self) -> bool:
        """True if the next part cannot be tracked separately."""
        return len(self._entries) >= self._room

    @property
    def waiting(self) -> int:
        """Number of parts that have not reached the ejector."""
        return sum(len(entry.keys) for entry in self._entries)

    def add(self, key: int, at: float) -> bool:
        """Add a part that was triggered at this place; false if it cannot be tracked separately."""
        place = at + self._distance
        if self.full:
            newest = self._entries[-1]
            newest.keys.append(key)
            newest.place, newest.last, newest.passes = min(newest.place, place), max(newest.last, place), False
            return False
        self._entries.append(_Entry([key], place, place))
        self._entries.sort(key=lambda entry: entry.place)  # a belt that crept back may have put it before others
        return True

    def distrust(self, start: float) -> None:
        """Eject everything between camera and ejector, with the belt at `start`: it has no verdicts."""
        last = start + self._distance - (0.0 if self._timed else self._length)
        self._entries.append(_Entry([], start, max(start, last), passes=False))
        self._entries.sort(key=lambda entry: entry.place)

    def decide(self, key: int, passes: bool) -> Fates:
        """Set a part's verdict; returns its fate if it has passed the ejector already."""
        if key in self._unjudged:
            place = self._unjudged.pop(key)
            if not passes and not self._timed:
                self._through = max(self._through, place + self._length)  # the rest of its pulse, if any
            return [(key, Fate.PASSED if passes else Fate.ESCAPED)]
        entry = next((entry for entry in self._entries if key in entry.keys), None)
        if entry is not None and entry.passes is None:
            entry.passes = passes
        return []

    def advance(self, position: float, now: float, covered: bool = False) -> Fates:
        """Move the belt to `position` at `now`, in seconds of the caller's clock; returns the fates of passed parts.

        covered: the output has been on since the last call for another reason, and caught all passed parts.
        """
        before, self._looked_at = self._looked_at, now
        self._position = position
        due = [entry for entry in self._entries if entry.place <= self._position]
        self._entries = self._entries[len(due) :]
        fates = [fate for entry in due for fate in self._pass(entry, now, before, covered)]
        if position >= self._through:
            self._through = NEVER  # a belt that creeps back does not repeat a finished pulse
        self.on = position < self._through or now < self._until
        return fates

    def lose(self) -> Fates:
        """Discard all places, because the encoder has restarted; returns all parts that are not OK, as escaped."""
        keys = [key for entry in self._entries if not entry.passes for key in entry.keys] + [*self._unjudged]
        self._entries, self._unjudged = [], {}
        self._position = self._through = self._until = NEVER
        self.on = False
        return [(key, Fate.ESCAPED) for key in keys]

    def _pass(self, entry: _Entry, now: float, before: float, covered: bool) -> Fates:
        """Process one entry that has reached the ejector."""
        if entry.passes:
            return [(key, Fate.PASSED) for key in entry.keys]
        if entry.passes is None and not self._reject_unproved:
            self._unjudged |= dict.fromkeys(entry.keys, entry.place)
            return []
        in_time = covered or self._pulse(entry, now, before)
        return [(key, Fate.EJECTED if in_time else Fate.ESCAPED) for key in entry.keys]

    def _pulse(self, entry: _Entry, now: float, before: float) -> bool:
        """Start the pulse of an entry; false if it is too late for its part."""
        if self._timed:
            self._through = max(self._through, entry.last)
            self._until = max(self._until, now + self._length)
            return now - before < IN_TIME * self._length  # it passed at an unknown time since the last call
        self._through = max(self._through, entry.last + self._length)
        return self._position < entry.place + IN_TIME * self._length
