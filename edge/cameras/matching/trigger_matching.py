"""Matching of frames to exposures, one rule for each trigger mode; without threads or clock.

A frame is matched to one exposure or to none. An ambiguous match gives the exposure a problem and no frame.
"""

from abc import ABC, abstractmethod
from collections import deque
from dataclasses import dataclass

from bundle import Image
from edge.cameras.device import DeviceOptions

MISSES = 3
"""Hardware trigger: the device is restarted after this number of consecutive exposures without a frame."""


@dataclass(frozen=True, eq=False)
class ArrivedFrame:
    """An arrived frame, or the reason for a missing one."""

    pixels: Image | None
    began: float = 0.0
    """Start of exposure in seconds of the camera's clock; see `DeviceClock`."""
    arrived: float = 0.0
    problem: str = ""
    number: int | None = None
    """Frame counter of the device; None if it has none."""


@dataclass(frozen=True)
class PendingExposure:
    """An exposure without a frame yet."""

    exposure: int
    at: float
    """Time at which it is due: the arrival of its part, or later for a further exposure of it."""
    age_s: float | None = 0.0
    """Time from the part's arrival to the request; None if unknown."""
    first: bool = True
    """Whether it is the first one of its part."""


Answer = tuple[int, ArrivedFrame]


class TriggerMatching(ABC):
    """Takes exposures and frames in order of time, returns results in order of the exposures."""

    def __init__(self, timeout_s: float) -> None:
        self.fault = ""
        """Reason to restart the device, because frames can no longer be matched; empty if there is none."""
        self.unclaimed = 0
        """Frames without an exposure."""
        self._timeout_s = timeout_s
        self._claims: deque[PendingExposure] = deque()
        self._pictures: deque[ArrivedFrame] = deque()

    def expose(self, exposure: int, at: float, age_s: float | None = 0.0, after_s: float = 0.0) -> None:
        """Add an exposure requested at time `at`, of a part that arrived `age_s` seconds before.

        It is due `after_s` seconds after the part's arrival, not before the one that was added before it.
        """
        self._claims.append(PendingExposure(exposure, at - (age_s or 0.0) + after_s, age_s, first=not after_s))

    def add(self, picture: ArrivedFrame) -> None:
        """Add a frame."""
        self._pictures.append(picture)

    @property
    def idle(self) -> bool:
        """Whether no frame is expected before the next exposure."""
        return False

    def due_at(self) -> float | None:
        """Time at which a software trigger must be sent; None if none is wanted before something else happens."""
        return None

    def sent(self, at: float) -> None:
        """Record the time at which the trigger was sent."""
        raise NotImplementedError(f"{type(self).__name__} sends no triggers")

    @abstractmethod
    def settle(self, now: float) -> list[Answer]:
        """Return the results of the exposures that are decided."""

    def abandon(self) -> list[int]:
        """Drop all frames before a restart of the device; returns the exposures without one."""
        exposures = [claim.exposure for claim in self._claims]
        self._claims.clear()
        self._pictures.clear()
        self.fault = ""
        return exposures

    def _next_due(self) -> float:
        """Time at which the next exposure after the first pending one is due: what comes later is of that one."""
        first = self._claims[0].at
        return min((claim.at for claim in self._claims if claim.at > first), default=float("inf"))

    def _missed(self, claim: PendingExposure, now: float) -> bool:
        return now - claim.at >= self._timeout_s

    def _missing(self) -> ArrivedFrame:
        return ArrivedFrame(None, problem=f"found no frame within {self._timeout_s * 1e3:.0f} ms, expected one")


class FreeRunMatching(TriggerMatching):
    """Free run: the first frame whose exposure began after the request, and before the next one; each is used once.

    A part that arrived more than `late_s` before the request gets no frame.
    """

    def __init__(self, timeout_s: float, late_s: float) -> None:
        super().__init__(timeout_s)
        self._late_s = late_s
        self._latest = float("-inf")
        """When the latest exposure was due that has a frame."""

    def settle(self, now: float) -> list[Answer]:
        """Return the results of the exposures that are decided."""
        answers = []
        while self._claims:
            claim = self._claims[0]
            while self._pictures and self._pictures[0].began < claim.at:
                self._pictures.popleft()
            if claim.age_s and (claim.age_s > self._late_s or claim.at < self._latest):
                answers.append((claim.exposure, self._too_late(claim.age_s)))
            elif self._pictures and self._pictures[0].began >= self._next_due():
                answers.append((claim.exposure, self._of_the_next(self._pictures[0].began - claim.at)))
            elif self._pictures:
                answers.append((claim.exposure, self._pictures.popleft()))
                self._latest = max(self._latest, claim.at)
            elif self._missed(claim, now):
                answers.append((claim.exposure, self._missing()))
            else:
                return answers
            self._claims.popleft()
        self._pictures.clear()
        return answers

    def _of_the_next(self, late_s: float) -> ArrivedFrame:
        late = f"found its first frame {late_s * 1e3:.0f} ms after it was due, when the next exposure was due already"
        return ArrivedFrame(None, problem=f"{late}; expected one before; check the frame rate and the cable")

    def _too_late(self, age_s: float) -> ArrivedFrame:
        late = (
            f"found its message {age_s * 1e3:.0f} ms late, expected at most {self._late_s * 1e3:.0f} ms and before "
            "that of the next part"
        )
        return ArrivedFrame(None, problem=f"{late}; check the wire to the PLC and window_ms")


class HardwareTriggerMatching(TriggerMatching):
    """Hardware trigger: the only frame that began within `window_s` of the trigger message.

    The match is final when the window has passed, so that no later message can match the same frame. A frame without
    a message means that its message is late; delayed by exactly the time between two parts, the message would match
    the next part's frame. Messages are therefore rejected for some time after such a frame, and after a reconnect,
    when frames were missed: for `late_s` if messages have no age, because the link repeats damaged ones; otherwise for
    `timeout_s`, because messages may be delayed within this computer.
    """

    def __init__(self, timeout_s: float, window_s: float, late_s: float) -> None:
        super().__init__(timeout_s)
        self._window_s, self._late_s = window_s, late_s
        self._doubtful_from = float("-inf")
        self._reopened = False
        self._last_at = float("-inf")
        self._stray: ArrivedFrame | None = None
        self._misses = 0

    def settle(self, now: float) -> list[Answer]:
        """Return the results of the exposures that are decided."""
        if self._reopened:
            self._reopened, self._doubtful_from = False, now
        answers = []
        self._drop_strays(now)
        while self._claims and (answer := self._answer(self._claims[0], now)):
            claim = self._claims.popleft()
            self._last_at = claim.at
            answers.append((claim.exposure, answer))
        self._drop_strays(now)
        return answers

    def abandon(self) -> list[int]:
        """Drop all frames before a restart of the device; returns the exposures without one."""
        self._misses, self._reopened = 0, True
        return super().abandon()

    def _answer(self, claim: PendingExposure, now: float) -> ArrivedFrame | None:
        mine = [picture for picture in self._pictures if self._within(picture, claim.at)]
        if not mine:
            return self._miss(claim) if self._missed(claim, now) else None
        if any(now <= picture.began + self._window_s for picture in mine):
            return None
        self._misses = 0
        neighbours = [self._last_at, *(other.at for other in self._claims if other is not claim)]
        shared = any(self._within(picture, at) for picture in mine for at in neighbours)
        if shared or len(mine) > 1:
            return ArrivedFrame(None, problem=self._doubt(len(mine)))
        self._pictures.remove(mine[0])
        late_s = self._late_s if claim.age_s is None else self._timeout_s
        if claim.at - self._doubtful_from < late_s:
            return ArrivedFrame(None, problem=self._perhaps_late(claim, late_s))
        return mine[0]

    def _within(self, picture: ArrivedFrame, at: float) -> bool:
        return abs(picture.began - at) <= self._window_s

    def _doubt(self, frames: int) -> str:
        return (
            f"found {frames} frame(s) that may belong to it or to its neighbour within {self._window_s * 1e3:.0f} ms, "
            "expected one of its own; set window_ms to less than half of the shortest time between two parts"
        )

    def _perhaps_late(self, claim: PendingExposure, late_s: float) -> str:
        before_ms, late_ms = (claim.at - self._doubtful_from) * 1e3, late_s * 1e3
        return (
            f"found a frame without a message {before_ms:.0f} ms before its message, which may be that one's, come "
            f"late; expected a message for each frame for {late_ms:.0f} ms; check the wire to the PLC"
        )

    def _miss(self, claim: PendingExposure) -> ArrivedFrame:
        in_time = (claim.age_s or 0.0) <= self._window_s  # a late message does not count against the camera
        self._misses += in_time and claim.first  # nor does a part as often as it has exposures
        if self._misses >= MISSES:
            self.fault = f"found no frame for {MISSES} triggers in a row, expected one for each"
        apart = "none at all" if self._stray is None else f"the last one {(self._stray.began - claim.at) * 1e3:+.0f} ms"
        return ArrivedFrame(
            None,
            problem=f"found no frame within {self._window_s * 1e3:.0f} ms of the trigger's message ({apart} from it), "
            "expected one; check the sensor's wire, latency_ms and window_ms",
        )

    def _drop_strays(self, now: float) -> None:
        """Drop frames that no exposure can match any more."""
        while self._pictures:
            picture = self._pictures[0]
            wanted = any(self._within(picture, claim.at) for claim in self._claims)
            if wanted or now <= picture.began + self._window_s:
                return
            self._stray = self._pictures.popleft()
            self._doubtful_from = self._stray.began
            self.unclaimed += 1


class SoftwareTriggerMatching(TriggerMatching):
    """Software trigger: the frame that follows the trigger; the next trigger is sent after it has arrived.

    After a trigger without a frame, or a frame without a trigger, the next frame cannot be told from a late one, so
    the device is restarted.
    """

    def __init__(self, timeout_s: float, late_s: float) -> None:
        super().__init__(timeout_s)
        self._late_s = late_s
        self._sent: float | None = None

    @property
    def idle(self) -> bool:
        """Whether no frame is expected before the next exposure."""
        return not self._claims

    def due_at(self) -> float | None:
        """Time at which a software trigger must be sent; None if none is wanted before something else happens."""
        if not self._claims or self._sent is not None or (self._claims[0].age_s or 0.0) > self._late_s:
            return None
        return self._claims[0].at

    def sent(self, at: float) -> None:
        """Record the time at which the trigger was sent."""
        self._sent = at

    def add(self, picture: ArrivedFrame) -> None:
        """Add a frame."""
        if self._sent is None or self._pictures:
            self.unclaimed += 1
            self.fault = "found a frame without a trigger, expected none; check that nothing else triggers the camera"
        else:
            super().add(picture)

    def settle(self, now: float) -> list[Answer]:
        """Return the results of the exposures that are decided, including those that waited too long for a trigger."""
        answers = self._settle_sent(now)
        while self._sent is None and self._claims and self._is_late(now):
            late = (
                f"could not be triggered within {self._late_s * 1e3:.0f} ms and before the next one was due: its "
                "message came late, or the exposure before was not finished"
            )
            answers.append((self._claims.popleft().exposure, ArrivedFrame(None, problem=late)))
        return answers

    def abandon(self) -> list[int]:
        """Drop all frames before a restart of the device; returns the exposures without one."""
        self._sent = None
        return super().abandon()

    def _is_late(self, now: float) -> bool:
        return now - self._claims[0].at > self._late_s or now >= self._next_due()

    def _settle_sent(self, now: float) -> list[Answer]:
        if self._sent is None:
            return []
        if self._pictures:
            picture = self._pictures.popleft()
        elif now - self._sent >= self._timeout_s:
            picture = self._missing()
            self.fault = f"found no frame within {self._timeout_s * 1e3:.0f} ms of a trigger, expected one"
        else:
            return []
        self._sent = None
        return [(self._claims.popleft().exposure, picture)]


def choose_matching(options: DeviceOptions) -> TriggerMatching:
    """Choose the matching rule of a trigger mode."""
    timeout_s, window_s, late_s = options.frame_timeout_ms / 1e3, options.window_ms / 1e3, options.late_ms / 1e3
    if options.trigger == "software":
        return SoftwareTriggerMatching(timeout_s, window_s)
    if options.trigger == "hardware":
        return HardwareTriggerMatching(timeout_s, window_s, late_s)
    return FreeRunMatching(timeout_s, window_s)
