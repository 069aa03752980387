"""What every camera does: expose at a trigger, hand over frames in order.

A camera is opened by its address: `file:///folder`, `file:///list.txt`, `synthetic://?seed=7`.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from time import monotonic
from urllib.parse import parse_qsl, urlsplit

from bundle import Image, check_frame
from edge.errors import CameraError

Clock = Callable[[], float]
"""Seconds on a clock that never jumps, like `time.monotonic`."""


@dataclass(frozen=True)
class Frame:
    """One picture of one part."""

    pixels: Image
    """uint8 [H, W] grey or [H, W, 3] RGB; the receiver's own, the camera does not touch it again."""
    exposure: int
    """Which exposure it is of, counted from 1 since the camera was opened."""
    arrived: float
    """When it was complete in memory, in seconds of the camera's clock."""
    source: str
    """Where it comes from, for the records: a file's name, or the camera's address with a number."""


class Camera(ABC):
    """One opened camera.

    `expose` is called by one thread at each trigger, `grab` by one other thread for each exposure.
    """

    def __init__(self, address: str, clock: Clock = monotonic) -> None:
        self.address = address
        self.clock = clock
        self._exposures = 0

    def expose(self) -> int:
        """Take one picture now. Returns the number that its frame will carry.

        Never blocks or fails: what goes wrong shows when that frame is grabbed.
        """
        self._exposures += 1
        self._expose(self._exposures)
        return self._exposures

    def grab(self, timeout_s: float) -> Frame:
        """Hand over the next exposure's frame, waiting at most `timeout_s` seconds.

        Raises CameraTimeout, CameraLost, FrameDamaged (one frame, in its turn) or CameraFinished.
        """
        frame = self._grab(timeout_s)
        check_frame(frame.pixels)
        return frame

    @property
    def exhausted(self) -> bool:
        """Whether there will never be another frame; only cameras that play files come to an end."""
        return False

    @abstractmethod
    def _expose(self, exposure: int) -> None:
        """Start exposure number `exposure`."""

    @abstractmethod
    def _grab(self, timeout_s: float) -> Frame:
        """Wait for the next frame."""

    @abstractmethod
    def close(self) -> None:
        """Give the camera back; frames already handed over stay valid."""


def open_camera(address: str, clock: Clock = monotonic) -> Camera:
    """Open a camera by its address; raises CameraError with the known kinds if there is none for it."""
    kind = urlsplit(address).scheme
    if kind == "file":
        from edge.cameras.folder import open_folder

        return open_folder(address, clock)
    if kind == "synthetic":
        from edge.cameras.synthetic import open_synthetic

        return open_synthetic(address, clock)
    raise CameraError(
        f"camera {address!r}: found the kind {kind or 'none'!r}, expected file:// or synthetic://; "
        "correct the camera's address"
    )


def options(address: str, allowed: dict[str, int | float]) -> dict[str, int | float]:
    """Read the options behind the `?` of an address; `allowed` has their defaults, which also give their types.

    Raises CameraError for an unknown option or a value that is not such a number.
    """
    values = dict(allowed)
    for key, text in parse_qsl(urlsplit(address).query, keep_blank_values=True):
        if key not in allowed:
            raise CameraError(f"camera {address!r}: unknown option {key!r}, expected one of {sorted(allowed)}")
        try:
            values[key] = type(allowed[key])(text)
        except ValueError:
            kind = "a whole number" if isinstance(allowed[key], int) else "a number"
            raise CameraError(f"camera {address!r}: option {key}: found {text!r}, expected {kind}") from None
    return values
