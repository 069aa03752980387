"""An input/output module as pymodbus serves one: the peer that none of our code has written."""

import asyncio
import threading
import time

from pymodbus.constants import ExcCodes
from pymodbus.server import ModbusTcpServer
from pymodbus.simulator import DataType, SimData, SimDevice

from firmware_bridge.messages import Result, Trigger
from firmware_bridge.signals.plc_signals import PlcSignals

FIRST_INPUT, COIL = 3, 16
READ_INPUTS, WRITE_COILS = 2, 15
PATIENCE_S = 20.0


class PymodbusModule:
    """TRIGGER is input 3, READY coil 16, of 32 each; a PLC sits at the terminals. Runs in a thread of its own."""

    def __init__(self, give_up_s: float) -> None:
        self.plc = PlcSignals(give_up_s)
        self.results: list[Result] = []
        self._lock = threading.Lock()
        self._ready = threading.Event()
        self._thread = threading.Thread(target=lambda: asyncio.run(self._serve()), name="module")
        self._thread.start()
        assert self._ready.wait(PATIENCE_S)

    @property
    def address(self) -> str:
        """Address for the station."""
        return f"io-modbus-tcp://127.0.0.1:{self._port}?input={FIRST_INPUT}&coil={COIL}"

    def part(self, part_id: int) -> None:
        """Let a part come to the PLC's sensor."""
        with self._lock:
            self.plc.send(Trigger(part_id, 70), time.monotonic())

    def close(self) -> None:
        """Switch the module off."""
        self._loop.call_soon_threadsafe(self._stop.set)
        self._thread.join()

    async def _serve(self) -> None:
        self._loop, self._stop = asyncio.get_running_loop(), asyncio.Event()
        bits = [SimData(0, count=32, values=False, datatype=DataType.BITS)]
        words = [SimData(0, values=0, datatype=DataType.REGISTERS)]
        device = SimDevice(1, simdata=(bits, bits, words, words), action=self._act)
        server = ModbusTcpServer(device, address=("127.0.0.1", 0))
        await server.listen()
        self._port = server.transport.sockets[0].getsockname()[1]
        self._ready.set()
        await self._stop.wait()
        await server.shutdown()

    async def _act(
        self, function: int, start: int, address: int, count: int, current: list[int], new: list[bool] | None
    ) -> ExcCodes | None:
        with self._lock:
            now = time.monotonic()
            if function == WRITE_COILS and new is not None:
                levels = sum(1 << place for place, on in enumerate(new) if on)
                self.results += [event for event in self.plc.sample(levels, now) if isinstance(event, Result)]
            self.plc.tick(now)
            if function == READ_INPUTS:
                current[0] = self.plc.levels << FIRST_INPUT
        return None
