"""Both ends of the register map on a wire: a server that answers, a client that polls and writes what has changed."""

from dataclasses import dataclass

from firmware_bridge.endpoint import HOLD_S, LinkTally
from firmware_bridge.events import Event, LineTrouble, Refused
from firmware_bridge.messages import Hello, Message, Role
from firmware_bridge.modbus import pdu as pdus
from firmware_bridge.modbus.framing import Framing
from firmware_bridge.modbus.handshake import Handshake
from firmware_bridge.modbus.register_map import Block
from firmware_bridge.modbus.station_handshake import StationHandshake
from firmware_bridge.timing import Timing

POLL_S = 0.005
"""The pause between two requests of a client that has nothing urgent to say."""

CHECK_S = 0.2
"""Interval at which a client reads its own blocks back; no multiple of that of its heartbeats, each a write."""

_TWO_WRITERS = (
    "another client, or the PLC's own program, writes the station's registers; give each station its own data block"
)


class _RegisterEnd:
    """Common part of both ends: handshake, framing, and the values of the other side."""

    def __init__(self, handshake: Handshake, timing: Timing, framing: Framing) -> None:
        self.handshake, self.timing, self.tally = handshake, timing, LinkTally()
        self._framing = framing
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

    def _put(self, pdu: bytes, now: float) -> None:
        self._outbox += self._framing.build(pdu, now)
        self.tally.sent += 1

    def _read_frames(self, data: bytes, now: float) -> list[bytes]:
        found = self._framing.feed(data, now)
        self.tally.received += len(found)
        return found

    def _noticed(self, now: float) -> list[Event]:
        return self._framing.events() + self._framing.disturbances.tick(now)

    def _take(self, now: float) -> list[Event]:
        values = {block.name: block.unpack(self._theirs[block.name]) for block in self.handshake.theirs}
        return self.handshake.take(values, now)


class RegisterServer(_RegisterEnd):
    """Answers requests: gives the registers of both sides, takes those of the other side."""

    def __init__(self, handshake: Handshake, timing: Timing, framing: Framing) -> None:
        """Begin to listen."""
        super().__init__(handshake, timing, framing)
        self._reply: bytes | None = None
        self._reply_at = 0.0

    def receive(self, data: bytes, now: float) -> list[Event]:
        """See Endpoint."""
        events: list[Event] = []
        for request in self._read_frames(data, now):
            self._reply, self._reply_at = pdus.answer(request, self._read, self._write), now + self._framing.gap_s
            if request[0] in (pdus.WRITE_ONE, pdus.WRITE_MANY) and not self._reply[0] & pdus.ERROR:
                events += self._take(now)
        return events

    def tick(self, now: float) -> list[Event]:
        """See Endpoint."""
        if self._reply and now >= self._reply_at:
            self._put(self._reply, now)
            self._reply = None
        return self._noticed(now) + self.handshake.tick(now)

    def next_tick(self) -> float:
        """See Endpoint."""
        due = min(self.handshake.next_tick(), self._framing.disturbances.next_tick())
        return min(due, self._reply_at) if self._reply else due

    def _read(self, wanted: range) -> list[int] | None:
        """Return any registers that lie within the map; one request is one moment."""
        image = {
            block.address + place: word
            for block in (*self.handshake.mine, *self.handshake.theirs)
            for place, word in enumerate(self._words(block))
        }
        return [image[address] for address in wanted] if all(address in image for address in wanted) else None

    def _words(self, block: Block) -> list[int]:
        return self._theirs[block.name] if block in self.handshake.theirs else self.handshake.image(block)

    def _write(self, start: int, words: list[int]) -> bool:
        places = {
            block.address + place: (self._theirs[block.name], place)
            for block in self.handshake.theirs
            for place in range(block.count)
        }
        addresses = range(start, start + len(words))
        if not all(address in places for address in addresses):
            return False
        for address, word in zip(addresses, words, strict=True):
            values, place = places[address]
            values[place] = word
        return True


@dataclass(frozen=True)
class _Request:
    """A request on its way: blocks that lie side by side, and the words to be written, None for a read."""

    blocks: tuple[Block, ...]
    words: list[int] | None = None

    @property
    def pdu(self) -> bytes:
        if self.words is None:
            return pdus.read_request(self.blocks[0].address, self.count)
        return pdus.write_request(self.blocks[0].address, self.words)

    @property
    def count(self) -> int:
        return sum(block.count for block in self.blocks)

    def __str__(self) -> str:
        return f"{'reading' if self.words is None else 'writing'} block {self.blocks[0].name}"


class RegisterClient(_RegisterEnd):
    """Polls: writes the first of its blocks that has changed, else reads those of the other side.

    Where other clients can write the registers too, it reads its own status block back, and suspends the `guarded`
    handshake while another one writes them.
    """

    def __init__(
        self,
        handshake: Handshake,
        timing: Timing,
        framing: Framing,
        poll_s: float = POLL_S,
        guarded: StationHandshake | None = None,
    ) -> None:
        """Begin to poll."""
        super().__init__(handshake, timing, framing)
        self._poll_s = max(poll_s or POLL_S, framing.gap_s)
        self._written: dict[str, list[int]] = {}
        self._pending: _Request | None = None
        self._due_at = 0.0  # of the next request, or the end of the wait for a reply
        self._read_next = True
        self._guarded, self._check_at = guarded, 0.0

    def receive(self, data: bytes, now: float) -> list[Event]:
        """See Endpoint."""
        events: list[Event] = []
        for reply in self._read_frames(data, now):
            events += self._on_reply(reply, now)
        return events

    def _on_reply(self, reply: bytes, now: float) -> list[Event]:
        request = self._pending
        if request is None:
            return []
        if reply[0] & pdus.ERROR:
            return self._refused(request, reply[1], now)
        if request.words is not None:
            if reply == request.pdu[:5]:
                self._written[request.blocks[0].name] = request.words
                self._answered(now)
            return []
        words = pdus.read_reply(reply, request.count)
        if words is None:
            return []
        self._answered(now)
        if request.blocks == self.handshake.theirs:
            return self._on_read(words, now)
        return self._on_check(request, words, now)

    def _on_read(self, words: list[int], now: float) -> list[Event]:
        start = 0
        for block in self.handshake.theirs:
            self._theirs[block.name] = words[start : start + block.count]
            start += block.count
        was_open = self.is_open
        events = self._take(now)
        if was_open is not self.is_open:
            self._written.clear()  # a server that has restarted has forgotten
        return events

    def _on_check(self, request: _Request, words: list[int], now: float) -> list[Event]:
        """Compare one's own blocks, as the server has them, with what was written last."""
        is_foreign = False
        for block in request.blocks:
            found, words = words[: block.count], words[block.count :]
            if self._written.get(block.name, found) != found:
                del self._written[block.name]
                is_foreign |= any(found)  # zeros are a server that has restarted
        if not is_foreign or self._guarded is None:
            return []
        events = self._framing.disturbances.note(LineTrouble.TWO_PEERS, _TWO_WRITERS, now)
        return events + self._guarded.suspend(now + HOLD_S, "another client writes the station's registers")

    def _answered(self, now: float) -> None:
        self._pending = None
        self._due_at = now + (self._framing.gap_s if self._changed() else self._poll_s)

    def _refused(self, request: _Request, code: int, now: float) -> list[Event]:
        self._pending, self._due_at = None, now + self.timing.silence_s
        return [Refused(Hello(Role.PLC, "modbus"), f"{request}: {self._framing.reason(code)}")]

    def _changed(self) -> Block | None:
        for block in self.handshake.mine:
            if self._written.get(block.name) != self.handshake.image(block):
                return block
        return None

    def tick(self, now: float) -> list[Event]:
        """See Endpoint."""
        events = self._noticed(now) + self.handshake.tick(now)
        if now >= self._due_at:
            if self._pending:
                self._pending = None
                self._written.clear()  # a server that comes back may have forgotten
            self._request(now)
        return events

    def next_tick(self) -> float:
        """See Endpoint."""
        return min(self.handshake.next_tick(), self._framing.disturbances.next_tick(), self._due_at)

    def _request(self, now: float) -> None:
        self._pending = self._next_request(now)
        self._due_at = now + self.timing.retry_s
        self._put(self._pending.pdu, now)

    def _next_request(self, now: float) -> _Request:
        # Reads and writes take turns, so that a value that changes all the time keeps neither out.
        block = None if self._read_next else self._changed()
        self._read_next = block is not None
        if block:
            return _Request((block,), self.handshake.image(block))
        if self._guarded and now >= self._check_at:
            self._check_at = now + CHECK_S
            return _Request(tuple(sorted(self.handshake.mine, key=lambda block: block.address)))
        return _Request(self.handshake.theirs)
