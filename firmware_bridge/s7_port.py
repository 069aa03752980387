"""A data block of a Siemens S7 as a port, from either end. The only file that touches python-snap7.

Requests and replies are those of `modbus.pdu`: register n of the map lies at byte 2 n of the data block, big-endian as
everything in an S7. python-snap7 builds and reads the S7 protocol's own frames.
"""

import select
import struct
import threading
import time
from collections.abc import Callable
from typing import Any

from snap7.connection import ISOTCPConnection
from snap7.datatypes import S7Area, S7WordLen
from snap7.error import S7ConnectionError, S7Error, S7ProtocolError, S7StalePacketError, S7TimeoutError
from snap7.s7protocol import S7Protocol
from snap7.server import Server
from snap7.type import SrvArea

from firmware_bridge.errors import PortFailed
from firmware_bridge.modbus import pdu as pdus
from firmware_bridge.modbus.register_map import DB_BYTES, written_by
from firmware_bridge.tcp_port import CONNECT_S, RECONNECT_S

SCAN_S = 0.002
"""Half a cycle of the simulated PLC."""

_STATION_TSAP, _BASIC_CONNECTION = 0x0100, 3
_SUCCESS = 0xFF
_FROM_PLC, _TO_PLC = written_by("PLC"), written_by("station")


class S7ClientPort:
    """A connection to a CPU, which need not be there yet; it is tried again and again.

    `write` takes one request, `read` gives its reply. An error of the CPU becomes an exception reply with its code.
    """

    def __init__(
        self, host: str, port: int, db: int, rack: int, slot: int, clock: Callable[[], float] = time.monotonic
    ) -> None:
        """Begin without a connection."""
        self._protocol = S7Protocol()
        self._connection: ISOTCPConnection | None = None
        self._peer, self._db, self._clock, self._try_at = (host, port), db, clock, 0.0
        self._tsap = _BASIC_CONNECTION << 8 | rack << 5 | slot
        self._request = b""

    def read(self, timeout_s: float) -> bytes:
        """See Port."""
        if self._connection is None and self._clock() >= self._try_at:
            self._connect()
        if self._connection is None:
            select.select([], [], [], min(timeout_s, RECONNECT_S))
            return b""
        return self._reply() if self._connection.data_available(timeout_s) else b""

    def write(self, data: bytes) -> None:
        """See Port; without a connection the request is lost."""
        if self._connection is None or not data:
            return
        self._request = data
        address, count = struct.unpack(">HH", data[1:5])
        if data[0] == pdus.WRITE_MANY:
            request = self._protocol.build_write_request(S7Area.DB, self._db, 2 * address, S7WordLen.BYTE, data[6:])
        else:
            request = self._protocol.build_read_request(S7Area.DB, self._db, 2 * address, S7WordLen.BYTE, 2 * count)
        try:
            self._connection.send_data(request)
        except (S7Error, OSError):
            self._drop()

    def _connect(self) -> None:
        self._try_at = self._clock() + RECONNECT_S
        host, port = self._peer
        connection = ISOTCPConnection(host, port, local_tsap=_STATION_TSAP, remote_tsap=self._tsap)
        try:
            connection.connect(CONNECT_S)
            connection.send_data(self._protocol.build_setup_communication_request())
            self._protocol.parse_response(connection.receive_data())
        except (S7Error, OSError):  # not there yet: the handshake notices the silence, and its alarm names it
            connection.disconnect()
        else:
            self._connection, self._request = connection, b""

    def _reply(self) -> bytes:
        """Read one reply and give it as that of the register request."""
        assert self._connection is not None
        try:
            response = self._protocol.parse_response(self._connection.receive_data())
            self._protocol.validate_pdu_reference(response["sequence"])
            return self._translated(response)
        except S7StalePacketError:
            return b""
        except (S7ConnectionError, S7TimeoutError, OSError):
            self._drop()
            return b""
        except S7ProtocolError as error:
            return self._refusal((error.error_code or 0) >> 8)
        except (S7Error, struct.error, ValueError):  # bytes that are no S7 protocol
            self._drop()
            return b""

    def _translated(self, response: dict[str, Any]) -> bytes:
        if not self._request:
            return b""
        item = response.get("data") or {}
        if item.get("return_code") != _SUCCESS:
            return self._refusal(item.get("return_code", 0))
        if self._request[0] == pdus.WRITE_MANY:
            self._protocol.check_write_response(response)
            return self._request[:5]
        size = 2 * int.from_bytes(self._request[3:5], "big")
        return bytes([self._request[0], size, *self._protocol.extract_read_data(response, S7WordLen.BYTE, size)])

    def _refusal(self, code: int) -> bytes:
        return pdus.refusal(self._request[0], code) if self._request else b""

    def _drop(self) -> None:
        if self._connection is not None:
            self._connection.disconnect()
            self._connection = None

    def close(self) -> None:
        """See Port."""
        self._drop()


class S7ServerPort:
    """The PLC's end for the simulator: a CPU with the data block, whose program passes registers on in each cycle.

    `read` gives the station's blocks as a write request, then a read request for the PLC's, in turn; `write` takes the
    replies.
    """

    def __init__(self, host: str, port: int = 0, db: int = 1, size: int = DB_BYTES) -> None:
        """Start the CPU; raises PortFailed."""
        self._block = bytearray(size)
        self._server, self._db = Server(log=False), db
        self._server.register_area(SrvArea.DB, db, self._block)
        try:
            self._server.start_to(host, port)
        except S7Error as error:
            raise PortFailed(f"{host}:{port}: does not open: {error}; expected a free port of this machine") from error
        assert self._server.server_socket
        self.port: int = self._server.server_socket.getsockname()[1]
        self.runs = True
        """False while the CPU is in STOP: the data block can be read and written, and no program runs."""
        self._program_reads, self._stopping = True, threading.Event()

    def read(self, timeout_s: float) -> bytes:
        """See Port."""
        self._stopping.wait(min(timeout_s, SCAN_S))
        if not self.runs:
            return b""
        self._program_reads = not self._program_reads
        if self._program_reads:
            return pdus.read_request(_FROM_PLC.start, len(_FROM_PLC))
        return pdus.write_request(_TO_PLC.start, self._words(_TO_PLC))

    def write(self, data: bytes) -> None:
        """See Port."""
        words = pdus.read_reply(data, len(_FROM_PLC))
        if words is not None:
            self.put(_FROM_PLC.start, words)

    def put(self, register: int, words: list[int]) -> None:
        """Write registers into the data block, all at one moment."""
        self._server.lock_area(SrvArea.DB, self._db)
        struct.pack_into(f">{len(words)}H", self._block, 2 * register, *words)
        self._server.unlock_area(SrvArea.DB, self._db)

    def _words(self, registers: range) -> list[int]:
        self._server.lock_area(SrvArea.DB, self._db)
        words = struct.unpack_from(f">{len(registers)}H", self._block, 2 * registers.start)
        self._server.unlock_area(SrvArea.DB, self._db)
        return list(words)

    def close(self) -> None:
        """See Port."""
        self._stopping.set()
        self._server.stop()
