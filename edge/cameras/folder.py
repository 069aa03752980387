"""The folder camera: pictures from files, one for each exposure."""

from pathlib import Path
from urllib.parse import unquote, urlsplit

from bundle import SUFFIXES, FrameError, read_image
from edge.camera import Clock, Frame, options
from edge.errors import CameraError, CameraFinished, FrameDamaged
from edge.cameras.exposures import OnDemandCamera


class FolderCamera(OnDemandCamera):
    """Plays files in order; with `loop` it starts again after the last one."""

    def __init__(self, address: str, files: list[Path], loop: bool, clock: Clock) -> None:
        super().__init__(address, clock)
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

    Option `?loop=1` plays them again and again. Raises CameraError if there is no such folder or no picture in it.
    """
    url = urlsplit(address)
    path = Path(unquote(url.netloc + url.path))
    loop = options(address, {"loop": 0})["loop"] == 1
    if path.is_dir():
        files = sorted(file for file in path.iterdir() if file.suffix.lower() in SUFFIXES)
    elif path.is_file():
        files = [path.parent / line.strip() for line in path.read_text().splitlines() if line.strip()]
    else:
        raise CameraError(f"camera {path}: found no such folder or list, expected one of pictures; check the path")
    if not files:
        raise CameraError(f"camera {path}: found no picture, expected files of {sorted(SUFFIXES)}")
    return FolderCamera(address, files, loop, clock)
