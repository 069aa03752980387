"""Options of the cameras that follow the GenICam standard, whichever library talks to them."""

from pydantic import Field

from edge.cameras.device import DeviceOptions
from edge.cameras.pixels import FORMATS


class GenicamOptions(DeviceOptions):
    """Options of the cameras that follow the GenICam standard; what is left out stays as it is in the camera."""

    width: int | None = Field(default=None, ge=1, le=65_536, description="pixels")
    height: int | None = Field(default=None, ge=1, le=65_536, description="pixels")
    format: str | None = Field(default=None, description=f"pixel format: {', '.join(FORMATS)}")
    fps: float | None = Field(default=None, gt=0, le=10_000, description="frames per second in free run")
    exposure_us: float | None = Field(default=None, gt=0, le=60e6, description="exposure time in microseconds")
    gain_db: float | None = Field(default=None, ge=-50, le=100, description="gain in the camera's unit, mostly dB")
    line: str = Field(default="Line1", description="the camera's input for the hardware trigger")
