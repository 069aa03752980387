"""Which frame is the picture of which exposure: one rule for each way of triggering, no threads, no clock of its own.

A frame is given to one exposure or to none. Where the rule leaves a doubt, the exposure gets a problem instead.
"""

from abc import ABC, abstractmethod
from collections import deque
from dataclasses import dataclass

from bundle import Image
from edge.cameras.device import DeviceOptions

MISSES = 3
"""A camera on a sensor's wire that leaves so many exposures in a row without a frame is restarted."""


@dataclass(frozen=True, eq=False)
class ArrivedFrame:
    """A frame that has arrived, or the reason why there is none."""

    pixels: Image | None
    began: float = 0.0
    """When its exposure began, in seconds of the camera's clock; see `DeviceClock`."""
    arrived: float = 0.0
    problem: str = ""
    number: int | None = None
    """The device's own count of it, if it has one."""


@dataclass(frozen=True)
class PendingExposure:
    """An exposure that waits for its frame."""

    exposure: int
    at: float
    """When its part came, as far as that is known."""
    age_s: float | None = 0.0
    """For how long it was there when the exposure was asked for; None if nobody knows."""


Answer = tuple[int, ArrivedFrame]


class TriggerMatching(ABC):
    """Takes exposures and frames in the order of their times, answers the exposures in their order."""

    def __init__(self, timeout_s: float) -> None:
        self.fault = ""
        """Why the device has to be restarted: from now on frames can no longer be told apart."""
        self.unclaimed = 0
        """Frames that nobody asked for."""
        self._timeout_s = timeout_s
        self._claims: deque[PendingExposure] = deque()
        self._pictures: deque[ArrivedFrame] = deque()

    def expose(self, exposure: int, at: float, age_s: float | None = 0.0) -> None:
        """Note an exposure that is asked for now, `at`, of a part that has been there for `age_s`."""
        self._claims.append(PendingExposure(exposure, at - (age_s or 0.0), age_s))

    def add(self, picture: ArrivedFrame) -> None:
        """Note a frame."""
        self._pictures.append(picture)

    @property
    def idle(self) -> bool:
        """Whether no frame can come before the next exposure."""
        return False

    def due(self) -> bool:
        """Whether a trigger is to be sent now."""
        return False

    def sent(self, at: float) -> None:
        """Note that the trigger has been sent."""
        raise NotImplementedError(f"{type(self).__name__} sends no triggers")

    @abstractmethod
    def settle(self, now: float) -> list[Answer]:
        """Answer the exposures that are decided."""

    def abandon(self) -> list[int]:
        """Forget all frames, return the exposures that got none; the device is about to be restarted."""
        exposures = [claim.exposure for claim in self._claims]
        self._claims.clear()
        self._pictures.clear()
        self.fault = ""
        return exposures

    def _missed(self, claim: PendingExposure, now: float) -> bool:
        return now - claim.at >= self._timeout_s

    def _missing(self) -> ArrivedFrame:
        return ArrivedFrame(None, problem=f"found no frame within {self._timeout_s * 1e3:.0f} ms, expected one")


class FreeRunMatching(TriggerMatching):
    """The first frame whose exposure began after the exposure was asked for; no frame serves twice.

    A part that had been there for longer than `late_s` has moved on and gets none.
    """

    def __init__(self, timeout_s: float, late_s: float) -> None:
        super().__init__(timeout_s)
        self._late_s = late_s

    def settle(self, now: float) -> list[Answer]:
        """Answer the exposures that are decided."""
        answers = []
        while self._claims:
            claim = self._claims[0]
            while self._pictures and self._pictures[0].began < claim.at:
                self._pictures.popleft()
            if claim.age_s and claim.age_s > self._late_s:
                answers.append((claim.exposure, self._too_late(claim.age_s)))
            elif self._pictures:
                answers.append((claim.exposure, self._pictures.popleft()))
            elif self._missed(claim, now):
                answers.append((claim.exposure, self._missing()))
            else:
                return answers
            self._claims.popleft()
        self._pictures.clear()
        return answers

    def _too_late(self, age_s: float) -> ArrivedFrame:
        late = f"found its message {age_s * 1e3:.0f} ms late, expected at most {self._late_s * 1e3:.0f} ms"
        return ArrivedFrame(None, problem=f"{late}; check the wire to the PLC and window_ms")


class HardwareTriggerMatching(TriggerMatching):
    """The one frame that began within `window_s` of the PLC's message, if it is nobody else's.

    It is handed over when its window is past, so that no later message can claim it. A frame without a message is a
    sign that its message is late; late by just the time between two parts, it would claim the next part's frame. So no
    message is believed for a while after such a frame, or after the device was opened again, as frames were missed:
    for `late_s`, in which the line may repeat what was damaged, where messages do not say how old they are, else for
    `timeout_s`, as they may still have been held up in this computer.
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
        """Answer the exposures that are decided."""
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
        """Forget all frames, return the exposures that got none; the device is about to be restarted."""
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
        self._misses += (claim.age_s or 0.0) <= self._window_s  # a late message is not the camera's fault
        if self._misses >= MISSES:
            self.fault = f"found no frame for {MISSES} triggers in a row, expected one for each"
        apart = "none at all" if self._stray is None else f"the last one {(self._stray.began - claim.at) * 1e3:+.0f} ms"
        return ArrivedFrame(
            None,
            problem=f"found no frame within {self._window_s * 1e3:.0f} ms of the trigger's message ({apart} from it), "
            "expected one; check the sensor's wire, latency_ms and window_ms",
        )

    def _drop_strays(self, now: float) -> None:
        """Drop what no exposure can claim any more."""
        while self._pictures:
            picture = self._pictures[0]
            wanted = any(self._within(picture, claim.at) for claim in self._claims)
            if wanted or now <= picture.began + self._window_s:
                return
            self._stray = self._pictures.popleft()
            self._doubtful_from = self._stray.began
            self.unclaimed += 1


class SoftwareTriggerMatching(TriggerMatching):
    """The frame that follows the trigger; the next trigger is sent when that frame is here.

    After a trigger without a frame, or a frame without a trigger, nothing tells the next frame from a late one, so the
    device has to be restarted.
    """

    def __init__(self, timeout_s: float, late_s: float) -> None:
        super().__init__(timeout_s)
        self._late_s = late_s
        self._sent: float | None = None

    @property
    def idle(self) -> bool:
        """Whether no frame can come before the next exposure."""
        return not self._claims

    def due(self) -> bool:
        """Whether a trigger is to be sent now."""
        return bool(self._claims) and self._sent is None and (self._claims[0].age_s or 0.0) <= self._late_s

    def sent(self, at: float) -> None:
        """Note that the trigger has been sent."""
        self._sent = at

    def add(self, picture: ArrivedFrame) -> None:
        """Note a frame."""
        if self._sent is None or self._pictures:
            self.unclaimed += 1
            self.fault = "found a frame without a trigger, expected none; check that nothing else triggers the camera"
        else:
            super().add(picture)

    def settle(self, now: float) -> list[Answer]:
        """Answer the exposures that are decided; those that wait for too long to be triggered are."""
        answers = self._settle_sent(now)
        while self._sent is None and self._claims and now - self._claims[0].at > self._late_s:
            late = (
                f"could not be triggered within {self._late_s * 1e3:.0f} ms: its message came late, or the exposure "
                "before was not finished"
            )
            answers.append((self._claims.popleft().exposure, ArrivedFrame(None, problem=late)))
        return answers

    def abandon(self) -> list[int]:
        """Forget all frames, return the exposures that got none; the device is about to be restarted."""
        self._sent = None
        return super().abandon()

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
    """Choose the rule for the way a camera is triggered."""
    timeout_s, window_s, late_s = options.frame_timeout_ms / 1e3, options.window_ms / 1e3, options.late_ms / 1e3
    if options.trigger == "software":
        return SoftwareTriggerMatching(timeout_s, window_s)
    if options.trigger == "hardware":
        return HardwareTriggerMatching(timeout_s, window_s, late_s)
    return FreeRunMatching(timeout_s, window_s)
