"""A Jetson's camera connector (CSI) through NVIDIA's GStreamer source."""

from functools import partial

from pydantic import Field

from edge.address import place_of, read_options
from edge.cameras.camera import Clock
from edge.cameras.gstreamer import PipelineDevice, PipelineOptions
from edge.cameras.live import LiveCamera
from edge.cameras.registry import CameraKind
from edge.errors import CameraError


class CsiOptions(PipelineOptions):
    """Options of `csi://`; exposure and gain are automatic unless set."""

    width: int = Field(default=1920, ge=1, le=65_536, description="pixels")
    height: int = Field(default=1080, ge=1, le=65_536, description="pixels")
    fps: int = Field(default=30, ge=1, le=1000, description="frames per second")
    exposure_us: int | None = Field(default=None, ge=1, le=1_000_000, description="exposure time in microseconds")
    gain: float | None = Field(default=None, ge=1, le=1000, description="analogue gain as a factor")
    grey: bool = Field(default=False, description="1: grey frames instead of RGB")


def describe_pipeline(sensor: int, options: CsiOptions) -> str:
    """Return the pipeline description of one sensor; nvvidconv copies frames out of NVMM memory."""
    source = [f"nvarguscamerasrc sensor-id={sensor}"]
    if options.exposure_us is not None:
        exposure_ns = options.exposure_us * 1000
        source.append(f'exposuretimerange="{exposure_ns} {exposure_ns}"')
    if options.gain is not None:
        source.append(f'gainrange="{options.gain} {options.gain}" ispdigitalgainrange="1 1"')
    if options.exposure_us is not None and options.gain is not None:
        source.append("aelock=true")
    size = f"width={options.width},height={options.height},framerate={options.fps}/1"
    out = "GRAY8" if options.grey else "BGRx"  # nvvidconv has no packed RGB output
    return f"{' '.join(source)} ! video/x-raw(memory:NVMM),{size} ! nvvidconv ! video/x-raw,format={out}"


def open_csi(address: str, clock: Clock) -> LiveCamera:
    """Open `csi://0`, the sensor of that number."""
    options = read_options(address, CsiOptions)
    place = place_of(address)
    if not place.isdecimal():
        raise CameraError(f"camera {address}: found {place!r}, expected the sensor's number, such as csi://0")
    return LiveCamera(address, clock, options, partial(PipelineDevice, address, describe_pipeline(int(place), options)))


KIND = CameraKind(CsiOptions, open_csi)
