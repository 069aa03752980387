"""Test rig: a station process and the equipment around it, with faults on command."""

import random
import socket
import time
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass
from pathlib import Path

from firmware_bridge.simulator.plc import PlcSimulator
from firmware_bridge.wiring import LinkKind
from tools.fault_rig.equipment import camera, engine
from tools.fault_rig.equipment.disk import Disk, small_disk
from tools.fault_rig.equipment.relay import Relay
from tools.fault_rig.equipment.sensor import Sensor
from tools.fault_rig.equipment.switches import Switches
from tools.fault_rig.equipment.tcp_relay import HOST, TcpRelay
from tools.fault_rig.line_text import PLC_DEADLINE_S, LineText
from tools.fault_rig.places import Places
from tools.fault_rig.process import StationProcess
from tools.fault_rig.reloads import Reloads

BAUD = 115_200
DISK_MIB = 256
MAX_OPEN = 10_000
"""The belt does not wait for the station."""
SWITCHES = {
    "camera lost": camera.LOST,
    "camera frozen": camera.FROZEN,
    "engine error": engine.FAILS,
    "engine crash": engine.CRASHES,
}


@dataclass
class Rig:
    """The open parts of the rig; `throw` switches a fault of one of them."""

    line: LineText
    station: StationProcess
    plc: PlcSimulator
    reloads: Reloads
    _switches: Switches
    _disk: Disk
    _relay: Relay | TcpRelay
    _full: bool = False

    def throw(self, fault: str, on: bool) -> None:
        """Begin or end a fault; a reload has no end."""
        if fault in SWITCHES:
            self._switches.set(SWITCHES[fault], on)
        elif fault == "slow disk":
            (self._disk.freeze if on else self._disk.thaw)()
        elif fault == "full disk":
            self._full = on
            self._disk.empty()
        elif fault == "link cut":
            self._relay.cut(on)
        elif fault == "link unplugged":
            self._relay.unplug(on)
        elif fault == "noise":
            self._relay.disturb(on)
        elif on:
            good = fault == "good bundle"
            self.reloads.ask(self.line.good() if good else self.line.bad(), good)

    @property
    def broken(self) -> str:
        """Return the part of the rig that has stopped by itself; empty if none has."""
        gone = {"the station": self.station.alive, "the wire between PLC and station": self._relay.alive}
        return " and ".join(name for name, alive in gone.items() if not alive)

    def tick(self) -> None:
        """Apply the active faults; called many times per second."""
        if self._full:
            self._disk.fill()
        self.reloads.tick()


@contextmanager
def open_rig(
    places: Places, bundles: tuple[Path, Path], rate: float, seed: int, way: LinkKind = LinkKind.FRAMED
) -> Iterator[Rig]:
    """Start a station in a new folder; at the end of the block the faults end and the station stops.

    The PLC triggers `rate` parts per second from the moment at which the station has introduced itself.
    """
    with ExitStack() as opened:
        places.bundles.mkdir(parents=True)
        window_ms = min(40, 400 / rate)  # less than half of the time between two parts
        disk = opened.enter_context(small_disk(places.disk, DISK_MIB))
        sensor = opened.enter_context(closing(Sensor(places.sensor, time.monotonic)))
        plc = opened.enter_context(
            PlcSimulator(10**9, rate_hz=rate, max_open=MAX_OPEN, deadline_s=PLC_DEADLINE_S, sensor=sensor.edge, way=way)
        )
        wire, address = _wire(plc.address, places, way, random.Random(seed))
        relay = opened.enter_context(closing(wire))
        line = LineText(places, bundles, f"{camera.TRIGGERED}{window_ms:.0f}", address, random.Random(seed))
        places.line.write_text(line.first(), encoding="utf-8")
        station = StationProcess(places)
        opened.callback(station.stop)
        opened.callback(disk.thaw)
        reloads = Reloads(places.line, places.log, station.reload)
        yield Rig(line, station, plc, reloads, Switches(places.switches), disk, relay)


def _wire(address: str, places: Places, way: LinkKind, draw: random.Random) -> tuple[Relay | TcpRelay, str]:
    """Put the wire between the PLC's address and the station; give the station's address."""
    if not way.is_tcp:
        path = Path(address.partition("://")[2].partition("?")[0])
        return Relay(path, places.port, BAUD, draw, time.monotonic), address.replace(str(path), str(places.port))
    port = int(address.partition("?")[0].rpartition(":")[2])
    if not way.station_serves:
        relay = TcpRelay(0, port, draw, time.monotonic)
        return relay, address.replace(f":{port}", f":{relay.port}")
    station = _free_port()
    return TcpRelay(port, station, draw, time.monotonic), address.replace(f":{port}", f":{station}")


def _free_port() -> int:
    with socket.create_server((HOST, 0)) as listener:
        port: int = listener.getsockname()[1]
    return port
