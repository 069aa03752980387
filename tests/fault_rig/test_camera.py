"""The faulty camera: a picture for each edge on its wire, unless it is lost or frozen."""

from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from time import monotonic

import numpy as np
import pytest

from edge.cameras.device import DeviceLost
from edge.errors import CameraError
from firmware_bridge.messages import Trigger
from tools.fault_rig.equipment.camera import FROZEN, LOST, BeltCamera, FaultyDevice
from tools.fault_rig.equipment.sensor import Sensor
from tools.fault_rig.equipment.switches import Switches
from tools.fault_rig.equipment.witness import Witness, fingerprint, read_evidence

BELT = [np.full((4, 5), level, np.uint8) for level in (10, 20, 30)]


class Bench:
    """A camera at the end of a sensor's wire."""

    def __init__(self, folder: Path) -> None:
        self.log, self.wire = folder / "witness", folder / "sensor"
        self.switches, self.witness = Switches(folder / "switches"), Witness(self.log)
        self.sensor = Sensor(self.wire, monotonic)
        self.sensor.edge(Trigger(9, 0))  # before there is a camera
        self.device = self.open()

    def open(self) -> FaultyDevice:
        """Connect to the camera."""
        return FaultyDevice(self.wire, BELT, self.switches, self.witness)

    def level(self, part_id: int) -> int:
        """Let a part come, and give the grey level of its picture."""
        self.sensor.edge(Trigger(part_id, 0))
        received = self.device.receive(1.0)
        assert received is not None
        assert received.pixels is not None
        return int(received.pixels[0, 0])


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Bench]:
    """Open everything, close everything."""
    opened = Bench(tmp_path)
    yield opened
    opened.device.close()
    opened.sensor.close()
    opened.witness.close()


def test_each_part_gets_its_own_picture(bench: Bench) -> None:
    assert [bench.level(part) for part in (0, 1, 2, 3)] == [10, 20, 30, 10]
    assert bench.device.receive(0.0) is None
    assert read_evidence(bench.log).photographed == {part: fingerprint(BELT[part % 3]) for part in range(4)}


def test_a_frozen_camera_repeats_its_last_picture_and_photographs_nothing(bench: Bench) -> None:
    bench.level(1)
    bench.switches.set(FROZEN, True)
    assert bench.level(2) == 20
    bench.switches.set(FROZEN, False)
    assert bench.level(2) == 30
    assert list(read_evidence(bench.log).photographed) == [1, 2]


def test_a_lost_camera_is_gone_until_it_is_given_back(bench: Bench) -> None:
    bench.switches.set(LOST, True)
    with pytest.raises(DeviceLost):
        bench.device.receive(0.0)
    with pytest.raises(CameraError, match="taken away"):
        bench.open()
    bench.sensor.edge(Trigger(7, 0))
    bench.switches.set(LOST, False)
    with closing(bench.open()) as again:
        assert again.receive(0.0) is None


def test_a_camera_that_is_always_ready_takes_the_parts_in_turn(tmp_path: Path) -> None:
    with closing(Witness(tmp_path / "witness")) as witness:
        camera = BeltCamera(BELT, witness, monotonic)
        camera.expose()
        camera.expose()

        assert [int(camera.grab(0.0).pixels[0, 0]) for _ in range(2)] == [20, 30]
