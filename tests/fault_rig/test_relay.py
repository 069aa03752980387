"""The wire between PLC and station: whole, cut, unplugged, noisy."""

from collections.abc import Iterator
from pathlib import Path
from random import Random
from time import monotonic

import pytest

from firmware_bridge.port import SerialPort
from firmware_bridge.simulator.pseudo_terminal import PseudoTerminal
from tools.fault_rig.equipment.relay import Relay
from tools.fault_rig.process import wait_until

BAUD = 115_200
SAID = bytes(range(256))
PATIENCE_S = 5.0


class Line:
    """A PLC's end and the relay, whose port `station` opens."""

    def __init__(self, folder: Path, baud: int = BAUD) -> None:
        self.plc, self.port = PseudoTerminal(), folder / "port"
        self.relay = Relay(self.plc.path, self.port, baud, Random(1), monotonic)
        self.station = SerialPort(str(self.port), baud, 1.0)

    def to_station(self, length: int = len(SAID)) -> bytes:
        """Have the PLC speak, and give what the station hears first."""
        self.plc.write(SAID)
        return heard(self.station, length)

    def close(self) -> None:
        """Close everything."""
        self.station.close()
        self.relay.close()
        self.plc.close()


def heard(port: SerialPort | PseudoTerminal, length: int) -> bytes:
    """Read this number of bytes, or fewer after the timeout."""
    data, last_moment = b"", monotonic() + PATIENCE_S
    while len(data) < length and monotonic() < last_moment:
        data += port.read(0.1)
    return data


@pytest.fixture
def line(tmp_path: Path) -> Iterator[Line]:
    """Open a line."""
    opened = Line(tmp_path)
    yield opened
    opened.close()


def test_a_whole_wire_carries_both_ways_at_its_speed(line: Line) -> None:
    begun = monotonic()
    assert line.to_station() == SAID
    assert monotonic() - begun >= len(SAID) * 10 / BAUD
    line.station.write(SAID)
    assert heard(line.plc, len(SAID)) == SAID


def test_what_is_said_while_the_wire_is_cut_is_lost(line: Line) -> None:
    line.relay.cut(True)
    line.plc.write(b"lost")
    assert line.station.read(0.2) == b""
    line.relay.cut(False)
    assert line.to_station() == SAID


def test_a_port_that_is_unplugged_comes_back_at_the_same_place(line: Line) -> None:
    line.relay.unplug(True)
    assert wait_until(lambda: not line.port.exists(), PATIENCE_S)
    with pytest.raises(OSError):  # noqa: PT011, a gone device has several numbers
        heard(line.station, 1)
    line.relay.unplug(False)
    assert wait_until(line.port.exists, PATIENCE_S)
    line.station.close()
    line.station = SerialPort(str(line.port), BAUD, 1.0)
    assert line.to_station() == SAID


def test_a_plc_that_does_not_read_loses_bytes_and_the_wire_goes_on(tmp_path: Path) -> None:
    line = Line(tmp_path, baud=4_000_000)
    for _ in range(400):  # 100 KiB; a pseudo-terminal with its buffers holds less
        line.station.write(SAID)
    assert line.to_station() == SAID
    assert line.relay.alive
    line.close()


def test_noise_makes_bytes_up(line: Line) -> None:
    line.relay.disturb(True)
    assert heard(line.station, 1) != b""
