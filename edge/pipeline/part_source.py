"""Source of the parts: makes a part of each trigger, or of each frame in free run, and requests its frames."""

import queue
import threading
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from weakref import ref

from bundle import Verdict
from edge.cameras.camera import Camera, Clock, Frame
from edge.config.line import Line
from edge.ejector.rejects import Rejects
from edge.part import Part, View
from edge.pipeline.free_run import FreeRunLoop
from edge.pipeline.grabber import Grabber
from edge.pipeline.inference_loop import InferenceLoop
from edge.pipeline.reporter import Reporter
from edge.records.writer import Records

OVERLAPPING = 64
"""Latest parts whose triggers are compared with that of each part, as messages may be repeated late."""


class PartSource:
    """Numbers the parts and passes them on: to the grabbers, the inference loop and the reporter.

    `loops` are the bodies of its threads; `inboxes` close them, in the same order, by None.
    """

    def __init__(
        self,
        cameras: Mapping[str, Camera],
        records: Records,
        line: Line,
        clock: Clock,
        rejects: Rejects,
        inference: InferenceLoop,
        reporter: Reporter,
    ) -> None:
        self.triggers = 0
        """Number of parts since the start."""
        self.overruns = 0
        """Parts that exceeded `open_parts`; each is TIMEOUT."""
        self.changing = False
        """True between the request of a changeover and its end; parts are FAULT meanwhile."""
        self._failure = ""
        self._unsettled: dict[int, Part] = {}  # by number
        self.pause = ""
        """Operator and reason of the pause; parts are FAULT until it is empty."""
        self.stopping = threading.Event()
        """Once set, triggers are FAULT, and frames in free run are no longer parts."""
        self._cameras, self._records, self._line, self._clock = cameras, records, line, clock
        self._rejects, self._inference, self._reporter = rejects, inference, reporter
        self._settings = {settings.name: settings for settings in line.camera}
        self._grabbers = list(self._made_grabbers()) if line.trigger == "plc" else []
        self._exposing_s = max(settings.due_s[-1] for settings in line.camera)
        self._exposing: deque[tuple[float, ref[Part]]] = deque(maxlen=OVERLAPPING)
        """When each of the latest parts was triggered; the reference keeps no frames in memory."""
        self._numbering = threading.Lock()  # triggers and frames in free run come from different threads

    def loops(self, exhausted: Callable[[], None]) -> dict[str, Callable[[], None]]:
        """Return the bodies of the threads by name; `exhausted` is called after a camera's last picture."""
        if not self._grabbers:
            return {"grab": partial(self._free_run().run, self.stopping, exhausted)}
        return {
            f"grab {name}": partial(grabber.run, exhausted)
            for name, grabber in zip(self._cameras, self._grabbers, strict=True)
        }

    @property
    def inboxes(self) -> list["queue.SimpleQueue[Part | None]"]:
        """Inbox of each loop; the free-run loop has none to read and ends by `stopping`."""
        return [grabber.parts for grabber in self._grabbers] or [queue.SimpleQueue()]

    def triggered(self, part_id: int, encoder: int, age_s: float | None, recipe: int = 0) -> None:
        """Make a part of a trigger from the PLC and expose the cameras.

        age_s: age of the trigger; None if it is unknown.
        recipe: number required by the trigger; 0 accepts the one in use.
        """
        views = tuple(view for name in self._cameras for view in self._exposed(name, age_s))
        part = self._begin(part_id, encoder, self._clock() - (age_s or 0.0), views, recipe)
        self._check_overlap(part)
        if not self._grabbers:
            found = f"found a trigger from the PLC, expected none with trigger = {self._line.trigger!r}"
            part.settle_as(Verdict.FAULT, f"{found}; change line.toml")
        for grabber in self._grabbers if not part.settled else ():
            grabber.parts.put(part)
        self._reporter.parts.put(part)

    def frame_in_free_run(self, exposure: int, frame: Frame | None, error: Exception | None) -> None:
        """Make a part of a frame in free run, or of the error that replaces it."""
        if self.stopping.is_set():
            return
        (name,) = self._cameras
        now = self._clock() if frame is None else frame.arrived
        part = self._begin(None, self._rejects.encoder(now) or 0, now, (View(name, exposure),))
        self._reporter.parts.put(part)
        if error is not None:
            part.settle_error(error, name)
        if frame is not None and not part.settled:
            self.frame_arrived(part, 0, frame)

    def frame_arrived(self, part: Part, view: int, frame: Frame) -> None:
        """Store a frame; pass the part on to the inference loop when its frames are complete."""
        if part.add_frame(view, frame):
            self._inference.inbox.put(part)

    def frame_missing(self, part: Part, view: int, error: Exception) -> None:
        """Settle a part without a frame as FAULT."""
        part.settle_error(error, part.views[view].camera)

    def fail(self, reason: str) -> None:
        """Make the open parts and every further one FAULT, after the failure of a thread."""
        self._failure = reason
        for part in self._unsettled.copy().values():
            part.settle_as(Verdict.FAULT, reason)

    def _settled(self, part: Part) -> None:
        self._unsettled.pop(part.number, None)
        self._reporter.record(part)

    def _begin(
        self, part_id: int | None, encoder: int, triggered: float, views: tuple[View, ...], recipe: int = 0
    ) -> Part:
        """Make the next part, already settled if it cannot be inspected. part_id: None uses the part's number."""
        with self._numbering:
            self.triggers += 1
            number, open_parts = self._records.new_number(), self.triggers - self._reporter.tally.reported
        deadline = triggered + self._line.deadline_s
        part = Part(number, number % 2**32 if part_id is None else part_id, encoder, triggered, deadline, views)
        part.bundle_id, part.time = self._inference.inspector.bundle.id, self._records.now()
        part.recipe, part.wanted_recipe = self._inference.recipe, recipe
        part.when_settled = self._settled
        self._unsettled[number] = part  # before the question about a failure: see `fail`
        self._rejects.triggered(part)
        if self.stopping.is_set():
            part.settle_as(Verdict.FAULT, "the station is stopping")
        elif self._failure:
            part.settle_as(Verdict.FAULT, self._failure)
        elif self.pause:
            part.settle_as(Verdict.FAULT, self.pause)
        elif self.changing:
            part.settle_as(Verdict.FAULT, "the station is changing over to another recipe")
        elif open_parts > self._line.open_parts:
            self.overruns += 1
            part.settle_as(Verdict.TIMEOUT, f"{self._line.open_parts} parts already wait for their verdicts")
        return part

    def _made_grabbers(self) -> Iterator[Grabber]:
        first = 0
        for name, camera in self._cameras.items():
            settings = self._settings[name]
            numbers = range(first, first + settings.exposures)
            first = numbers.stop
            yield Grabber(numbers, camera, self._line.grab_timeout_s + settings.exposure_interval_ms / 1e3, self)

    def _exposed(self, camera: str, age_s: float | None) -> Iterator[View]:
        """Request a camera's exposures of a part."""
        settings = self._settings[camera]
        for name, due_s in zip(settings.views, settings.due_s, strict=True):
            yield View(name, self._cameras[camera].expose(age_s, due_s))

    def _check_overlap(self, part: Part) -> None:
        """Settle two parts as FAULT if one came while exposures of the other were still due, in whatever order.

        Lights are switched for one part at a time, so no frame of theirs is sure to be what it should show.
        """
        for triggered, other in self._exposing if self._exposing_s else ():
            apart_s = abs(part.triggered - triggered)
            for one in (other(), part) if apart_s <= self._exposing_s else ():
                if one is not None:  # a part that is gone has been reported
                    one.settle_as(
                        Verdict.FAULT,
                        f"found triggers {apart_s * 1e3:.0f} ms apart, expected more than the "
                        f"{self._exposing_s * 1e3:.0f} ms that the exposures of a part take; lower "
                        "exposure_interval_ms",
                    )
        self._exposing.append((part.triggered, ref(part)))

    def _free_run(self) -> FreeRunLoop:
        (camera,) = self._cameras.values()
        camera.start_free_run()
        return FreeRunLoop(
            camera,
            self._line.grab_timeout_s,
            self.frame_in_free_run,
            steady=self._line.trigger == "free",
            every_counts=self._line.every_counts,
            belt=self._rejects.encoder,
        )
