"""The ways to speak, and the endpoint that each side needs for it."""

from enum import Enum

from firmware_bridge.endpoint import Endpoint
from firmware_bridge.framed.session import Session
from firmware_bridge.messages import Hello, Role
from firmware_bridge.modbus.handshake import Handshake
from firmware_bridge.modbus.plc_handshake import PlcHandshake
from firmware_bridge.modbus.station_handshake import StationHandshake
from firmware_bridge.timing import Timing

UNIT = 1
"""The Modbus address of whichever side is the server."""


class LinkKind(Enum):
    """How station and PLC speak; for Modbus, what the *station* is."""

    FRAMED = "serial"
    MODBUS_SERVER = "modbus-rtu server"
    MODBUS_CLIENT = "modbus-rtu client"


def endpoint(
    way: LinkKind,
    hello: Hello,
    number: int,
    now: float,
    baud: int,
    unit: int = UNIT,
    belt: bool = False,
    shadow: bool = False,
) -> Endpoint:
    """Make the end of the line that `hello` introduces.

    `number` is the session number; Modbus has none. `belt`: whether a PLC that serves the registers has the belt block
    as well. `shadow`: whether this station says that it is in shadow mode. pymodbus is needed only for Modbus.
    """
    if way is LinkKind.FRAMED:
        return Session(hello, number, now, Timing.for_baud(baud), shadow)
    from firmware_bridge.modbus.rtu import RtuClient, RtuServer

    timing = Timing.for_modbus(baud)
    is_station = hello.role is Role.EDGE
    handshake: Handshake = (
        StationHandshake(hello, timing, now, belt or way is LinkKind.MODBUS_SERVER, shadow)
        if is_station
        else PlcHandshake(timing, now)
    )
    kind = RtuServer if is_station == (way is LinkKind.MODBUS_SERVER) else RtuClient
    return kind(handshake, timing, unit, baud)
