"""A part: one trigger with its frames, which gets exactly one verdict."""

import logging
import threading
from collections.abc import Callable
from dataclasses import dataclass, field

from bundle import Defect, FrameError, Image, Verdict
from edge.cameras.camera import Frame
from edge.errors import StationError

log = logging.getLogger(__name__)


class OneShotEvent:
    """Event that is set once and never cleared: a lock that is held until then.

    `threading.Event` is written in Python; measured right after an inference, when the processor's caches are cold,
    it added 20 us to each of a part's two hand-overs between threads.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._lock.acquire()

    def set(self) -> None:
        """Wake all waiting threads; call it once."""
        self._lock.release()

    def wait(self, timeout_s: float) -> bool:
        """Wait until the event is set; false after `timeout_s` seconds."""
        if not self._lock.acquire(timeout=max(0.0, timeout_s)):
            return False
        self._lock.release()
        return True


PAUSED_BY = "paused by "
"""First words of the cause of a FAULT during an operator's pause, before the operator's name."""


def is_pause(fault: str) -> bool:
    """True for the cause of a FAULT that an operator asked for by a pause."""
    return fault.startswith(PAUSED_BY)


@dataclass(frozen=True)
class Outcome:
    """Verdict on a part with its reasons."""

    verdict: Verdict
    defects: tuple[Defect, ...] = ()
    """Highest score first; empty if the verdict is OK, TIMEOUT or FAULT."""
    fault: str = ""
    """Cause of TIMEOUT or FAULT."""

    @property
    def paused(self) -> bool:
        """FAULT because an operator has paused the station."""
        return is_pause(self.fault)


@dataclass
class View:
    """One frame of a part, with its masks and defects."""

    camera: str
    """Name of the camera; with several exposures of a part, of the view: see `CameraSettings.views`."""
    exposure: int
    frame: Frame | None = None
    masks: Image | None = None
    """Masks from the network, uint8 [C, h, w]; None before the inspection."""
    defects: tuple[Defect, ...] = ()
    mm2_per_px: float | None = None
    """Area on the part of one pixel of the network's input, in mm2; None if the camera's scale is unknown."""


@dataclass
class Part:
    """One trigger and its verdict. Times are seconds on the station's clock."""

    number: int
    """Row in the records; never reused."""
    part_id: int
    """Part id of the trigger, u32."""
    encoder: int
    """Encoder count of the trigger, u32."""
    triggered: float
    deadline: float
    views: tuple[View, ...] = ()
    """One per camera and exposure."""
    time: str = ""
    """UTC time of the trigger, ISO 8601; empty until the records set it."""
    stamps: dict[str, float] = field(default_factory=dict)
    """End of each stage: frame, prepared, inferred, decided, recorded, sent, acknowledged."""
    outcome: Outcome | None = None
    """Set by `settle` and `overrule` only."""
    told: Verdict | None = None
    """Verdict sent to the PLC; differs from the outcome's in shadow mode only, where it is OK for every part."""
    bundle_id: str = ""
    """Id of the bundle in use at the trigger, or of the one that inspected the part."""
    recipe: int = 0
    """Recipe number of that bundle; 0 if it has none."""
    wanted_recipe: int = 0
    """Recipe number required by the trigger; 0 accepts the one in use."""
    when_settled: Callable[["Part"], None] = field(default=lambda part: None, repr=False)
    """Called by the thread that settles the part, before waiting threads wake up."""
    _settled: OneShotEvent = field(default_factory=OneShotEvent, repr=False)
    _lock: threading.Lock = field(default_factory=threading.Lock, repr=False)

    def settle(self, outcome: Outcome) -> bool:
        """Set the verdict; false if the part already has one, which is kept."""
        with self._lock:
            if self.outcome is not None:
                return False
            self.outcome = outcome
            self.when_settled(self)
        self._settled.set()
        return True

    def settle_as(self, verdict: Verdict, fault: str) -> None:
        """Settle as TIMEOUT or FAULT and log the cause; no effect if the part already has a verdict."""
        if self.settle(Outcome(verdict, fault=fault)):
            shown = self.part_id, self.number, verdict.name, fault
            log.warning("part %d (row %d): %s: %s", *shown, extra={"kind": verdict.name})

    def settle_late(self) -> None:
        """Settle as TIMEOUT: the deadline has passed."""
        allowed_ms = (self.deadline - self.triggered) * 1e3
        self.settle_as(Verdict.TIMEOUT, f"no verdict within {allowed_ms:.0f} ms of the trigger")

    def settle_error(self, error: Exception, camera: str = "") -> None:
        """Settle as FAULT: the inspection failed with this error; an unexpected one is logged with its traceback.

        camera: name of the camera whose error it is; it stands before the camera's address in the text.
        """
        if isinstance(error, (StationError, FrameError)):
            named = f"camera {camera}, " if camera else ""
            self.settle_as(Verdict.FAULT, named + (str(error).removeprefix("camera ") if named else str(error)))
        else:
            log.error("part %d: the inspection failed", self.part_id, exc_info=error)
            self.settle_as(Verdict.FAULT, f"{type(error).__name__}: {error}")

    def overrule(self, outcome: Outcome) -> None:
        """Replace the verdict of a settled part, before it is sent; raises ValueError if the part has none yet.

        Takes no lock: `settle` never changes an outcome that exists, and the records overrule a part at most once.
        """
        if self.outcome is None:
            raise ValueError(f"part {self.number} has no verdict yet, so there is nothing to overrule")
        self.outcome = outcome

    def wait(self, timeout_s: float) -> bool:
        """Wait for the verdict; false after `timeout_s` seconds without one."""
        return self._settled.wait(timeout_s)

    @property
    def settled(self) -> bool:
        """True once the part has a verdict."""
        return self.outcome is not None

    def add_frame(self, number: int, frame: Frame) -> bool:
        """Store the frame of view number `number`; true if every view now has a frame."""
        with self._lock:
            self.views[number].frame = frame
            self.stamps["frame"] = max(frame.arrived, self.stamps.get("frame", frame.arrived))
            return all(view.frame is not None for view in self.views)

    def since_trigger_us(self, stage: str) -> int | None:
        """Microseconds from the trigger to the end of a stage; None if the part did not reach it."""
        at = self.stamps.get(stage)
        return None if at is None else round((at - self.triggered) * 1e6)
