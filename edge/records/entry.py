"""One transaction on its way to the disk, with what becomes of it in time."""

import threading
from dataclasses import dataclass, field
from enum import Enum

from edge.moment import Moment
from edge.part import Outcome, Part
from edge.records.rows import Statement, statements_of


class Kept(Enum):
    """What became of a row within the time allowed."""

    WRITTEN = "written"
    LATE = "late"
    """Not yet on disk; it will be written as soon as the disk answers."""
    REFUSED = "refused"
    """The disk refuses rows; the part's verdict is now FAULT, and its row waits in memory."""
    IN_MEMORY = "in memory"
    """The disk refuses rows; the row waits in memory, and the verdict stands."""
    LOST = "lost"
    """Memory is full of rows that wait; the part's verdict is now FAULT, and it has no row."""


@dataclass
class Entry:
    """Statements that belong together: a part's row, or a later note on one."""

    statements: list[Statement]
    part: Part | None = None
    """Whose row it is, until it is known what becomes of it: its frames are large; None for a note."""
    fault: Outcome | None = None
    """What becomes of that part if the disk refuses the row while somebody still waits for it."""
    _kept: Kept | None = None
    _known: Moment = field(default_factory=Moment)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def conclude(self, kept: Kept) -> Kept:
        """Fix what became of the row; the first to say so is right."""
        with self._lock:
            if self._kept is None:
                self._kept, part, self.part = kept, self.part, None
                if part is not None and kept in (Kept.REFUSED, Kept.LOST):
                    part.outcome = self.fault
                    self.statements = statements_of(part)
                self._known.come()
            return self._kept

    def wait(self, timeout_s: float) -> Kept:
        """Wait until it is known what becomes of the row; after `timeout_s` it is late."""
        self._known.wait(timeout_s)
        return self.conclude(Kept.LATE)
