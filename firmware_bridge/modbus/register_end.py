"""Both ends of the register map on a wire: a server that answers, a client that polls and writes what has changed."""

from firmware_bridge.endpoint import LinkTally
from firmware_bridge.events import Event, Refused
from firmware_bridge.messages import Hello, Message, Role
from firmware_bridge.modbus import pdu as pdus
from firmware_bridge.modbus.framing import Framing
from firmware_bridge.modbus.handshake import Handshake
from firmware_bridge.modbus.register_map import Block
from firmware_bridge.timing import Timing

POLL_S = 0.005
"""The pause between two requests of a client that has nothing urgent to say."""


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
        """Give any registers that lie within the map; one request is one moment."""
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


class RegisterClient(_RegisterEnd):
    """Polls: writes the first of its blocks that has changed, else reads those of the other side."""

    def __init__(self, handshake: Handshake, timing: Timing, framing: Framing, poll_s: float = POLL_S) -> None:
        """Begin to poll."""
        super().__init__(handshake, timing, framing)
        self._poll_s = max(poll_s, framing.gap_s)
        self._written: dict[str, list[int]] = {}
        self._pending: tuple[Block | None, list[int]] | None = None  # the block on its way, None for a read
        self._due_at = 0.0  # of the next request, or the end of the wait for a reply
        self._read_next = True

    def receive(self, data: bytes, now: float) -> list[Event]:
        """See Endpoint."""
        events: list[Event] = []
        for reply in self._read_frames(data, now):
            events += self._on_reply(reply, now)
        return events

    def _on_reply(self, reply: bytes, now: float) -> list[Event]:
        if self._pending is None:
            return []
        block, words = self._pending
        if reply[0] & pdus.ERROR:
            return self._refused(reply, block, now)
        if block is None:
            return self._on_read(reply, now)
        if reply == pdus.write_request(block.address, words)[:5]:
            self._written[block.name] = words
            self._answered(now)
        return []

    def _on_read(self, reply: bytes, now: float) -> list[Event]:
        words = pdus.read_reply(reply, self._span[1])
        if words is None:
            return []
        start = 0
        for block in self.handshake.theirs:
            self._theirs[block.name] = words[start : start + block.count]
            start += block.count
        self._answered(now)
        return self._take(now)

    def _answered(self, now: float) -> None:
        self._pending = None
        self._due_at = now + (self._framing.gap_s if self._changed() else self._poll_s)

    def _refused(self, reply: bytes, block: Block | None, now: float) -> list[Event]:
        self._pending, self._due_at = None, now + self.timing.silence_s
        what = f"writing block {block.name}" if block else "reading"
        reason = f"Modbus exception {reply[1]} on {what}: the register map there is another one"
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
        # Reads and writes take turns, so that a value that changes all the time keeps neither out.
        block = None if self._read_next else self._changed()
        self._read_next = block is not None
        self._due_at = now + self.timing.retry_s
        if block:
            words = self.handshake.image(block)
            self._pending = (block, words)
            self._put(pdus.write_request(block.address, words), now)
        else:
            self._pending = (None, [])
            self._put(pdus.read_request(*self._span), now)
