"""The folder camera: pictures from files, one for each exposure."""

from pathlib import Path

from pydantic import Field

from bundle import SUFFIXES, FrameError, read_image
from edge.address import Options, place_of, read_options
from edge.cameras.camera import Clock, Frame
from edge.cameras.on_demand import RATE_HZ, OnDemandCamera
from edge.cameras.registry import CameraKind
from edge.errors import CameraError, CameraFinished, FrameDamaged


class FolderOptions(Options):
    """Options of `file:///folder` and `file:///list.txt`."""

    loop: bool = Field(default=False, description="1: start again after the last picture")
    rate_hz: float = Field(default=RATE_HZ, gt=0, le=1000, description="frames a second where no PLC triggers them")


class FolderCamera(OnDemandCamera):
    """Plays files in order; with `loop` it starts again after the last one."""

    def __init__(self, address: str, files: list[Path], loop: bool, clock: Clock, rate_hz: float) -> None:
        super().__init__(address, clock, rate_hz)
        self.files = files
        self.loop = loop
        self._grabbed = 0

    @property
    def exhausted(self) -> bool:
        """Whether every picture has been grabbed."""
        return not self.loop and self._grabbed >= len(self.files)

    def _grab(self, timeout_s: float) -> Frame:
        exposure = self._next_exposure(timeout_s)
        index, self._grabbed = exposure - 1, exposure
        if index >= len(self.files) and not self.loop:
            raise CameraFinished(f"camera {self.address}: all {len(self.files)} pictures have been grabbed")
        path = self.files[index % len(self.files)]
        try:
            pixels = read_image(path)
        except FrameError as error:
            raise FrameDamaged(str(error), exposure) from None
        return Frame(pixels, exposure, self.clock(), str(path))


def open_folder(address: str, clock: Clock) -> FolderCamera:
    """Open `file:///folder` (its pictures by name) or `file:///list.txt` (one path a line, relative to the list).

    Raises CameraError if there is no such folder or no picture in it.
    """
    options = read_options(address, FolderOptions)
    path = Path(place_of(address))
    if path.is_dir():
        files = sorted(file for file in path.iterdir() if file.suffix.lower() in SUFFIXES)
    elif path.is_file():
        files = [path.parent / line.strip() for line in path.read_text().splitlines() if line.strip()]
    else:
        raise CameraError(f"camera {path}: found no such folder or list, expected one of pictures; check the path")
    if not files:
        raise CameraError(f"camera {path}: found no picture, expected files of {sorted(SUFFIXES)}")
    return FolderCamera(address, files, options.loop, clock, options.rate_hz)


KIND = CameraKind(FolderOptions, open_folder)
