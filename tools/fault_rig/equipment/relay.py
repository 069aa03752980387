"""Serial link between PLC and station in real time, with faults: cut, unplugged, noise."""

import threading
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from random import Random

from firmware_bridge.port import SerialPort
from firmware_bridge.simulator.faulty_wire import Faults, FaultyWire
from firmware_bridge.simulator.pseudo_terminal import PseudoTerminal

WRITE_TIMEOUT_S = 0.05
"""Writes never wait: a reader that is too slow loses bytes."""
STEP_S = 0.002
"""Longest wait for bytes from one end before the other is served."""
WHOLE = Faults()
NOISY = Faults(burst=0.2, drop=0.1, duplicate=0.05, split=0.2)
"""Noise of a motor beside the cable: about one frame in three is damaged."""
NOISE_BYTES = 64
"""Largest number of random bytes inserted at a time."""


class Relay:
    """Forwards bytes between the PLC's port and the station's at the speed of a real link."""

    def __init__(self, plc: Path, port: Path, baud: int, random: Random, clock: Callable[[], float]) -> None:
        """Open `port`, a symbolic link that the station opens like any other, and start."""
        self._port, self._random, self._clock = port, random, clock
        self._plc = SerialPort(str(plc), baud, WRITE_TIMEOUT_S)
        self._station: PseudoTerminal | None = PseudoTerminal(port)
        self._wires = [FaultyWire(WHOLE, random, baud) for _ in range(2)]  # to the station, to the PLC
        self._unplugged, self._noisy = threading.Event(), threading.Event()
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="relay", daemon=True)
        self._thread.start()

    def cut(self, on: bool) -> None:
        """Drop all bytes in both directions; the ports stay open."""
        for wire in self._wires:
            wire.cut_until = float("inf") if on else 0.0

    def unplug(self, on: bool) -> None:
        """Remove the station's port, like an unplugged adapter."""
        _set(self._unplugged, on)

    def disturb(self, on: bool) -> None:
        """Damage forwarded bytes and insert random ones."""
        _set(self._noisy, on)

    @property
    def alive(self) -> bool:
        """Whether bytes are forwarded."""
        return self._thread.is_alive()

    def close(self) -> None:
        """Stop and remove the port."""
        self._stop.set()
        self._thread.join()
        self._plc.close()
        if self._station:
            self._station.close()

    def _run(self) -> None:
        to_station, to_plc = self._wires
        while not self._stop.is_set():
            self._plug()
            self._carry(self._plc.read(STEP_S), to_station)
            if self._station:
                self._carry(self._station.read(0), to_plc)
            self._strike()
            now = self._clock()
            with suppress(TimeoutError):  # a PLC that does not read loses bytes, as on a wire
                self._plc.write(to_plc.take(now))
            arrived = to_station.take(now)
            if self._station:
                self._station.write(arrived)

    def _carry(self, data: bytes, wire: FaultyWire) -> None:
        if data:
            wire.put(data, self._clock())

    def _plug(self) -> None:
        if self._unplugged.is_set() and self._station:
            self._station.close()
            self._station = None
        elif not self._unplugged.is_set() and not self._station:
            self._station = PseudoTerminal(self._port)

    def _strike(self) -> None:
        noisy = self._noisy.is_set()
        for wire in self._wires:
            wire.faults = NOISY if noisy else WHOLE
            if noisy and self._random.random() < 0.01:
                wire.put(self._random.randbytes(self._random.randint(1, NOISE_BYTES)), self._clock())


def _set(event: threading.Event, on: bool) -> None:
    if on:
        event.set()
    else:
        event.clear()
