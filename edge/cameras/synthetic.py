"""The virtual camera: draws good and defective parts with ground truth."""

from functools import lru_cache

from pydantic import Field

from edge.address import AddressOptions, read_options
from edge.cameras.camera import Clock, Frame
from edge.cameras.on_demand import RATE_HZ, OnDemandCamera
from edge.cameras.registry import CameraKind
from synthetic.tiles import Tile, draw_part


class SyntheticOptions(AddressOptions):
    """Options of `synthetic://`."""

    seed: int = Field(default=1, ge=0, description="which parts are drawn")
    defective: float = Field(default=0.3, ge=0, le=1, description="share of the parts that have a defect")
    rate_hz: float = Field(default=RATE_HZ, gt=0, le=1000, description="frames per second in free run")


class SyntheticCamera(OnDemandCamera):
    """Draws part number k for exposure k."""

    def __init__(self, address: str, seed: int, defective_share: float, clock: Clock, rate_hz: float) -> None:
        super().__init__(address, clock, rate_hz)
        self.seed = seed
        self.defective_share = defective_share

    def part(self, exposure: int) -> Tile:
        """Return the part of this exposure with its ground truth."""
        return _drawn(self.seed, exposure, self.defective_share)

    def _grab(self, timeout_s: float) -> Frame:
        exposure = self._next_exposure(timeout_s)
        pixels = self.part(exposure).image.copy()
        return Frame(pixels, exposure, self.clock(), f"{self.address}#{exposure}")


@lru_cache(maxsize=4)
def _drawn(seed: int, exposure: int, defective_share: float) -> Tile:
    return draw_part(seed, exposure, defective_share)


def open_synthetic(address: str, clock: Clock) -> SyntheticCamera:
    """Open `synthetic://?seed=7&defective=0.3`."""
    options = read_options(address, SyntheticOptions)
    return SyntheticCamera(address, options.seed, options.defective, clock, options.rate_hz)


KIND = CameraKind(SyntheticOptions, open_synthetic)
