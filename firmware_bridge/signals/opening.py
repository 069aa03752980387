"""Port and end of the station for an address of the 24 V handshake.

io-gpio:///dev/gpiochip0?trigger=17&ready=22&busy=23&ok=24&ng=25&strobe=26&error=27
io-modbus-tcp://192.168.1.20:502?input=0&coil=0
io-modbus-rtu:///dev/ttyUSB0?baud=115200&unit=1
"""

from collections.abc import Callable

from firmware_bridge.address import Address, one_of, whole_number
from firmware_bridge.endpoint import Endpoint
from firmware_bridge.port import BAUD_DEFAULT, BAUD_RANGE, Port, SerialPort
from firmware_bridge.signals.ends import COILS, LineEnd, ModuleClient
from firmware_bridge.signals.gpio_port import LINES, lines_of, open_gpio_port
from firmware_bridge.signals.station_signals import StationSignals
from firmware_bridge.signals.terminals import TIMES_MS, read_times
from firmware_bridge.tcp_port import TcpClientPort
from firmware_bridge.timing import Timing

_TIMES = (*TIMES_MS, "mode")
_MODULE = ("unit", "input", "coil")
SIGNAL_SCHEMES = {
    "io-gpio": (*LINES, "active", "trigger_active", *_TIMES),
    "io-modbus-tcp": (*_MODULE, *_TIMES),
    "io-modbus-rtu": ("baud", "parity", *_MODULE, *_TIMES),
}
"""Options of each scheme."""

RETRY_S = 0.1
"""A request to a module is repeated after this long, or after a polling cycle if that is longer."""
_WRITE_TIMEOUT_S = 0.2
_ADDRESSES = range(0x10000 - COILS)


def open_terminals(address: str, parts: Address, now: float) -> tuple[Callable[[], Port], Endpoint]:
    """Return what opens the port, and the end that speaks over it.

    Raises AddressInvalid.
    """
    times = read_times(address, parts.options)
    signals = StationSignals(times, now)
    if parts.scheme == "io-gpio":
        lines_of(address, parts.options)
        return lambda: open_gpio_port(address, parts), LineEnd(signals, times, Timing())
    from firmware_bridge.modbus.framing import Framing, RtuFraming, TcpFraming

    unit, first_input, coil = (
        whole_number(address, parts.options, name, default, allowed)
        for name, default, allowed in (("unit", 1, range(256)), ("input", 0, _ADDRESSES), ("coil", 0, _ADDRESSES))
    )
    if parts.scheme == "io-modbus-tcp":
        framing: Framing = TcpFraming(False, unit)
        client = ModuleClient(signals, times, Timing(retry_s=RETRY_S), framing, first_input, coil)
        return lambda: TcpClientPort(parts.host, parts.port), client
    baud = whole_number(address, parts.options, "baud", BAUD_DEFAULT, BAUD_RANGE)
    parity = one_of(address, parts.options, "parity", ("E", "O", "N"))
    timing, stop_bits = Timing.for_modbus(baud), 2 if parity == "N" else 1
    client = ModuleClient(signals, times, timing, RtuFraming(False, unit, baud), first_input, coil)
    return lambda: SerialPort(parts.path, baud, _WRITE_TIMEOUT_S, parity, stop_bits), client
