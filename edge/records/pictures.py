"""Picture store: writes pictures of parts to disk in a thread of its own, without delaying verdicts."""

import json
import logging
import queue
import threading
from collections.abc import Callable
from contextlib import suppress
from datetime import datetime
from pathlib import Path
from time import monotonic
from urllib.parse import quote

from bundle import Manifest, Verdict, encode_png
from edge.alarms import Alarms, Area
from edge.cameras.camera import Clock
from edge.config.schema import PictureSettings
from edge.part import Part
from edge.records.overlay import blobs_of, overlay_jpeg
from edge.records.retention import BLOBS, DRAFT, DRAWN, OVERLAYS, Retention, free_bytes
from edge.records.writer import Records
from edge.wall_clock import SteadyClock

log = logging.getLogger(__name__)

RETRY_S = 5.0
"""Pause after a failed write before the next attempt."""
SAY_S = 60.0
"""Shortest interval of warnings about skipped pictures."""
CLOSE_S = 5.0
"""Longest wait for queued pictures when the station stops."""
REMOVED_AT_ONCE = 100
"""Pictures whose removal is one transaction of the records, a few milliseconds."""
GIB = 2**30
ALARM = "pictures"
"""Name of the alarm for a disk that refuses pictures."""

Order = tuple[Part, str, Manifest]
"""Part, rank of its pictures, manifest of the bundle in use."""


class PictureStore:
    """Stores each part's pictures by the settings; `offer` is called by the reporter.

    A view's picture is `<folder>/<UTC day>/<rank>/<time>-<row>-<camera>.png`, the frame as received. Of a view
    with defects, `<folder>/overlays/` has the inspected crop with outlines as JPEG, under that name and `.jpg`, and the
    outlines alone, under that name and `.json`.
    """

    def __init__(
        self,
        settings: PictureSettings,
        records: Records,
        manifest: Callable[[], Manifest],
        alarms: Alarms | None = None,
        *,
        utc: Callable[[], datetime] | None = None,
        clock: Clock = monotonic,
        free: Callable[[Path], int] = free_bytes,
    ) -> None:
        """Scan the folder and start the thread; `manifest`: of the bundle in use. A full disk raises an alarm."""
        self.kept = 0
        """Parts with pictures on disk."""
        self.skipped = 0
        """Parts whose pictures were skipped because the queue was full."""
        self.lost = 0
        """Parts whose pictures could not be written."""
        self.refusal = ""
        """Error of the disk that refuses pictures; empty while it accepts them."""
        self._settings, self._records, self._manifest = settings, records, manifest
        self._alarms = alarms or Alarms()
        self._utc, self._clock = utc or SteadyClock(), clock
        self._good = self._given_up = 0
        self._said, self._say_at, self._retry_at = 0, clock(), clock()
        limits = settings.keep_days, settings.keep_gib * GIB, settings.leave_free_gib * GIB
        self._removed: list[str] = []
        self._retention = Retention(settings.folder, *limits, free, clock, self._note_removed)
        self.closing = threading.Event()
        """Set when the rest of the queue is given up."""
        self._orders: queue.SimpleQueue[Order | None] = queue.SimpleQueue()
        # A daemon, because a hanging disk must not block the end of the station.
        self._thread = threading.Thread(target=self._run, name="pictures", daemon=True)
        self._thread.start()

    def offer(self, part: Part) -> None:
        """Queue the pictures of a settled part; returns at once."""
        rank = self._rank(part)
        if rank is None or all(view.frame is None for view in part.views):
            return
        if self._orders.qsize() < self._settings.queue:
            self._orders.put((part, rank, self._manifest()))
            return
        self.skipped += 1
        if self._clock() >= self._say_at:
            self._say_at = self._clock() + SAY_S
            self._say_skipped()

    def close(self, within_s: float = CLOSE_S) -> None:
        """Write the queued pictures; past this time only the one at hand, waiting at most `CLOSE_S` for the disk."""
        self._orders.put(None)
        self._thread.join(within_s)
        self.closing.set()
        self._thread.join(CLOSE_S)
        if self._thread.is_alive():
            log.error("pictures %s: the disk hangs, %d parts wait for it", self._settings.folder, self._orders.qsize())
        elif self._given_up:
            log.warning(
                "pictures %s: those of %d parts were not kept, because the station stopped before",
                self._settings.folder, self._given_up,
            )  # fmt: skip
        self._say_skipped()

    def _rank(self, part: Part) -> str | None:
        """Return the folder of the part's pictures; None if the settings skip them."""
        if part.outcome is None:
            raise ValueError(f"part {part.number} has no verdict yet")
        if part.outcome.verdict is Verdict.OK:
            self._good += 1
            share = self._settings.one_in_good
            return "good" if share and self._good % share == 0 else None
        if part.outcome.verdict is Verdict.UNSURE:
            return "unsure" if self._settings.unsure else None
        return "reject" if self._settings.rejects else None

    def _say_skipped(self) -> None:
        count, self._said = self.skipped - self._said, self.skipped
        if count:
            log.warning(
                "pictures %s: those of %d parts were not kept, because %d parts waited for the disk already; "
                "use a faster disk or keep fewer",
                self._settings.folder, count, self._settings.queue,
            )  # fmt: skip

    def _run(self) -> None:
        for part, rank, manifest in iter(self._orders.get, None):
            if self.closing.is_set():
                self._given_up += 1
                continue
            try:
                if self.refusal and self._clock() < self._retry_at:
                    self.lost += 1
                    continue
                self._keep(part, rank, manifest)
            except OSError as error:
                self._refused(error)
            except Exception as error:  # the outermost loop: the next parts' pictures are still written
                self.lost += 1
                log.exception("pictures of part %d (row %d) could not be made", part.part_id, part.number)
                found = f"{self._settings.folder}: {type(error).__name__}: {error}"
                self._alarms.raise_(ALARM, f"{found}; parts go on: send in the log", Area.OTHER, part.part_id)
            else:
                self._taken()

    def _keep(self, part: Part, rank: str, manifest: Manifest) -> None:
        now = self._utc()
        self._settings.folder.mkdir(parents=True, exist_ok=True)
        try:
            self._retention.make_room(now.date())
        finally:
            self._flush_removed()
        for view in part.views:
            if view.frame is None:
                continue
            name = f"{now:%Y-%m-%d}/{rank}/{now:%H%M%S}-{part.number}-{quote(view.camera, safe=' ')}.png"
            self._store(name, encode_png(view.frame.pixels, quick=True))
            self._records.note_picture(part.number, view.camera, name)
            drawn = overlay_jpeg(view, manifest) if part.bundle_id == manifest.id else None
            if drawn is not None:
                self._store(f"{OVERLAYS}/{name}{DRAWN}", drawn)
                self._store(f"{OVERLAYS}/{name}{BLOBS}", json.dumps(blobs_of(view, manifest)).encode())

    def _note_removed(self, name: str) -> None:
        self._removed.append(name)
        if len(self._removed) >= REMOVED_AT_ONCE:
            self._flush_removed()

    def _flush_removed(self) -> None:
        """Take the removed pictures off the records; waits for the disk, so that rows of parts come in between."""
        names, self._removed = self._removed, []
        if names:
            self._records.note_removed(names, CLOSE_S)

    def _store(self, name: str, content: bytes) -> None:
        path = self._settings.folder / name
        draft = path.with_name(path.name + DRAFT)
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            draft.write_bytes(content)
            draft.replace(path)
        except OSError:
            with suppress(OSError):
                draft.unlink(missing_ok=True)
            raise
        self._retention.add(name, len(content))

    def _taken(self) -> None:
        self.kept += 1
        if self.refusal:
            log.warning(
                "pictures %s: the disk takes them again, %d parts have none so far", self._settings.folder, self.lost
            )
            self.refusal = ""
        self._alarms.clear(ALARM)

    def _refused(self, error: OSError) -> None:
        self.lost += 1
        self._retry_at = self._clock() + RETRY_S
        self.refusal = error.strerror or str(error)
        found = (
            f"{self._settings.folder}: {self.refusal}; none are kept, parts go on: free some space, check permissions"
        )
        self._alarms.raise_(ALARM, found, Area.DISK)
