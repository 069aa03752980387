"""Cameras of a test: one with a hardware trigger that can be lost or frozen, and one that is always ready.

The first runs behind the product's own `LiveCamera`, so that matching, frame checks and reopening are tested.
"""

from functools import partial
from pathlib import Path

from bundle import Image
from edge.address import read_options
from edge.cameras.camera import Camera, Clock, Frame
from edge.cameras.device import Device, DeviceLost, DeviceOptions, Received
from edge.cameras.live import LiveCamera
from edge.cameras.on_demand import OnDemandCamera
from edge.errors import CameraError
from tools.fault_rig.equipment.belt import draw_belt
from tools.fault_rig.equipment.sensor import TriggerInput
from tools.fault_rig.equipment.switches import Switches
from tools.fault_rig.equipment.witness import Witness, fingerprint

LOST, FROZEN = "camera-lost", "camera-frozen"
TRIGGERED = "rig://?trigger=hardware&latency_ms=2&frame_timeout_ms=150&window_ms="
"""A frame takes less than 2 ms; the timeout of a missing one is shorter than its part's deadline."""
ON_DEMAND = "belt://"
"""Takes the next part's picture at each trigger and never fails: the k-th trigger is part k."""


class FaultyDevice(Device):
    """Delivers one picture of the belt for each edge of the trigger input."""

    def __init__(self, wire: Path, belt: list[Image], switches: Switches, witness: Witness) -> None:
        """Connect; raises CameraError while the camera is lost."""
        if switches.is_on(LOST):
            raise CameraError("found no camera, expected one: it has been taken away")
        self._wire, self._belt, self._switches, self._witness = TriggerInput(wire), belt, switches, witness
        self._last = belt[0]
        self.shape = belt[0].shape

    def receive(self, timeout_s: float) -> Received | None:
        """Picture of the next part; while frozen, the previous picture again."""
        if self._switches.is_on(LOST):
            raise DeviceLost("found no camera, expected one: it has been taken away")
        edge = self._wire.wait(timeout_s)
        if edge is None:
            return None
        part_id, moment = edge
        if not self._switches.is_on(FROZEN):
            self._last = self._belt[part_id % len(self._belt)]
            self._witness.note(photographed=part_id, picture=fingerprint(self._last))
        return Received(self._last.copy(), moment)

    def close(self) -> None:
        """Close the trigger input."""
        self._wire.close()


class BeltCamera(OnDemandCamera):
    """Delivers the picture of part k for exposure k."""

    def __init__(self, belt: list[Image], witness: Witness, clock: Clock) -> None:
        super().__init__(ON_DEMAND, clock)
        self._belt, self._witness = belt, witness

    def _grab(self, timeout_s: float) -> Frame:
        part_id = self._next_exposure(timeout_s)
        pixels = self._belt[part_id % len(self._belt)]
        self._witness.note(photographed=part_id, picture=fingerprint(pixels))
        return Frame(pixels.copy(), part_id, self.clock(), f"{self.address}#{part_id}")


def open_faulty_camera(wire: Path, switches: Switches, witness: Witness, address: str, clock: Clock) -> Camera:
    """Open `TRIGGERED` with its window, or `ON_DEMAND`."""
    belt = draw_belt()
    if address == ON_DEMAND:
        return BeltCamera(belt, witness, clock)
    connect = partial(FaultyDevice, wire, belt, switches, witness)
    return LiveCamera(address, clock, read_options(address, DeviceOptions), connect)
