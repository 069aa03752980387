"""One end of the framed line, without a clock and without a port: bytes and times in, bytes and events out.

It does not depend on the role. Of parts it knows only that a result answers a trigger of the same peer session, or is
not sent.

    UNKNOWN ──Hello──> KNOWN ──a frame addressed to us──> OPEN ──silence──> LOST ──a frame addressed to us──> OPEN

Each end draws a session number when it starts. Every frame bears both numbers, and what is not addressed to this
session, or not from the session that introduced itself, is dropped and answered by a Hello. So a peer that was
restarted is never taken for a repetition of itself, and nothing meant for its former life reaches it.
"""

from dataclasses import dataclass, field

from firmware_bridge.endpoint import Disturbances, LinkTally
from firmware_bridge.errors import MessageMalformed
from firmware_bridge.events import (
    Acknowledged,
    Event,
    HelloReceived,
    LineTrouble,
    PeerBack,
    PeerLost,
    Refused,
    Undelivered,
)
from firmware_bridge.framed.delivery import Delivery
from firmware_bridge.framed.frames import DELIMITER, FrameDecoder, encode_frame
from firmware_bridge.messages import (
    PROTOCOL_VERSION,
    SHADOW,
    Ack,
    ActiveAlarms,
    BeltPosition,
    Header,
    Heartbeat,
    Hello,
    Message,
    Offline,
    Result,
    State,
    Trigger,
    decode,
    encode,
)
from firmware_bridge.sequence import Seen, following
from firmware_bridge.timing import Timing

NOBODY = 0
"""The session number of a peer that has not introduced itself."""

OPEN_PARTS_LIMIT = 1024
"""Triggers remembered as unanswered; more than any line has between camera and ejector."""

_FORMER_S = 60.0
"""A session number that comes back within this time is no restart, which draws another one."""

_ECHO = "our own frames come back; look for a short between transmit and receive, or an adapter that echoes"
_TWO_PEERS = "two PLCs take turns on this wire; unplug one of them"
_UNREADABLE = "bytes arrive, and none of them make a frame; compare baud rate and parity, then the wiring"


@dataclass
class _Peer:
    """Session of the peer, as far as it is known."""

    number: int = NOBODY
    heard_at: float = 0.0  # the last frame of any kind
    answered_at: float = 0.0  # the last one addressed to us: it hears us, too
    hears_us: bool = False
    lost: bool = False
    seen: Seen = field(default_factory=Seen)
    open_parts: dict[tuple[int, int], None] = field(default_factory=dict)


class Session:
    """Sends and receives messages over bytes that may be lost, damaged, repeated or cut.

    `number` identifies this session for as long as it lives, 1 to 65535, drawn at random by the caller; `now` is
    in seconds of any monotonic clock and must not run backwards.
    """

    def __init__(
        self, hello: Hello, number: int, now: float, timing: Timing | None = None, shadow: bool = False
    ) -> None:
        """Begin: the first bytes to be written are a Hello. `shadow` goes into each Heartbeat."""
        if not 1 <= number <= 0xFFFF:
            raise ValueError(f"session number is {number}; it takes 1 to 65535")
        self.hello, self.number, self.timing = hello, number, timing or Timing()
        self.state, self._flags = State.RUNNING, SHADOW if shadow else 0
        self.peer_heartbeat: Heartbeat | None = None
        """The last one of the peer's session."""
        self.peer_hello: Hello | None = None
        self.tally = LinkTally()
        self.decoder = FrameDecoder()
        self.delivery = Delivery(self.timing)
        self._outbox = bytearray()
        self._peer = _Peer(answered_at=now)
        self._orphans: dict[tuple[int, int], None] = {}  # parts of the peer's former session, not yet answered
        self._retired, self._retired_until = NOBODY, now
        self._refused = NOBODY
        self._former: dict[int, float] = {}  # sessions of the peer that have ended, with the time
        self._disturbances = Disturbances()
        self._beats = 0
        self._beat_at = now
        self._greet(now)
        self._next_hello_at = now  # the first Hello is no answer, and does not hold up the answer to the peer's first

    @property
    def is_open(self) -> bool:
        """Whether both ends know each other's session and the peer is not silent."""
        return self._peer.hears_us and not self._peer.lost

    def send(self, message: Message, now: float) -> list[Event]:
        """Take a reliable message for delivery; give Undelivered at once where that is hopeless.

        Where the belt is, or which alarms are in force, is sent once, and not at all while the line is not open.
        """
        if isinstance(message, (ActiveAlarms, BeltPosition)):
            if self.is_open:
                self._put(message, now)
            return []
        if not message.RELIABLE:
            raise ValueError(f"a {type(message).__name__} is sent by the session itself")
        if isinstance(message, Result):
            part = (message.part_id, message.encoder)
            self._peer.open_parts.pop(part, None)
            if part in self._orphans:
                del self._orphans[part]
                return [Undelivered(message, "the peer has restarted since it triggered this part")]
        if isinstance(message, Offline):
            self.state = State.OFFLINE
        if not self.delivery.submit(message, now):
            return [Undelivered(message, "too many messages wait for the peer")]
        self._transmit(now)
        return []

    def receive(self, data: bytes, now: float) -> list[Event]:
        """Take bytes from the port, in pieces of any size."""
        events: list[Event] = []
        bodies = self.decoder.feed(data)
        size = len(data) - data.count(DELIMITER)
        events += self._disturbances.heard(size, bool(bodies), _UNREADABLE, now)
        for body in bodies:
            try:
                header, message = decode(body)
            except MessageMalformed:
                self.tally.malformed += 1
            else:
                events += self._on_message(header, message, now)
        return events

    def tick(self, now: float) -> list[Event]:
        """Run the timers: repetitions, heartbeats, deadlines of delivery, silence of the peer."""
        events = self._disturbances.tick(now)
        events += [Undelivered(message, "no acknowledgement") for message in self.delivery.expire(now)]
        if now >= self._peer.answered_at + self.timing.silence_s and not self._peer.lost:
            self._peer.lost, self._peer.hears_us = True, False
            events.append(PeerLost(now - self._peer.answered_at))
        if self._hello_wanted and now >= self._next_hello_at:
            self._greet(now)
        if now >= self._beat_at:
            self._beat(now)
        self._transmit(now)
        return events

    def next_tick(self) -> float:
        """Return the time at which `tick` next has something to do."""
        times = [self._beat_at, self._disturbances.next_tick(), self.delivery.next_due(self.is_open)]
        if self._hello_wanted:
            times.append(self._next_hello_at)
        if not self._peer.lost:
            times.append(self._peer.answered_at + self.timing.silence_s)
        return min(times)

    def outgoing(self) -> bytes:
        """Return the bytes to be written to the port; the session forgets them."""
        data = bytes(self._outbox)
        self._outbox.clear()
        return data

    def _on_message(self, header: Header, message: Message, now: float) -> list[Event]:
        if header.sender == self.number:
            self.tally.strangers += 1
            return self._disturbances.note(LineTrouble.ECHO, _ECHO, now)
        if isinstance(message, Hello):
            return self._on_hello(header, message, now)
        if header.sender != self._peer.number or header.sender == NOBODY:
            self.tally.strangers += 1
            self._want_hello(now)
            return []
        self._peer.heard_at = now
        if header.receiver != self.number:
            return self._not_heard(now)
        events = self._on_good_frame(now)
        if isinstance(message, Ack):
            if delivered := self.delivery.acknowledge(header.sequence):
                events.append(Acknowledged(delivered))
            self._transmit(now)
        elif message.RELIABLE:
            events += self._on_reliable(header.sequence, message, now)
        elif isinstance(message, Heartbeat):
            self.peer_heartbeat = message
        elif isinstance(message, (ActiveAlarms, BeltPosition)):
            events.append(message)
        return events

    def _on_reliable(self, sequence: int, message: Message, now: float) -> list[Event]:
        self._put(Ack(), now, sequence)
        if not self._peer.seen.first_time(sequence):
            self.tally.duplicates += 1
            return []
        self.tally.received += 1
        if isinstance(message, Trigger):
            self._peer.open_parts[message.part_id, message.encoder] = None
            if len(self._peer.open_parts) > OPEN_PARTS_LIMIT:
                del self._peer.open_parts[next(iter(self._peer.open_parts))]
        return [message]

    def _on_hello(self, header: Header, hello: Hello, now: float) -> list[Event]:
        if header.sender == NOBODY or (header.sender == self._retired and now < self._retired_until):
            self.tally.strangers += 1
            return []
        if reason := self._objection(hello):
            if self.is_open:
                return self._disturbances.note(LineTrouble.STRANGER, f"{reason}; the true peer answers as well", now)
            first_time, self._refused = header.sender != self._refused, header.sender
            return [Refused(hello, reason)] if first_time else []
        events: list[Event] = []
        is_new = header.sender != self._peer.number
        if is_new:
            events += self._adopt(header.sender, hello, now)
        self._peer.heard_at = now
        if header.receiver != self.number:
            return events + self._not_heard(now)
        if is_new:
            self._want_hello(now)
        return events + self._on_good_frame(now)

    def _objection(self, hello: Hello) -> str:
        if hello.protocol != PROTOCOL_VERSION:
            return f"{hello.name} speaks protocol version {hello.protocol}, this end {PROTOCOL_VERSION}; update one"
        if hello.role == self.hello.role:
            return f"{hello.name} has the role {hello.role.name} as this end has; check the wiring and the address"
        return ""

    def _adopt(self, number: int, hello: Hello, now: float) -> list[Event]:
        """Take up a new session of the peer; what was meant for the former one is given up."""
        former, self._peer = self._peer, _Peer(number, answered_at=now, lost=self._peer.lost)
        self._former = {one: at for one, at in self._former.items() if now < at + _FORMER_S} | {former.number: now}
        comes_back = self._former.pop(number, None) is not None
        self.peer_hello, self.peer_heartbeat = hello, None
        if former.number == NOBODY:
            return [HelloReceived(hello, restarted=False)]
        self._retired, self._retired_until = former.number, now + self.timing.silence_s
        self._orphans |= former.open_parts
        given_up = [Undelivered(message, "the peer has restarted") for message in self.delivery.abandon()]
        conflict = self._disturbances.note(LineTrouble.TWO_PEERS, _TWO_PEERS, now) if comes_back else []
        return [HelloReceived(hello, restarted=True), *given_up, *conflict]

    def _not_heard(self, now: float) -> list[Event]:
        """The peer lives, but does not know this session."""
        self._peer.hears_us = False
        self._want_hello(now)
        return []

    def _on_good_frame(self, now: float) -> list[Event]:
        back: list[Event] = [PeerBack()] if self._peer.lost else []
        self._peer.answered_at, self._peer.lost, self._peer.hears_us = now, False, True
        self._transmit(now)
        return back

    def _transmit(self, now: float) -> None:
        if self.is_open:
            for number, message in self.delivery.due(now):
                self._put(message, now, number)

    def _want_hello(self, now: float) -> None:
        """Answer with a Hello, yet not with one for each frame of a burst."""
        self._hello_wanted = True
        if now >= self._next_hello_at:
            self._greet(now)

    def _greet(self, now: float) -> None:
        self._hello_wanted, self._next_hello_at = False, now + self.timing.retry_s
        self._beat_at = now + self.timing.heartbeat_s
        self._put(self.hello, now)

    def _beat(self, now: float) -> None:
        """Show that this end lives; by a Hello as long as the peer does not know it."""
        if not self.is_open:
            return self._greet(now)
        self._beat_at = now + self.timing.heartbeat_s
        self._beats = following(self._beats)
        return self._put(Heartbeat(self.state, self._beats, self._flags), now)

    def _put(self, message: Message, now: float, sequence: int = 0) -> None:
        # A Hello that is addressed to 0 tells a silent peer that it is not heard, so that it introduces itself again.
        receiver = self._peer.number if now < self._peer.heard_at + self.timing.silence_s else NOBODY
        self._outbox += encode_frame(encode(Header(message.KIND, self.number, receiver, sequence), message))
        self.tally.sent += 1
