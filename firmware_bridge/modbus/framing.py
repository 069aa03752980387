"""Modbus frames in a stream of bytes, serial and TCP; data blocks. The only file that touches pymodbus.

pymodbus builds frames and checks their CRC-16. Time and bytes are passed in, as everywhere here.
"""

from collections.abc import Callable
from typing import Protocol

from pymodbus.framer import FramerRTU, FramerSocket
from pymodbus.pdu import DecodePDU

from firmware_bridge.endpoint import Disturbances
from firmware_bridge.events import Event, LineTrouble
from firmware_bridge.modbus.pdu import reply_size, request_size
from firmware_bridge.modbus.register_map import DB_BYTES
from firmware_bridge.timing import MODBUS_BITS_PER_BYTE, silent_interval_s

_MAX_FRAME = 256  # MODBUS over Serial Line V1.02, section 2.4
_ROOM = 2 * _MAX_FRAME
_LEFT_OVER_S = 0.02
"""Bytes of a frame that come further apart than this are its remains; a scheduler or adapter holds them for 16 ms."""

_ECHO = (
    "our own frames come back; switch the adapter's echo off, or join the receiver's enable to the transmitter's "
    "(two-wire RS-485)"
)
_UNREADABLE = "bytes arrive, and none of them make a frame; compare baud rate, parity and stop bits, then A and B"


class Framing(Protocol):
    """Finds the frames of one direction and builds those of the other; `gap_s` is the pause in front of each."""

    gap_s: float
    disturbances: Disturbances

    def feed(self, data: bytes, now: float) -> list[bytes]:
        """Return the PDUs for this unit that `data` completes."""

    def build(self, pdu: bytes, now: float) -> bytes:
        """Return the frame of a PDU that is sent now."""

    def events(self) -> list[Event]:
        """Give, once, what was noticed on the wire."""

    def reason(self, code: int) -> str:
        """Say what a refusal with this code means and what to do."""


def _modbus_reason(code: int) -> str:
    return f"Modbus exception {code}: the register map there is another one"


class RtuFraming:
    """Frames of a serial bus, on which other units speak as well.

    A frame for this unit is found by its own length and CRC-16, wherever it begins: pauses between frames are lost in
    drivers and adapters.
    """

    def __init__(self, is_server: bool, unit: int, baud: int) -> None:
        """`is_server`: whether requests arrive, not replies."""
        self.gap_s, self.disturbances = silent_interval_s(baud), Disturbances()
        self._framer, self._unit = FramerRTU(DecodePDU(is_server)), unit
        self._size: Callable[[bytes], int | None] = request_size if is_server else reply_size
        self._byte_s = MODBUS_BITS_PER_BYTE / baud
        self._bytes, self._last_at = b"", 0.0
        self._burst = b""  # the first bytes since a pause, for telling other units' frames from noise
        self._sent, self._held, self._echo_until = b"", b"", 0.0
        self._events: list[Event] = []

    def feed(self, data: bytes, now: float) -> list[bytes]:
        """See Framing."""
        data = self._without_echo(data, now)
        if not data:
            return []
        if self._burst and now - self._last_at > max(_LEFT_OVER_S, self.gap_s):
            size, is_traffic = len(self._burst), self._starts_with_frame(self._burst)
            self._events += self.disturbances.heard(size, is_traffic, _UNREADABLE, now)
            self._bytes = self._burst = b""
        self._last_at = now
        self._burst = (self._burst + data)[:_MAX_FRAME]
        self._bytes = (self._bytes + data)[-_ROOM:]
        pdus = self._find()
        if pdus:
            self._events += self.disturbances.heard(0, True, _UNREADABLE, now)
        return pdus

    def build(self, pdu: bytes, now: float) -> bytes:
        """See Framing."""
        frame: bytes = self._framer.encode(pdu, self._unit, 0)
        self._held = b""
        self._sent, self._echo_until = frame, now + len(frame) * self._byte_s + _LEFT_OVER_S
        return frame

    def events(self) -> list[Event]:
        """See Framing."""
        events, self._events = self._events, []
        return events

    def reason(self, code: int) -> str:
        """See Framing."""
        return _modbus_reason(code)

    def _without_echo(self, data: bytes, now: float) -> bytes:
        """Take our own last frame off the front of what comes, where an adapter gives it back.

        A reply may begin as its request does, so that what was held back is given on once it turns out to differ.
        """
        data, self._held = self._held + data, b""
        if now > self._echo_until or not self._sent:
            return data
        if len(data) < len(self._sent) and self._sent.startswith(data):
            self._held = data
            return b""
        if data.startswith(self._sent):
            self._events += self.disturbances.note(LineTrouble.ECHO, _ECHO, now)
            data = data[len(self._sent) :]
        self._sent = b""
        return data

    def _find(self) -> list[bytes]:
        """Return the PDUs for this unit in what has come so far, and keep what may become one."""
        pdus: list[bytes] = []
        at, kept = 0, None
        while at + 4 <= len(self._bytes):
            frame = self._frame_at(at)
            if frame:
                pdus.append(frame[1:-2])
                at, kept = at + len(frame), None
            else:
                kept = at if kept is None and self._bytes[at] == self._unit else kept
                at += 1
        self._bytes = self._bytes[at if kept is None else kept :]
        return pdus

    def _frame_at(self, at: int) -> bytes | None:
        if self._bytes[at] != self._unit:
            return None
        size = self._size(self._bytes[at + 1 :])
        if size is None:
            return None
        frame = self._bytes[at : at + size + 3] if size else self._bytes[at:]
        whole = not size or len(frame) == size + 3
        return frame if whole and self._is_frame(frame) else None

    def _starts_with_frame(self, burst: bytes) -> bool:
        return any(self._is_frame(burst[:size]) for size in range(4, len(burst) + 1))

    def _is_frame(self, frame: bytes) -> bool:
        return len(frame) >= 4 and FramerRTU.compute_CRC(frame[:-2]) == int.from_bytes(frame[-2:], "big")


class TcpFraming:
    """Frames of a connection; a server replies to the transaction and unit of the request, a client asks with its own.

    Source: MODBUS Messaging on TCP/IP Implementation Guide V1.0b, section 3.1.3.
    """

    gap_s = 0.0

    def __init__(self, is_server: bool, unit: int) -> None:
        """`is_server`: whether requests arrive, not replies."""
        self.disturbances = Disturbances()
        self._framer, self._is_server = FramerSocket(DecodePDU(is_server)), is_server
        self._units = {unit, 0, 0xFF} if is_server else {unit}  # 0 and 255 where the unit is not used, section 4.4.2
        self._unit, self._transaction = unit, 0
        self._bytes, self._last_at = b"", 0.0

    def feed(self, data: bytes, now: float) -> list[bytes]:
        """See Framing."""
        if now - self._last_at > 1.0:
            self._bytes = b""  # of a connection that has ended
        self._last_at = now
        self._bytes += data
        pdus: list[bytes] = []
        while len(self._bytes) >= 7:
            used, unit, transaction, pdu = self._framer.decode(self._bytes)
            if self._bytes[2:4] != b"\0\0" or int.from_bytes(self._bytes[4:6], "big") > _MAX_FRAME:
                self._bytes = b""  # no header of Modbus
            if not used or not self._bytes:
                break
            self._bytes = self._bytes[used:]
            if pdu and unit in self._units and (self._is_server or transaction == self._transaction):
                self._unit, self._transaction = unit, transaction
                pdus.append(pdu)
        return pdus

    def build(self, pdu: bytes, now: float) -> bytes:
        """See Framing."""
        if not self._is_server:
            self._transaction = (self._transaction + 1) % 0x10000
        frame: bytes = self._framer.encode(pdu, self._unit, self._transaction)
        return frame

    def events(self) -> list[Event]:
        """See Framing."""
        return []

    def reason(self, code: int) -> str:
        """See Framing."""
        return _modbus_reason(code)


_NOT_PERMITTED = "the CPU does not permit it; permit PUT/GET access under Protection & Security"
_S7_REASONS = {
    0x03: _NOT_PERMITTED,
    0x05: f"the data block is shorter than {DB_BYTES} bytes; take its source from plc_data_block.scl",
    0x0A: "no such data block; compare db= with its number, and switch its optimised block access off",
    0x81: _NOT_PERMITTED,
    0x84: f"no such data block, or one shorter than {DB_BYTES} bytes; take its source from plc_data_block.scl",
}
"""Return codes of an item and error classes of a reply, which share no number."""


class DataBlockFraming:
    """Requests and replies of a port that keeps them apart by itself: the data block of an S7."""

    gap_s = 0.0

    def __init__(self) -> None:
        self.disturbances = Disturbances()

    def feed(self, data: bytes, now: float) -> list[bytes]:
        """See Framing."""
        return [data] if data else []

    def build(self, pdu: bytes, now: float) -> bytes:
        """See Framing."""
        return pdu

    def events(self) -> list[Event]:
        """See Framing."""
        return []

    def reason(self, code: int) -> str:
        """See Framing."""
        return _S7_REASONS.get(code, f"S7 error 0x{code:02X}; see the CPU's manual")
