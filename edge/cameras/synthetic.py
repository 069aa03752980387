"""The virtual camera: draws parts, good and bad, and knows the truth about each."""

from functools import lru_cache

from bundle.tiles import Tile, draw_part
from edge.camera import Clock, Frame, options
from edge.errors import CameraError
from edge.cameras.exposures import OnDemandCamera


class SyntheticCamera(OnDemandCamera):
    """Draws part number k for exposure k."""

    def __init__(self, address: str, seed: int, defective_share: float, clock: Clock) -> None:
        super().__init__(address, clock)
        self.seed = seed
        self.defective_share = defective_share

    def part(self, exposure: int) -> Tile:
        """Return the part of this exposure with its truth."""
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
    values = options(address, {"seed": 1, "defective": 0.3})
    if values["seed"] < 0 or not 0 <= values["defective"] <= 1:
        raise CameraError(f"camera {address!r}: found {values}, expected a seed from 0 and a share from 0 to 1")
    return SyntheticCamera(address, int(values["seed"]), float(values["defective"]), clock)
