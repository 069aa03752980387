"""One part on its way from trigger to verdict."""

import threading
from collections.abc import Callable
from dataclasses import dataclass, field

from bundle import Defect, Image, Verdict
from edge.cameras.camera import Frame
from edge.moment import Moment


@dataclass(frozen=True)
class Outcome:
    """What was found out about a part."""

    verdict: Verdict
    defects: tuple[Defect, ...] = ()
    """The strongest first; none where the verdict is OK, TIMEOUT or FAULT."""
    fault: str = ""
    """Why the verdict is TIMEOUT or FAULT."""


@dataclass
class View:
    """What one camera sees of one part."""

    camera: str
    """Name of the camera."""
    exposure: int
    frame: Frame | None = None
    masks: Image | None = None
    """The network's masks, uint8 [C, h, w], once it has been inspected."""
    defects: tuple[Defect, ...] = ()
    mm2_per_px: float | None = None
    """Square millimetres on the part for one pixel of the network's input, where the camera's scale is known."""


@dataclass
class Part:
    """One trigger, which gets exactly one verdict.

    Times are seconds on the station's clock.
    """

    number: int
    """Row in the records; never reused."""
    part_id: int
    """The trigger's own id, u32."""
    encoder: int
    """The belt's position at the trigger, u32."""
    triggered: float
    deadline: float
    views: tuple[View, ...] = ()
    """One per camera."""
    time: str = ""
    """Of the trigger, UTC, ISO 8601; empty where nobody noted it, then its row has the time of its own making."""
    stamps: dict[str, float] = field(default_factory=dict)
    """When each stage was done: frame, prepared, inferred, decided, recorded, sent, acknowledged."""
    outcome: Outcome | None = None
    told: Verdict | None = None
    """What the PLC is told: the verdict, or OK for every part in shadow mode."""
    bundle_id: str = ""
    """Of the bundle that judged the part, or would have."""
    when_settled: Callable[["Part"], None] = field(default=lambda part: None, repr=False)
    """Called by whoever settles the part, before anybody who waits for that wakes up."""
    _settled: Moment = field(default_factory=Moment, repr=False)
    _lock: threading.Lock = field(default_factory=threading.Lock, repr=False)

    def settle(self, outcome: Outcome) -> bool:
        """Give the part its verdict; false if it already has one, which then stands."""
        with self._lock:
            if self.outcome is not None:
                return False
            self.outcome = outcome
            self.when_settled(self)
        self._settled.come()
        return True

    def wait(self, timeout_s: float) -> bool:
        """Wait for the verdict; false if there is none after `timeout_s`."""
        return self._settled.wait(timeout_s)

    @property
    def settled(self) -> bool:
        """Whether the part has its verdict."""
        return self.outcome is not None

    def add_frame(self, camera: int, frame: Frame) -> bool:
        """Take the frame of camera number `camera`; true if it was the last one missing."""
        with self._lock:
            self.views[camera].frame = frame
            self.stamps["frame"] = max(frame.arrived, self.stamps.get("frame", frame.arrived))
            return all(view.frame is not None for view in self.views)

    def since_trigger_us(self, stage: str) -> int | None:
        """Microseconds from the trigger to the end of a stage; None if it was not reached."""
        at = self.stamps.get(stage)
        return None if at is None else round((at - self.triggered) * 1e6)
