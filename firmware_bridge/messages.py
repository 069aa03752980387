"""The messages of the framed line: what they say, which number each has, how each field lies on the wire.

A frame's body is a header (`Header`), the payload of one message, and the checksum that frames.py adds.
"""

from dataclasses import dataclass, replace
from enum import IntEnum
from typing import Annotated, Any, ClassVar

from firmware_bridge.errors import MessageMalformed
from firmware_bridge.layout import (
    U8,
    U16,
    U32,
    Box,
    Counts,
    CountsOrNone,
    Layout,
    Score,
    Sha256,
    ShortId,
    Text16,
    Text32,
    bits,
    choice,
    choice_with_complement,
    unsigned,
)

PROTOCOL_VERSION = 3
"""Goes up when an old peer would misread a new message; peers of different versions refuse each other."""


AGE_LIMIT_MS = 0xFFFF
"""A Trigger of this age is this old or older; no picture of its part can be taken any more."""

AGE_UNKNOWN = 1
"""Flag of a Trigger: the sender cannot tell how long ago the part came, and `age_ms` means nothing."""

SHADOW = 1
"""Flag of a Result or a Heartbeat of the station: shadow mode, every part is told OK whatever was found."""


class Verdict(IntEnum):
    """Verdict on a part; any value but OK means reject."""

    NONE = 0
    OK = 1
    NG = 2
    UNSURE = 3
    TIMEOUT = 4
    FAULT = 5


class Role(IntEnum):
    """Role of a peer on the line; two peers of the same role refuse each other."""

    EDGE = 1
    PLC = 2


class State(IntEnum):
    """State of a heartbeat's sender; OFFLINE after it has sent Offline."""

    RUNNING = 1
    OFFLINE = 2


class FaultCode(IntEnum):
    """Failed component of the sender."""

    CAMERA = 1
    ENGINE = 2
    BUNDLE = 3
    DISK = 4
    LINK = 5
    OUTPUT = 6
    DRIFT = 7
    BELT = 8
    OTHER = 255

    @property
    def bit(self) -> int:
        """Its bit in a word of all kinds of fault: 1 << code, and bit 0 for OTHER."""
        return 1 << (0 if self is FaultCode.OTHER else self.value)


class OnSilence(IntEnum):
    """Reaction of the reject controller while the edge is silent, late or confused."""

    REJECT_ALL = 0
    STOP_LINE = 1


class Message:
    """A message with a number of its own.

    A reliable message has a sequence number and is repeated until it is acknowledged. Creating one checks each field
    and raises FieldOutOfRange.
    """

    KIND: ClassVar[int] = 0
    RELIABLE: ClassVar[bool] = False
    LAYOUT: ClassVar[Layout]

    def __init_subclass__(cls, kind: int, reliable: bool, **rest: Any) -> None:
        """Enter the class in the table of kinds."""
        super().__init_subclass__(**rest)
        cls.KIND, cls.RELIABLE, cls.LAYOUT = kind, reliable, Layout(cls)
        KINDS[kind] = cls

    def __post_init__(self) -> None:
        """Refuse a value that has no place on the wire, where it was made."""
        self.LAYOUT.pack(self)

    def aged(self, elapsed_s: float) -> "Message":
        """Return the message as sent `elapsed_s` seconds after it was made; only a Trigger has an age."""
        return self


KINDS: dict[int, type[Message]] = {}
"""Every message class by the number in its frame."""


@dataclass(frozen=True)
class Hello(Message, kind=1, reliable=False):
    """Introduction of a session; sent first, and again whenever the peer seems not to know it.

    Its layout is the same in every version of the protocol, so that each can tell the other its own.
    """

    role: Annotated[Role, choice(Role)] = Role.EDGE
    name: Text16 = "edge-inspect"
    software: Text16 = ""
    bundle_id: Sha256 = ""
    protocol: U8 = PROTOCOL_VERSION


@dataclass(frozen=True)
class Ack(Message, kind=2, reliable=False):
    """The message with this frame's sequence number has arrived."""


@dataclass(frozen=True)
class Heartbeat(Message, kind=3, reliable=False):
    """The sender lives; `count` goes up by one with each Heartbeat."""

    state: Annotated[State, choice(State)]
    count: U16
    flags: Annotated[int, bits("B", {"SHADOW": SHADOW})] = 0


@dataclass(frozen=True)
class Trigger(Message, kind=4, reliable=True):
    """A part is in front of the camera; `encoder` is the count at the trigger edge.

    `age_ms` is the time from that edge to the sending of just this frame, 65535 for that long or longer. `recipe` is
    the one by which the part is to be judged, 0 for whichever is in force; another one in force makes the part FAULT.
    """

    part_id: U32
    encoder: U32
    age_ms: U16 = 0
    recipe: U16 = 0
    flags: Annotated[int, bits("B", {"AGE_UNKNOWN": AGE_UNKNOWN})] = 0

    @property
    def age_s(self) -> float | None:
        """Age of the trigger in seconds; None if the sender does not know it."""
        return None if self.flags & AGE_UNKNOWN else self.age_ms / 1e3

    def aged(self, elapsed_s: float) -> "Trigger":
        """See Message."""
        return replace(self, age_ms=min(AGE_LIMIT_MS, self.age_ms + round(elapsed_s * 1e3)))


@dataclass(frozen=True)
class Result(Message, kind=5, reliable=True):
    """The one verdict on the part that `part_id` and `encoder` name, both as its trigger had them.

    `class_index` counts from 1 (0 = none); `box` is (x, y, width, height) of the worst defect in frame pixels. `recipe`
    and `bundle` (first 4 bytes of the bundle id) are those by which the part was judged, 0 where it was not.
    """

    part_id: U32
    encoder: U32
    verdict: Annotated[Verdict, choice_with_complement(Verdict)]
    class_index: U8 = 0
    score: Score = 0.0
    area_px: U32 = 0
    box: Box = (0, 0, 0, 0)
    latency_us: U32 = 0
    recipe: U16 = 0
    bundle: ShortId = ""
    flags: Annotated[int, bits("B", {"SHADOW": SHADOW})] = 0


@dataclass(frozen=True)
class Fault(Message, kind=6, reliable=True):
    """Something has just failed at the sender; `part_id` is 0 where no part is concerned."""

    code: Annotated[FaultCode, choice(FaultCode)]
    part_id: U32 = 0
    text: Text32 = ""


@dataclass(frozen=True)
class Changeover(Message, kind=7, reliable=True):
    """From the PLC: change to this recipe (0 = say which is in force). From the edge: this one is in force."""

    recipe: U16
    bundle_id: Sha256 = ""


@dataclass(frozen=True)
class Settings(Message, kind=8, reliable=True):
    """Settings of the reject controller: distances in encoder counts, times in milliseconds.

    An eject is confirmed by the controller's input within `confirm_within` of its start (0 = there is no such input).
    The belt moves by at least `least_travel` from one part to the next. While the belt stands, one eject holds the
    valve for at most `longest_on_ms` (0 = without limit).
    """

    eject_distance: Counts
    eject_length: Counts
    confirm_within: CountsOrNone
    deadline_ms: Annotated[int, unsigned("H", least=1)]
    on_silence: Annotated[OnSilence, choice(OnSilence)] = OnSilence.REJECT_ALL
    least_travel: Counts = 1
    longest_on_ms: U16 = 0


@dataclass(frozen=True)
class Counters(Message, kind=9, reliable=True):
    """Counts of the reject controller since it started."""

    triggered: U32
    passed: U32
    rejected: U32
    unanswered: U32
    late: U32
    unconfirmed: U32
    frame_errors: U32


@dataclass(frozen=True)
class Offline(Message, kind=10, reliable=True):
    """The sender leaves the line on purpose; neither result nor trigger comes until its next session."""

    reason: Text32


@dataclass(frozen=True)
class BeltPosition(Message, kind=11, reliable=False):
    """From the PLC, periodically: where the belt is; the next one replaces it.

    `arrived` counts the parts that a sensor has seen arrive in the reject bin since the start, and wraps; a line
    without such a sensor leaves it at 0.
    """

    encoder: U32
    arrived: U16 = 0


@dataclass(frozen=True)
class ActiveAlarms(Message, kind=12, reliable=False):
    """From either end, every second and with each change: the faults in force; the next one replaces it."""

    active: Annotated[int, bits("H", {code.name: code.bit for code in FaultCode})] = 0

    @property
    def names(self) -> list[str]:
        """The kinds that are in force."""
        return [code.name for code in FaultCode if self.active & code.bit]


@dataclass(frozen=True)
class Header:
    """The start of each frame's body.

    `sender` is the session number that the sender drew when it started, `receiver` the one it believes its peer to
    have (0 = unknown). `sequence` numbers reliable messages, names the message in an Ack, and is 0 elsewhere.
    """

    kind: U8
    sender: U16
    receiver: U16
    sequence: U16


HEADER = Layout(Header)


def encode(header: Header, message: Message) -> bytes:
    """Return the body of a frame, without its checksum."""
    return HEADER.pack(header) + message.LAYOUT.pack(message)


def decode(body: bytes) -> tuple[Header, Message]:
    """Read the body of a frame.

    Raises MessageMalformed for anything that `encode` cannot have made.
    """
    header = Header(**HEADER.unpack(body[: HEADER.size]))
    kind = KINDS.get(header.kind)
    if kind is None:
        raise MessageMalformed(f"message kind {header.kind}, expected one of {sorted(KINDS)}")
    return header, kind(**kind.LAYOUT.unpack(body[HEADER.size :]))
