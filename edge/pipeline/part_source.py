"""The beginning of the chain: each trigger becomes a part, and the part gets its frames."""

import queue
import threading
from collections.abc import Callable, Mapping
from functools import partial

from bundle import Verdict
from edge.cameras.camera import Camera, Clock, Frame
from edge.config.line import Line
from edge.ejector.rejects import Rejects
from edge.part import Part, View
from edge.pipeline.free_run import Announcer
from edge.pipeline.grabber import Grabber
from edge.pipeline.inference_loop import Judge
from edge.pipeline.reporter import Reporter
from edge.records.writer import Records


class Intake:
    """Makes the parts, of the PLC's triggers or of frames that come by themselves, and hands them to the others.

    `loops` are the bodies of its threads; `inboxes` are theirs in the same order, each closed by None.
    """

    def __init__(
        self,
        cameras: Mapping[str, Camera],
        records: Records,
        line: Line,
        clock: Clock,
        rejects: Rejects,
        judge: Judge,
        reporter: Reporter,
    ) -> None:
        self.triggers = 0
        """Parts since the start."""
        self.overruns = 0
        """Those that came while `open_parts` were open; each got TIMEOUT."""
        self.changing = False
        """Whether another recipe is on its way; until then every part is FAULT."""
        self.stopping = threading.Event()
        """Once set, every part is FAULT, and frames that come by themselves are none any more."""
        self._cameras, self._records, self._line, self._clock = cameras, records, line, clock
        self._rejects, self._judge, self._reporter = rejects, judge, reporter
        numbered = enumerate(cameras.values() if line.trigger == "plc" else ())
        self._grabbers = [Grabber(number, camera, line.grab_timeout_s, self) for number, camera in numbered]
        self._numbering = threading.Lock()  # part numbers are given by whichever thread hears of parts

    @property
    def discarded(self) -> int:
        """Frames of parts that were settled before their frame came."""
        return sum(grabber.discarded for grabber in self._grabbers)

    def loops(self, exhausted: Callable[[], None]) -> dict[str, Callable[[], None]]:
        """Give the threads' bodies by name; `exhausted` is called when a camera has played its last picture."""
        if not self._grabbers:
            return {"grab": partial(self._announcer().run, self.stopping, exhausted)}
        return {
            f"grab {name}": partial(grabber.run, exhausted)
            for name, grabber in zip(self._cameras, self._grabbers, strict=True)
        }

    @property
    def inboxes(self) -> list["queue.SimpleQueue[Part | None]"]:
        """What closes each loop; a loop without triggers ends by `stopping`."""
        return [grabber.parts for grabber in self._grabbers] or [queue.SimpleQueue()]

    def triggered(self, part_id: int, encoder: int, age_s: float | None) -> None:
        """Make a part of a trigger of the PLC, and take its pictures.

        age_s: for how long the part has been there already; None if nobody knows.
        """
        views = tuple(View(name, camera.expose(age_s)) for name, camera in self._cameras.items())
        part = self._begin(part_id, encoder, self._clock() - (age_s or 0.0), views)
        if not self._grabbers:
            found = f"found a trigger of the PLC's, expected none with trigger = {self._line.trigger!r}"
            part.settle_as(Verdict.FAULT, found)
        for grabber in self._grabbers if not part.settled else ():
            grabber.parts.put(part)
        self._reporter.parts.put(part)

    def announced(self, exposure: int, frame: Frame | None, error: Exception | None) -> None:
        """Make a part of a frame that came by itself, or of one that did not come."""
        if self.stopping.is_set():
            return  # from here on nothing is a part any more
        (name,) = self._cameras
        now = self._clock() if frame is None else frame.arrived
        part = self._begin(None, self._rejects.encoder(now) or 0, now, (View(name, exposure),))
        self._reporter.parts.put(part)
        if error is not None:
            part.settle_error(error)
        if frame is not None and not part.settled:
            self.frame_arrived(part, 0, frame)

    def frame_arrived(self, part: Part, camera: int, frame: Frame) -> None:
        """Pass a part on to the engine once all its frames are there."""
        if part.add_frame(camera, frame):
            self._judge.inbox.put(part)

    def frame_missing(self, part: Part, error: Exception) -> None:
        """Settle a part that lacks a frame."""
        part.settle_error(error)

    def _begin(self, part_id: int | None, encoder: int, triggered: float, views: tuple[View, ...]) -> Part:
        """Make the next part, settled already where it cannot be inspected; without an id it gets its number as one."""
        with self._numbering:
            self.triggers += 1
            number, open_parts = self._records.new_number(), self.triggers - self._reporter.tally.reported
        deadline = triggered + self._line.deadline_s
        part = Part(number, number % 2**32 if part_id is None else part_id, encoder, triggered, deadline, views)
        part.bundle_id, part.time = self._judge.inspector.bundle.id, self._records.now()
        part.when_settled = self._reporter.record
        self._rejects.triggered(part)
        if self.stopping.is_set():
            part.settle_as(Verdict.FAULT, "the station is stopping")
        elif self.changing:
            part.settle_as(Verdict.FAULT, "the station is changing over to another recipe")
        elif open_parts > self._line.open_parts:
            self.overruns += 1
            part.settle_as(Verdict.TIMEOUT, f"{self._line.open_parts} parts wait for their verdicts already")
        return part

    def _announcer(self) -> Announcer:
        (camera,) = self._cameras.values()
        camera.announce()
        return Announcer(
            camera,
            self._line.grab_timeout_s,
            self,
            steady=self._line.trigger == "free",
            every_counts=self._line.every_counts,
            belt=self._rejects.encoder,
        )
