"""Modbus RTU over bytes, either end of it: serves registers, or polls them. The only file that touches pymodbus.

pymodbus finds frames, checks their CRC-16, and knows the PDUs. Time and bytes are passed in, as everywhere here.
"""

from pymodbus.constants import ExcCodes
from pymodbus.exceptions import ModbusException
from pymodbus.framer import FramerRTU
from pymodbus.pdu import DecodePDU, ExceptionResponse, ModbusPDU
from pymodbus.pdu.register_message import (
    ReadHoldingRegistersRequest,
    ReadHoldingRegistersResponse,
    ReadInputRegistersRequest,
    ReadInputRegistersResponse,
    WriteMultipleRegistersRequest,
    WriteMultipleRegistersResponse,
    WriteSingleRegisterRequest,
    WriteSingleRegisterResponse,
)

from firmware_bridge.endpoint import LinkTally
from firmware_bridge.events import Event, Refused
from firmware_bridge.messages import Hello, Message, Role
from firmware_bridge.modbus.handshake import Handshake
from firmware_bridge.modbus.register_map import Block
from firmware_bridge.timing import Timing, silent_interval_s

_MAX_FRAME = 256  # MODBUS over Serial Line V1.02, section 2.4
_READS = (ReadHoldingRegistersRequest, ReadInputRegistersRequest)
_WRITES = (WriteMultipleRegistersRequest, WriteSingleRegisterRequest)
POLL_S = 0.005
"""The pause between two requests of a client that has nothing urgent to say."""


class _Frames:
    """Finds the frames of one direction; what is no frame is dropped at the next pause on the line."""

    def __init__(self, is_server: bool, unit: int, pause_s: float) -> None:
        self._framer, self._unit = FramerRTU(DecodePDU(is_server)), unit
        self._pause_s, self._last_at, self._bytes = pause_s, 0.0, b""

    def feed(self, data: bytes, now: float) -> ModbusPDU | None:
        """Give the frame for this unit that `data` completes.

        Raises ModbusException for a good frame that no PDU explains.
        """
        if now - self._last_at > self._pause_s:
            self._bytes = b""
        self._last_at = now
        self._bytes = (self._bytes + data)[-_MAX_FRAME:]
        taken, self._bytes = self._bytes, b""
        used, pdu = self._framer.handleFrame(taken, self._unit, 0)
        self._bytes = taken[used:]
        return pdu

    def build(self, pdu: ModbusPDU) -> bytes:
        pdu.dev_id = self._unit
        frame: bytes = self._framer.buildFrame(pdu)
        return frame


class _RtuEnd:
    """What both ends share: a handshake, its heartbeat, and the values of the other side."""

    def __init__(self, handshake: Handshake, timing: Timing, is_server: bool, unit: int, baud: int) -> None:
        self.handshake, self.timing, self.tally = handshake, timing, LinkTally()
        self._gap_s = silent_interval_s(baud)
        # A scheduler does not keep 3.5 characters; what the pause is for is to drop the remains of a damaged frame.
        self._frames = _Frames(is_server, unit, pause_s=max(0.02, self._gap_s))
        self._theirs = {block.name: [0] * block.count for block in handshake.theirs}
        self._outbox = b""

    @property
    def is_open(self) -> bool:
        """See Endpoint."""
        return self.handshake.is_open

    def send(self, message: Message, now: float) -> list[Event]:
        """See Endpoint."""
        return self.handshake.send(message, now)

    def outgoing(self) -> bytes:
        """See Endpoint."""
        data, self._outbox = self._outbox, b""
        return data

    def _put(self, pdu: ModbusPDU) -> None:
        self._outbox += self._frames.build(pdu)
        self.tally.sent += 1

    def _frame(self, data: bytes, now: float) -> ModbusPDU | None:
        try:
            pdu = self._frames.feed(data, now)
        except ModbusException:
            self.tally.malformed += 1
            return None
        self.tally.received += pdu is not None
        return pdu

    def _take(self, now: float) -> list[Event]:
        values = {block.name: block.unpack(self._theirs[block.name]) for block in self.handshake.theirs}
        return self.handshake.take(values, now)


class RtuServer(_RtuEnd):
    """Answers requests: gives the registers of both sides, takes those of the other side."""

    def __init__(self, handshake: Handshake, timing: Timing, unit: int, baud: int) -> None:
        """Begin to listen as `unit`."""
        super().__init__(handshake, timing, True, unit, baud)
        self._reply: ModbusPDU | None = None
        self._reply_at = 0.0

    def receive(self, data: bytes, now: float) -> list[Event]:
        """See Endpoint."""
        request = self._frame(data, now)
        if request is None:
            return []
        events: list[Event] = []
        if isinstance(request, _READS):
            self._reply = self._read(request)
        elif isinstance(request, _WRITES):
            self._reply = self._write(request)
            if not self._reply.isError():
                events = self._take(now)
        else:
            self._reply = ExceptionResponse(request.function_code, ExcCodes.ILLEGAL_FUNCTION)
        self._reply_at = now + self._gap_s
        return events

    def tick(self, now: float) -> list[Event]:
        """See Endpoint."""
        if self._reply and now >= self._reply_at:
            self._put(self._reply)
            self._reply = None
        return self.handshake.tick(now)

    def next_tick(self) -> float:
        """See Endpoint."""
        due = self.handshake.next_tick()
        return min(due, self._reply_at) if self._reply else due

    def _read(self, request: ModbusPDU) -> ModbusPDU:
        """Give any registers that lie within the map; one request is one moment."""
        image = {
            block.address + place: word
            for block in (*self.handshake.mine, *self.handshake.theirs)
            for place, word in enumerate(self._words(block))
        }
        wanted = range(request.address, request.address + request.count)
        if not all(address in image for address in wanted):
            return ExceptionResponse(request.function_code, ExcCodes.ILLEGAL_ADDRESS)
        answer = ReadHoldingRegistersResponse if request.function_code == 3 else ReadInputRegistersResponse
        return answer(registers=[image[address] for address in wanted])

    def _words(self, block: Block) -> list[int]:
        return self._theirs[block.name] if block in self.handshake.theirs else self.handshake.image(block)

    def _write(self, request: ModbusPDU) -> ModbusPDU:
        words = list(request.registers)
        whole = len(words) == (request.count or 1)  # function 6 has no count
        places = {
            block.address + place: (self._theirs[block.name], place)
            for block in self.handshake.theirs
            for place in range(block.count)
        }
        addresses = range(request.address, request.address + len(words))
        if not whole or not all(address in places for address in addresses):
            return ExceptionResponse(request.function_code, ExcCodes.ILLEGAL_ADDRESS)
        for address, word in zip(addresses, words, strict=True):
            values, place = places[address]
            values[place] = word
        return self._written(request)

    @staticmethod
    def _written(request: ModbusPDU) -> ModbusPDU:
        if request.function_code == WriteSingleRegisterRequest.function_code:
            return WriteSingleRegisterResponse(address=request.address, registers=list(request.registers))
        return WriteMultipleRegistersResponse(address=request.address, count=request.count)


class RtuClient(_RtuEnd):
    """Polls: writes the first of its blocks that has changed, else reads those of the other side."""

    def __init__(self, handshake: Handshake, timing: Timing, unit: int, baud: int, poll_s: float = POLL_S) -> None:
        """Begin to poll `unit`."""
        super().__init__(handshake, timing, False, unit, baud)
        self._poll_s = max(poll_s, self._gap_s)
        self._written: dict[str, list[int]] = {}
        self._pending: tuple[Block | None, list[int]] | None = None  # the block on its way, None for a read
        self._due_at = 0.0  # of the next request, or the end of the wait for a reply
        self._read_next = True

    def receive(self, data: bytes, now: float) -> list[Event]:
        """See Endpoint."""
        response = self._frame(data, now)
        if response is None or self._pending is None:
            return []
        block, words = self._pending
        if isinstance(response, ExceptionResponse):
            return self._refused(response, block, now)
        if block is None:
            return self._on_read(response, now)
        if isinstance(response, WriteMultipleRegistersResponse) and response.address == block.address:
            self._written[block.name] = words
            self._answered(now)
        return []

    def _on_read(self, response: ModbusPDU, now: float) -> list[Event]:
        if not isinstance(response, ReadHoldingRegistersResponse) or len(response.registers) != self._span[1]:
            return []
        start = 0
        for block in self.handshake.theirs:
            self._theirs[block.name] = list(response.registers[start : start + block.count])
            start += block.count
        self._answered(now)
        return self._take(now)

    def _answered(self, now: float) -> None:
        self._pending = None
        self._due_at = now + (self._gap_s if self._changed() else self._poll_s)

    def _refused(self, response: ModbusPDU, block: Block | None, now: float) -> list[Event]:
        self._pending, self._due_at = None, now + self.timing.silence_s
        what = f"writing block {block.name}" if block else "reading"
        reason = f"Modbus exception {response.exception_code} on {what}: the register map there is another one"
        return [Refused(Hello(Role.PLC, "modbus"), reason)]

    @property
    def _span(self) -> tuple[int, int]:
        """Address and count that one read covers; the blocks of one side lie side by side."""
        return self.handshake.theirs[0].address, sum(block.count for block in self.handshake.theirs)

    def _changed(self) -> Block | None:
        for block in self.handshake.mine:
            if self._written.get(block.name) != self.handshake.image(block):
                return block
        return None

    def tick(self, now: float) -> list[Event]:
        """See Endpoint."""
        events = self.handshake.tick(now)
        if now >= self._due_at:
            if self._pending:
                self._pending = None
                self._written.clear()  # whoever comes back may have forgotten
            self._request(now)
        return events

    def next_tick(self) -> float:
        """See Endpoint."""
        return min(self.handshake.next_tick(), self._due_at)

    def _request(self, now: float) -> None:
        # Reads and writes take turns, so that a value that changes all the time keeps neither out.
        block = None if self._read_next else self._changed()
        self._read_next = block is not None
        self._due_at = now + self.timing.retry_s
        if block:
            words = self.handshake.image(block)
            self._pending = (block, words)
            self._put(WriteMultipleRegistersRequest(address=block.address, registers=words))
        else:
            address, count = self._span
            self._pending = (None, [])
            self._put(ReadHoldingRegistersRequest(address=address, count=count))
