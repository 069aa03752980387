"""The 24 V handshake on GPIO lines: in memory as gpiod lends them, and gpio-sim of the kernel where it has that."""

import errno
import os
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from firmware_bridge.errors import AddressInvalid, LinkError, PortFailed, PortInUse, PortMissing, PortNotPermitted
from firmware_bridge.events import Event, HelloReceived, PeerLost, PortLost
from firmware_bridge.link import SerialLink, open_link
from firmware_bridge.messages import Hello, Result, Trigger, Verdict
from firmware_bridge.signals.ends import LineEnd
from firmware_bridge.signals.gpio_port import LINES, GpioPort, explain
from firmware_bridge.signals.station_signals import StationSignals
from firmware_bridge.signals.terminals import TRIGGER, SignalTimes, Terminal
from firmware_bridge.simulator.simulated_chip import SimulatedChip, SimulatedLines
from firmware_bridge.timing import Timing

ADDRESS = "io-gpio:///dev/gpiochip9?" + "&".join(f"{name}={number}" for number, name in enumerate(LINES))
GPIO_SIM = Path("/sys/kernel/config/gpio-sim")
PATIENCE_S = 20.0


class BrokenLines(SimulatedLines):
    """Lines of a chip that was unplugged."""

    def get_value(self, line: str) -> bool:
        raise OSError(errno.ENODEV, "No such device")

    def set_values(self, values: dict[str, bool]) -> None:
        raise OSError(errno.ENODEV, "No such device")


def test_levels_go_to_the_lines_of_their_names_and_trigger_comes_back() -> None:
    chip = SimulatedChip()
    port = chip.open_station()
    for terminal in Terminal:
        port.write(bytes([terminal]))
        assert chip.outputs == terminal
    assert port.read(0) == b"\0"
    chip.set_trigger(True)
    assert port.read(PATIENCE_S) == bytes([TRIGGER])


def test_every_output_is_off_once_the_port_is_closed() -> None:
    chip = SimulatedChip()
    port = chip.open_station()
    port.write(bytes([Terminal.READY | Terminal.OK]))
    port.close()
    assert chip.outputs == 0


def test_a_chip_that_is_gone_still_gives_its_lines_back() -> None:
    lines = BrokenLines(SimulatedChip())
    GpioPort(lines, {name: name for name in LINES}, True, False).close()
    assert lines.released


def test_a_chip_that_fails_is_an_event_and_no_error() -> None:
    lines = [BrokenLines(SimulatedChip())]
    end = LineEnd(StationSignals(SignalTimes(), 0.0), SignalTimes(), Timing())
    link = SerialLink(lambda: GpioPort(lines[0], {name: name for name in LINES}, True, False), end, time.monotonic)
    found = link.poll(0)
    link.close()
    assert any(isinstance(event, PortLost) for event in found)


def test_a_port_that_gives_no_samples_is_lost() -> None:
    end = LineEnd(StationSignals(SignalTimes(), 0.0), SignalTimes(), Timing())
    end.tick(0.0)
    assert [type(event) for event in end.receive(b"\0", 0.0)] == [HelloReceived]
    assert [type(event) for event in end.tick(1.1)] == [PeerLost]
    assert not end.is_open


def test_the_levels_are_written_again_without_a_change() -> None:
    end = LineEnd(StationSignals(SignalTimes(), 0.0), SignalTimes(), Timing())
    end.tick(0.0)
    first = end.outgoing()
    assert end.outgoing() == b""
    end.tick(SignalTimes().refresh_s)
    assert end.outgoing() == first == bytes([Terminal.ERROR])


@pytest.mark.parametrize(
    ("address", "reason"),
    [
        (ADDRESS.replace("&busy=2", ""), "found no busy, expected the number or name of each line"),
        (ADDRESS.replace("busy=2", "busy=1"), "named twice, expected 7 different"),
        (ADDRESS + "&active=no", "active=no, expected one of high, low"),
        (ADDRESS + "&baud=9600", "option 'baud'"),
    ],
)
def test_an_address_that_cannot_be_is_refused(address: str, reason: str) -> None:
    with pytest.raises(AddressInvalid, match=reason):
        open_link(address, Hello())


def test_a_chip_that_does_not_exist_is_named() -> None:
    with pytest.raises(LinkError, match="gpiod"):  # missing: the package, or the chip that gpiodetect lists
        open_link(ADDRESS, Hello())


@pytest.mark.parametrize(
    ("number", "kind"),
    [
        (errno.ENOENT, PortMissing),
        (errno.EACCES, PortNotPermitted),
        (errno.EBUSY, PortInUse),
        (errno.EINVAL, PortFailed),
    ],
)
def test_an_error_of_the_kernel_says_what_to_do(number: int, kind: type[LinkError]) -> None:
    error = explain("/dev/gpiochip0", OSError(number, "refused"))
    assert type(error) is kind
    assert "gpio" in str(error)


@pytest.fixture
def simulated_lines() -> Iterator[tuple[str, Path]]:
    """A chip of the kernel's gpio-sim with seven lines: its device, and the folder of its lines in sysfs."""
    pytest.importorskip("gpiod", reason="gpiod is not installed")
    if not os.access(GPIO_SIM, os.W_OK):
        pytest.skip(f"{GPIO_SIM} cannot be written: no gpio-sim in this kernel, or no root")
    folder = GPIO_SIM / f"edge-inspect-{os.getpid()}"
    bank = folder / "bank"
    bank.mkdir(parents=True)
    (bank / "num_lines").write_text(str(len(LINES)))
    (folder / "live").write_text("1")
    try:
        device = (folder / "dev_name").read_text().strip()
        chip = (bank / "chip_name").read_text().strip()
        yield f"/dev/{chip}", Path("/sys/devices/platform") / device / chip
    finally:
        (folder / "live").write_text("0")
        bank.rmdir()
        folder.rmdir()


def test_a_part_passes_over_the_lines_of_the_kernel(simulated_lines: tuple[str, Path]) -> None:
    device, lines = simulated_lines
    link = open_link(ADDRESS.replace("/dev/gpiochip9", device), Hello())

    def level(name: str) -> bool:
        return (lines / f"sim_gpio{LINES.index(name)}" / "value").read_text().strip() == "1"

    def poll_until(name: str) -> list[Event]:
        found: list[Event] = []
        end = time.monotonic() + PATIENCE_S
        while not level(name) and time.monotonic() < end:
            found += link.poll(0.001)
        assert level(name), name
        return found

    poll_until("ready")
    (lines / "sim_gpio0" / "pull").write_text("pull-up")
    found = poll_until("busy")
    (trigger,) = [event for event in found if isinstance(event, Trigger)]
    link.send(Result(trigger.part_id, 0, Verdict.OK))
    poll_until("strobe")
    assert (level("ok"), level("ng"), level("error")) == (True, False, True)
    (lines / "sim_gpio0" / "pull").write_text("pull-down")
    poll_until("ready")
    link.close()
