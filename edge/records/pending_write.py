"""A transaction on its way to the disk, and what came of it."""

import threading
from dataclasses import dataclass, field
from enum import Enum

from edge.part import OneShotEvent, Outcome, Part
from edge.records.rows import Statement, statements_of


class WriteStatus(Enum):
    """State of a row at the end of the time allowed."""

    WRITTEN = "written"
    LATE = "late"
    """Not yet on disk; it is written as soon as the disk responds."""
    REFUSED = "refused"
    """The disk refuses rows: the part is now FAULT, and its row waits in memory."""
    IN_MEMORY = "in memory"
    """The disk refuses rows: the row waits in memory, and the verdict is kept."""
    LOST = "lost"
    """The memory is full: the part is now FAULT, and has no row."""


@dataclass
class PendingWrite:
    """One transaction on its way to the disk: a part's row, or a later update of one."""

    statements: list[Statement]
    number: int
    """Row of the part or challenge."""
    part: Part | None = None
    """Part of the row until its status is known, then None: its frames are large. None for an update."""
    fault: Outcome | None = None
    """Outcome of that part if the disk refuses the row, or memory is full, while the reporter still waits for it."""
    status: WriteStatus | None = None
    """None until it is known."""
    _known: OneShotEvent = field(default_factory=OneShotEvent)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def conclude(self, status: WriteStatus) -> bool:
        """Fix the status; the first call decides, and gets True.

        A part that is REFUSED or LOST is overruled, and so is its row.
        """
        with self._lock:
            if self.status is not None:
                return False
            self.status, part, self.part = status, self.part, None
            if part is not None and self.fault is not None and status in (WriteStatus.REFUSED, WriteStatus.LOST):
                part.overrule(self.fault)
                self.statements = statements_of(part)
            self._known.set()
            return True

    def wait(self, timeout_s: float) -> WriteStatus | None:
        """Wait for the status; None if it is not known after `timeout_s` seconds."""
        self._known.wait(timeout_s)
        return self.status
