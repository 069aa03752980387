"""Live camera: a thread receives frames from a device, matches them to triggers, and reconnects after a loss."""

import logging
import threading
from collections import deque
from collections.abc import Callable, Sequence
from itertools import chain, repeat

from edge.cameras.camera import Camera, Clock, Frame
from edge.cameras.device import Device, DeviceLost, DeviceOptions, Received
from edge.cameras.matching.frame_numbering import FrameNumbering
from edge.cameras.matching.frame_sanity import FrameSanity
from edge.cameras.matching.timestamps import DeviceClock
from edge.cameras.matching.trigger_matching import Answer, ArrivedFrame, choose_matching
from edge.errors import CameraError, CameraLost, CameraTimeout, FrameDamaged

log = logging.getLogger(__name__)

POLL_S = 0.01
"""Longest wait for a frame before the timeouts are checked."""
BACK_OFF_S = (0.2, 0.5, 1.0, 2.0, 5.0)
"""Back-off before each attempt to reconnect; the last value repeats."""
KEPT = 16
"""Size of the queue of frames that wait for `grab`; beyond it the oldest is dropped."""
CLOSE_S = 5.0
"""Longest wait for a vendor's call to return when the camera is closed."""


class LiveCamera(Camera):
    """Camera over a `Device`, which is opened again after each loss."""

    def __init__(
        self,
        address: str,
        clock: Clock,
        options: DeviceOptions,
        connect: Callable[[], Device],
        back_off_s: Sequence[float] = BACK_OFF_S,
    ) -> None:
        """Open the device for the first time; raises CameraError, as `connect` does."""
        super().__init__(address, clock)
        self._options, self._connect, self._back_off_s = options, connect, back_off_s
        self._matching = choose_matching(options)
        self._outcomes: deque[Frame | FrameDamaged] = deque(maxlen=KEPT)
        self._changed = threading.Condition()  # guards matching, outcomes and health.connected
        self._closing = threading.Event()
        device = connect()
        self._shape = device.shape
        log.info("camera %s: %s, trigger %s", address, describe(self._shape), options.trigger)
        self._thread = threading.Thread(target=self._run, args=(device,), name="camera", daemon=True)
        self._thread.start()

    @property
    def running(self) -> bool:
        """Whether its thread is alive; after `close` only if a vendor's call does not return."""
        return self._thread.is_alive()

    def close(self) -> None:
        """Close the device, waiting at most `CLOSE_S` for a vendor's call to return."""
        self._closing.set()
        with self._changed:
            self._changed.notify_all()
        self._thread.join(CLOSE_S)
        if self.running:
            log.error("camera %s: found its driver busy after %.0f s; it is left behind", self.address, CLOSE_S)

    def _expose(self, exposure: int, age_s: float | None, after_s: float) -> None:
        with self._changed:
            if self.health.connected:
                self._matching.expose(exposure, self.clock(), age_s, after_s)
            else:
                self._outcomes.append(self._lost(exposure))
            self._changed.notify_all()

    def _start_free_run(self) -> None:
        if self._options.trigger == "software":
            raise CameraError(
                f"camera {self.address}: option trigger: found software, expected free or hardware, because no PLC "
                "tells of the parts; change it"
            )
        with self._changed:
            self._matching = FrameNumbering(steady=self._options.trigger == "free")

    def _grab(self, timeout_s: float) -> Frame:
        with self._changed:
            if not self._changed.wait_for(lambda: self._outcomes, timeout_s):
                raise CameraTimeout(
                    f"camera {self.address}: found no frame within {timeout_s:.3f} s, expected one for each trigger; "
                    "check trigger, exposure and grab_timeout_ms"
                )
            outcome = self._outcomes.popleft()
        if isinstance(outcome, FrameDamaged):
            raise outcome
        return outcome

    def _lost(self, exposure: int) -> CameraLost:
        reason = self.health.last_error.removeprefix(f"camera {self.address}: ")
        return CameraLost(f"camera {self.address}: is lost, exposure {exposure} with it: {reason}", exposure)

    # the thread

    def _run(self, device: Device | None) -> None:
        try:
            self._keep_open(device)
        except BaseException as error:  # the outermost loop of the thread: it must not end silently
            log.exception("camera %s: its thread failed", self.address)
            self._lose(f"its thread failed ({type(error).__name__}: {error}); restart the station")

    def _keep_open(self, device: Device | None) -> None:
        while device is not None:
            try:
                self._serve(device)
            except DeviceLost as error:
                self._lose(str(error))
            except Exception as error:  # the outermost loop: any error of a vendor's library is a lost device
                log.exception("camera %s", self.address)
                self._lose(f"{type(error).__name__}: {error}")
            finally:
                self._close_device(device)
            device = self._reopen()

    def _close_device(self, device: Device) -> None:
        try:
            device.close()
        except Exception:  # as in `_run`: a handle that does not close must not end the reconnecting
            log.exception("camera %s: its driver failed to close it", self.address)

    def _lose(self, reason: str) -> None:
        log.warning("camera %s: lost: %s", self.address, reason)
        with self._changed:
            self.health.lost += 1
            self.health.connected = False
            self.health.last_error = reason
            self._outcomes.extend(self._lost(exposure) for exposure in self._matching.abandon())
            self._changed.notify_all()

    def _reopen(self) -> Device | None:
        for pause_s in chain(self._back_off_s, repeat(self._back_off_s[-1])):
            if self._closing.wait(pause_s):
                break
            try:
                device = self._connect()
            except CameraError as error:
                self.health.last_error = str(error)
                continue
            except Exception as error:  # as in `_run`
                log.exception("camera %s", self.address)
                self.health.last_error = f"{type(error).__name__}: {error}"
                continue
            with self._changed:
                self.health.reopened += 1
                self.health.connected = True
            log.info("camera %s: opened again", self.address)
            return device
        return None

    def _serve(self, device: Device) -> None:
        options = self._options
        device_clock = DeviceClock(options.latency_ms / 1e3)
        sanity = FrameSanity(options.frozen, options.black, options.saturated)
        heard = self.clock()
        while not self._closing.is_set():
            received = device.receive(self._trigger_if_due(device))
            now = self.clock()
            heard = now if received is not None else heard
            arrived = None
            if received is not None:
                began = device_clock.began(received.stamp, now)
                arrived = self._arrived(received, began, now, sanity)
            self._settle(arrived, now)
            if self._matching.fault:
                raise DeviceLost(self._matching.fault)
            if options.trigger == "free" and now - heard >= options.silence_ms / 1e3:
                raise DeviceLost(f"found no frame for {now - heard:.1f} s, expected a steady stream; check its cable")

    def _trigger_if_due(self, device: Device) -> float:
        """Send a due trigger; without open exposures, wait for one. Returns the timeout of the next `receive`."""
        self._settle(None, self.clock())  # gives up what has become late since
        with self._changed:
            if self._matching.idle and not self._closing.is_set():
                self._changed.wait(POLL_S)
            idle, due_at = self._matching.idle, self._matching.due_at()
        if due_at is None:
            return 0.0 if idle else POLL_S
        wait_s = due_at - self.clock()
        if wait_s > 0:
            return min(wait_s, POLL_S)
        device.trigger()
        with self._changed:
            self._matching.sent(self.clock())
        return POLL_S

    def _arrived(self, received: Received, began: float, at: float, sanity: FrameSanity) -> ArrivedFrame:
        pixels, problem = received.pixels, received.problem
        if pixels is not None and pixels.shape != self._shape:
            problem = f"found {describe(pixels.shape)}, expected {describe(self._shape)} as announced on opening"
        elif pixels is not None:
            problem = sanity.check(pixels)
        return ArrivedFrame(pixels, began, at, problem, received.number)

    def _settle(self, arrived: ArrivedFrame | None, now: float) -> None:
        with self._changed:
            if arrived is not None:
                self._matching.add(arrived)
            answers = self._matching.settle(now)
            self._outcomes.extend(map(self._outcome, answers))
            self.health.unclaimed = self._matching.unclaimed
            if answers:
                self._changed.notify_all()

    def _outcome(self, answer: Answer) -> Frame | FrameDamaged:
        exposure, picture = answer
        if picture.pixels is None or picture.problem:
            return FrameDamaged(f"camera {self.address}: exposure {exposure}: {picture.problem}", exposure)
        return Frame(picture.pixels, exposure, picture.arrived, f"{self.address}#{exposure}")


def describe(shape: tuple[int, ...]) -> str:
    """Describe a frame's shape, such as `640x480 grey`."""
    colour = "grey" if len(shape) == 2 else "RGB" if shape[2] == 3 else f"{shape[2]} channels"
    return f"{shape[1]}x{shape[0]} {colour}"
