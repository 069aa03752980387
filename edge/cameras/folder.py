"""The folder camera: one image file for each exposure."""

from pathlib import Path

from pydantic import Field

from bundle import OTHER_SUFFIXES, SUFFIXES, FrameError, read_image
from edge.address import place_of, read_options
from edge.cameras.camera import Clock, Frame
from edge.cameras.matching.frame_sanity import FrameSanity, FrameSanityOptions
from edge.cameras.on_demand import RATE_HZ, OnDemandCamera
from edge.cameras.registry import CameraKind
from edge.errors import CameraError, CameraFinished, FrameDamaged


class FolderOptions(FrameSanityOptions):
    """Options of `file:///folder` and `file:///list.txt`."""

    frozen: bool = Field(
        default=False, description="1: a picture that is identical to the one before is a fault; a list may repeat one"
    )
    bits: int | None = Field(
        default=None,
        ge=8,
        le=16,
        description="depth of the values in 16-bit files, such as 12; without it a file whose depth is not certain is "
        "a fault",
    )

    loop: bool = Field(default=False, description="1: start again after the last picture")
    rate_hz: float = Field(default=RATE_HZ, gt=0, le=1000, description="frames a second where no PLC triggers them")


class FolderCamera(OnDemandCamera):
    """Reads files in order; with `loop` it starts again after the last one."""

    def __init__(self, address: str, files: list[Path], options: FolderOptions, clock: Clock) -> None:
        super().__init__(address, clock, options.rate_hz)
        self.files = files
        self.loop = options.loop
        self._bits = options.bits
        self._sanity = FrameSanity(options.frozen, options.black, options.saturated)
        self._grabbed = 0

    @property
    def exhausted(self) -> bool:
        """Whether the last file has been read."""
        return not self.loop and self._grabbed >= len(self.files)

    def _grab(self, timeout_s: float) -> Frame:
        exposure = self._next_exposure(timeout_s)
        index, self._grabbed = exposure - 1, exposure
        if index >= len(self.files) and not self.loop:
            raise CameraFinished(f"camera {self.address}: all {len(self.files)} pictures have been grabbed")
        path = self.files[index % len(self.files)]
        try:
            pixels = read_image(path, bits=self._bits)
        except FrameError as error:
            raise FrameDamaged(str(error), exposure) from None
        problem = self._sanity.check(pixels)
        if problem:
            raise FrameDamaged(f"{path}: {problem}", exposure)
        return Frame(pixels, exposure, self.clock(), str(path))


def open_folder(address: str, clock: Clock) -> FolderCamera:
    """Open `file:///folder` (its pictures by name) or `file:///list.txt` (one path a line, relative to the list).

    Raises CameraError if there is no such folder or no picture in it.
    """
    options = read_options(address, FolderOptions)
    path = Path(place_of(address))
    if path.is_dir():
        files = _pictures(path)
    elif path.is_file():
        files = _listed(path)
    else:
        raise CameraError(f"camera {path}: found no such folder or list, expected one of pictures; check the path")
    if not files:
        raise CameraError(f"camera {path}: found no picture, expected files of {sorted(SUFFIXES)}")
    for file in files:
        if not str(file).isprintable():  # surrogates of a name that is not UTF-8 included
            raise CameraError(f"camera {path}: found the name {str(file)!a}, expected printable UTF-8; rename the file")
    return FolderCamera(address, files, options, clock)


def _pictures(folder: Path) -> list[Path]:
    found = sorted(folder.iterdir())
    others = [file.name for file in found if file.suffix.lower() in OTHER_SUFFIXES]
    if others:
        raise CameraError(
            f"camera {folder}: found {len(others)} pictures of a kind that is not read, first {others[0]!a}; "
            f"expected files of {sorted(SUFFIXES)}; convert them to PNG, or move them away"
        )
    return [file for file in found if file.suffix.lower() in SUFFIXES]


def _listed(path: Path) -> list[Path]:
    try:
        lines = path.read_text(encoding="utf-8-sig").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise CameraError(f"camera {path}: cannot be read ({error}), expected a list of paths in UTF-8") from None
    return [path.parent / line.strip() for line in lines if line.strip()]


KIND = CameraKind(FolderOptions, open_folder)
