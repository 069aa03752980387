"""The parts between camera and ejector, and the pulses that they ask for: no clock, no thread, no output.

A place is a number that grows as the belt moves: unrolled encoder counts, or seconds where the belt has no encoder. The
ejector acts on whatever lies at the place `distance` behind a part's own.

                 camera             ejector
    ---------------|-------------------|--------> places a part passes
                at |<--- distance ---->|<-length->|
                                       output on
"""

from dataclasses import dataclass
from enum import Enum

NEVER = float("-inf")
IN_TIME = 0.5
"""A pulse of which less than this share is left when it begins is too late for its part."""


class Fate(Enum):
    """What became of a part at the ejector."""

    PASSED = "passed"
    """It was proved good, and was let through."""
    EJECTED = "ejected"
    ESCAPED = "escaped"
    """It was not proved good, and the ejector did not act on it, or too late."""


Fates = list[tuple[int, Fate]]


@dataclass
class _Entry:
    """A part on its way, or several where the track was full."""

    keys: list[int]
    place: float
    """Where the ejector is to act on it."""
    last: float
    """The same of the last part that this entry stands for."""
    passes: bool | None = None
    """None until its verdict is known."""


class Track:
    """Parts on their way to the ejector, in any distances from each other; they are named by a key of the caller's.

    A belt that stands keeps everything as it is; one that creeps back does no harm: what has been done is not done
    again. Parts whose pulses overlap share one.
    """

    def __init__(self, distance: float, length: float, *, timed: bool, reject_unproved: bool, room: int) -> None:
        """`length` is a distance of the belt, or with `timed` the pulse's seconds.

        reject_unproved: whether a part without a verdict at the ejector is thrown out. room: entries that are kept
        apart; the newest one stands for all beyond that, which are thrown out with it.
        """
        self.on = False
        """Whether the output is to be on."""
        self._distance, self._length, self._timed = distance, length, timed
        self._reject_unproved, self._room = reject_unproved, room
        self._entries: list[_Entry] = []  # by place
        self._unjudged: dict[int, float] = {}  # parts that are past without a verdict, with their places
        self._position = self._looked_at = NEVER
        self._through = NEVER
        """Place up to which the output stays on."""
        self._until = NEVER
        """End of a timed pulse, by the caller's clock."""

    @property
    def full(self) -> bool:
        """Whether another part could not be kept apart."""
        return len(self._entries) >= self._room

    @property
    def waiting(self) -> int:
        """Parts that have not reached the ejector."""
        return sum(len(entry.keys) for entry in self._entries)

    def add(self, key: int, at: float) -> bool:
        """Take a part that was triggered at this place; false if there was no room to keep it apart."""
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
        """Throw out whatever lies between camera and ejector now, when the belt is at `start`: nobody knows it."""
        last = start + self._distance - (0.0 if self._timed else self._length)
        self._entries.append(_Entry([], start, max(start, last), passes=False))
        self._entries.sort(key=lambda entry: entry.place)

    def decide(self, key: int, passes: bool) -> Fates:
        """Take a part's verdict; returns its fate if it was past the ejector already without one."""
        if key in self._unjudged:
            place = self._unjudged.pop(key)
            if not passes and not self._timed:
                self._through = max(self._through, place + self._length)  # what is left of its pulse, if anything
            return [(key, Fate.PASSED if passes else Fate.ESCAPED)]
        entry = next((entry for entry in self._entries if key in entry.keys), None)
        if entry is not None and entry.passes is None:
            entry.passes = passes
        return []

    def advance(self, position: float, now: float, covered: bool = False) -> Fates:
        """Move on to where the belt is now, seconds of the caller's clock; returns the fates of who passed.

        covered: the output has been on since the last call for another reason, so that it caught who passed.
        """
        before, self._looked_at = self._looked_at, now
        self._position = position
        due = [entry for entry in self._entries if entry.place <= self._position]
        self._entries = self._entries[len(due) :]
        fates = [fate for entry in due for fate in self._pass(entry, now, before, covered)]
        if position >= self._through:
            self._through = NEVER  # at the end of a pulse, a belt that creeps back does not begin it again
        self.on = position < self._through or now < self._until
        return fates

    def lose(self) -> Fates:
        """Forget where everything is, because the encoder has started anew.

        Returns the parts on their way that were not proved good, as escaped: nobody knows where they are.
        """
        keys = [key for entry in self._entries if not entry.passes for key in entry.keys] + [*self._unjudged]
        self._entries, self._unjudged = [], {}
        self._position = self._through = self._until = NEVER
        self.on = False
        return [(key, Fate.ESCAPED) for key in keys]

    def _pass(self, entry: _Entry, now: float, before: float, covered: bool) -> Fates:
        """Let one entry reach the ejector."""
        if entry.passes:
            return [(key, Fate.PASSED) for key in entry.keys]
        if entry.passes is None and not self._reject_unproved:
            self._unjudged |= dict.fromkeys(entry.keys, entry.place)
            return []
        in_time = covered or self._pulse(entry, now, before)
        return [(key, Fate.EJECTED if in_time else Fate.ESCAPED) for key in entry.keys]

    def _pulse(self, entry: _Entry, now: float, before: float) -> bool:
        """Ask for the pulse of an entry; false if what it was to hit may be gone."""
        if self._timed:
            self._through = max(self._through, entry.last)
            self._until = max(self._until, now + self._length)
            return now - before < IN_TIME * self._length  # it came past since we last looked, nobody knows when
        self._through = max(self._through, entry.last + self._length)
        return self._position < entry.place + IN_TIME * self._length
