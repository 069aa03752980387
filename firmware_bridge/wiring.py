"""The ways to speak, and the endpoint that each side needs for it."""

from enum import Enum

from firmware_bridge.endpoint import Endpoint
from firmware_bridge.framed.session import Session
from firmware_bridge.messages import Hello, Role
from firmware_bridge.modbus.handshake import Handshake
from firmware_bridge.modbus.plc_handshake import PlcHandshake
from firmware_bridge.modbus.station_handshake import StationHandshake
from firmware_bridge.timing import Timing

TCP_RETRY_S = 0.25
"""A request over a network is repeated after this long: TCP itself repeats what was lost."""

UNIT = 1
"""The Modbus address of whichever side is the server."""


class LinkKind(Enum):
    """Protocol between station and PLC; for Modbus, the role of the *station*."""

    FRAMED = "serial"
    MODBUS_SERVER = "modbus-rtu server"
    MODBUS_CLIENT = "modbus-rtu client"
    MODBUS_TCP_SERVER = "modbus-tcp server"
    MODBUS_TCP_CLIENT = "modbus-tcp client"
    S7 = "s7"
    IO_GPIO = "io-gpio"
    IO_MODBUS_RTU = "io-modbus-rtu"
    IO_MODBUS_TCP = "io-modbus-tcp"

    @property
    def is_tcp(self) -> bool:
        """Whether it runs over a network."""
        return self in (
            LinkKind.MODBUS_TCP_SERVER,
            LinkKind.MODBUS_TCP_CLIENT,
            LinkKind.S7,
            LinkKind.IO_MODBUS_TCP,
        )

    @property
    def is_signals(self) -> bool:
        """Whether it is the 24 V handshake, which has one part at a time, no ids, and no verdict but OK and NG."""
        return self in (LinkKind.IO_GPIO, LinkKind.IO_MODBUS_RTU, LinkKind.IO_MODBUS_TCP)

    @property
    def station_serves(self) -> bool:
        """Whether the station is a Modbus server."""
        return self in (LinkKind.MODBUS_SERVER, LinkKind.MODBUS_TCP_SERVER)

    @property
    def silence_advice(self) -> str:
        """Advice for a link on which nothing answers."""
        return _SILENCE_ADVICE[self]


_CABLE = "check that the PLC or controller runs, its baud rate, and the wires (TX goes to RX)"
_BUS = "baud rate and parity, and the wires (A to A, B to B)"
_PROGRAM = "that its program counts plc_heartbeat"
_SILENCE_ADVICE = {
    LinkKind.FRAMED: _CABLE,
    LinkKind.MODBUS_SERVER: f"check that the PLC runs and polls this unit, {_PROGRAM}, {_BUS}",
    LinkKind.MODBUS_CLIENT: f"check that the PLC runs and serves this unit, {_PROGRAM}, {_BUS}",
    LinkKind.MODBUS_TCP_SERVER: f"check that the PLC connects to this address, port and unit, {_PROGRAM}, that allow= "
    "names its address, and the network between",
    LinkKind.MODBUS_TCP_CLIENT: f"check that the PLC serves this address, port and unit, {_PROGRAM}, its firewall, and "
    "the network between",
    LinkKind.S7: f"check that the CPU is in RUN, {_PROGRAM}, its address, and the network between",
    LinkKind.IO_GPIO: "check that the chip of the pins is that of the address",
    LinkKind.IO_MODBUS_RTU: f"check that the module has power, its unit, {_BUS}",
    LinkKind.IO_MODBUS_TCP: "check that the module has power, its address, port and unit, and the network between",
}


def endpoint(
    way: LinkKind,
    hello: Hello,
    number: int,
    now: float,
    baud: int,
    unit: int = UNIT,
    belt: bool = False,
    shadow: bool = False,
    poll_s: float = 0.0,
) -> Endpoint:
    """Make the end of the line that `hello` introduces.

    `number` is the session number; Modbus has none. `belt`: whether a PLC that serves the registers has the belt block
    as well. `shadow`: whether this station says that it is in shadow mode. `poll_s`: pause between two
    requests of a client, 0 for the shortest. pymodbus is needed only for Modbus.
    """
    if way is LinkKind.FRAMED:
        return Session(hello, number, now, Timing.for_baud(baud), shadow)
    from firmware_bridge.modbus.framing import DataBlockFraming, Framing, RtuFraming, TcpFraming
    from firmware_bridge.modbus.register_end import RegisterClient, RegisterServer

    timing = Timing.for_modbus(baud) if not way.is_tcp else Timing(retry_s=TCP_RETRY_S)
    is_station = hello.role is Role.EDGE
    station = StationHandshake(hello, timing, now, belt or way.station_serves, shadow) if is_station else None
    handshake: Handshake = station or PlcHandshake(timing, now)
    is_server = is_station == way.station_serves
    framing: Framing
    if way is LinkKind.S7:
        framing = DataBlockFraming()
    else:
        framing = TcpFraming(is_server, unit) if way.is_tcp else RtuFraming(is_server, unit, baud)
    if is_server:
        return RegisterServer(handshake, timing, framing)
    return RegisterClient(handshake, timing, framing, poll_s, guarded=station if way is LinkKind.S7 else None)
