"""One contract for every wire to the ejector."""

import errno
import os
import termios
from collections.abc import Callable, Iterator
from typing import Literal

import pytest
import serial

from edge.ejector.gpio import GpioOptions, GpioOutput, explain, line_settings
from edge.ejector.modem_line import ModemLineOptions, ModemLineOutput
from edge.ejector.output import Output, SimulatedOutput
from edge.ejector.registry import open_output
from edge.errors import OutputError


class Line:
    """A GPIO line, as gpiod lends it."""

    def __init__(self) -> None:
        self.high, self.released, self.broken = False, False, False

    def set_value(self, line: int | str, value: bool) -> None:
        """Move the line."""
        if self.broken:
            raise OSError(errno.EIO, "Input/output error")
        self.high = value

    def release(self) -> None:
        """Note it."""
        self.released = True


def simulated() -> tuple[Output, Callable[[], bool]]:
    output = SimulatedOutput()
    return output, lambda: output.on


def gpio() -> tuple[Output, Callable[[], bool]]:
    line = Line()
    return GpioOutput("gpio://", line, 7, True, False), lambda: line.high


def modem_line(pin: str, active: str) -> tuple[Output, Callable[[], bool]]:
    """pyserial's own loop, in which RTS is seen as CTS and DTR as DSR."""
    port = serial.serial_for_url("loop://", do_not_open=True)
    output = ModemLineOutput("serial://loop", port, ModemLineOptions(pin=pin, active=active))  # type: ignore[arg-type]
    return output, lambda: (port.cts if pin == "rts" else port.dsr) is (active == "high")


MAKERS = {
    "simulated": simulated,
    "gpio": gpio,
    "rts": lambda: modem_line("rts", "high"),
    "rts, active low": lambda: modem_line("rts", "low"),
    "dtr": lambda: modem_line("dtr", "high"),
}


@pytest.fixture(params=MAKERS)
def made(request: pytest.FixtureRequest) -> Iterator[tuple[Output, Callable[[], bool]]]:
    output, fires = MAKERS[request.param]()
    yield output, fires
    output.close()


def test_it_is_off_at_first_and_does_as_it_is_told(made: tuple[Output, Callable[[], bool]]) -> None:
    output, fires = made
    seen = [fires()]
    for on in (True, True, False, False, True):
        output.set(on)
        seen.append(fires())

    assert seen == [False, True, True, False, False, True]


def test_the_simulated_one_remembers_its_pulses() -> None:
    times = iter([1.0, 1.5, 2.0])
    output = SimulatedOutput(clock=lambda: next(times))
    for on in (False, True, True, False, True):
        output.set(on)

    assert output.switched == [(1.0, True), (1.5, False), (2.0, True)]
    assert output.pulses == 2


def test_a_wire_that_does_not_move_is_an_error_and_may_be_tried_again() -> None:
    line = Line()
    output = GpioOutput("gpio:///dev/gpiochip0?line=7", line, 7, True, False)
    line.broken = True
    with pytest.raises(OutputError, match=r"cannot be switched on .*Input/output"):
        output.set(True)
    line.broken = False
    output.set(True)

    assert line.high


@pytest.mark.parametrize(
    ("address", "problem"),
    [
        ("relay://1", "found the kind 'relay', expected one of gpio://, serial://, simulated://"),
        ("gpio:///dev/gpiochip0", "line: missing"),
        ("gpio:///dev/none?line=1", "/dev/none is no GPIO chip, .*gpiodetect"),
        ("gpio:///dev/null?line=1", "/dev/null is no GPIO chip, .*gpiodetect"),
        ("serial:///dev/none", "could not open port /dev/none"),
        ("serial:///dev/none?pin=cts", "pin: found 'cts', expected"),
        ("simulated://?active=low", "active: unknown"),
        ("simulated://?active=low&active=low", "found twice"),
    ],
)
def test_what_is_wrong_with_an_address_is_said(address: str, problem: str) -> None:
    pytest.importorskip("gpiod", reason="gpiod is not installed")
    with pytest.raises(OutputError, match=problem):
        open_output(address)


def test_a_port_without_control_lines_is_refused() -> None:
    near, far = os.openpty()
    try:
        with pytest.raises(OutputError, match="expected a serial port with control lines"):
            open_output(f"serial://{os.ttyname(far)}")
    finally:
        os.close(near)
        os.close(far)


class UnpluggedPort:
    """A serial port whose adapter is pulled while pyserial sets it up; `termios.error` is no OSError."""

    rts = dtr = closed = False

    def open(self) -> None:
        """Fail as tcflush does."""
        raise termios.error(errno.EIO, "Input/output error")

    def close(self) -> None:
        """Note it."""
        self.closed = True


def test_a_port_that_is_unplugged_while_it_is_opened_is_one_clear_line() -> None:
    port = UnpluggedPort()
    with pytest.raises(OutputError, match=r"Input/output error.*expected a serial port with control lines"):
        ModemLineOutput("serial:///dev/ttyUSB1", port, ModemLineOptions())
    assert port.closed


@pytest.mark.parametrize(
    ("number", "advice"), [(errno.EACCES, "usermod"), (errno.EBUSY, "in use"), (errno.EINVAL, "gpioinfo")]
)
def test_the_kernel_s_refusals_come_with_advice(number: int, advice: str) -> None:
    assert advice in explain("/dev/gpiochip0", "7", OSError(number, "refused"))


@pytest.mark.parametrize("active", ["high", "low"])
def test_a_gpio_line_is_requested_inactive_at_the_level_of_its_address(active: Literal["high", "low"]) -> None:
    gpiod = pytest.importorskip("gpiod", reason="gpiod is not installed")
    settings = line_settings(GpioOptions(line="7", active=active))

    assert (settings.active_low, settings.output_value) == (active == "low", gpiod.line.Value.INACTIVE)
    assert settings.direction is gpiod.line.Direction.OUTPUT


def test_the_simulated_one_is_opened_by_its_address() -> None:
    output = open_output("simulated://")

    assert isinstance(output, SimulatedOutput)
