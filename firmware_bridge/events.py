"""Events of a link, besides the peer's own messages."""

from dataclasses import dataclass
from enum import Enum
from typing import TypeAlias

from firmware_bridge.messages import Hello, Message


@dataclass(frozen=True)
class Acknowledged:
    """The peer has this message."""

    message: Message


@dataclass(frozen=True)
class Undelivered:
    """This message was given up; the peer may have it nonetheless, if only the acknowledgement was lost."""

    message: Message
    reason: str


@dataclass(frozen=True)
class HelloReceived:
    """A session of the peer has begun; `restarted` where another one went before."""

    hello: Hello
    restarted: bool


@dataclass(frozen=True)
class Refused:
    """The device at the other end cannot be the peer of this one; nothing of it is accepted.

    Only while the line is not open; a stranger beside the true peer is a LineDisturbed.
    """

    hello: Hello
    reason: str


@dataclass(frozen=True)
class PeerLost:
    """Nothing intelligible has come from the peer for `silent_s`."""

    silent_s: float


@dataclass(frozen=True)
class PeerBack:
    """Both directions work again after PeerLost."""


@dataclass(frozen=True)
class PortLost:
    """The port failed and is closed; the link tries to open it again."""

    reason: str


@dataclass(frozen=True)
class PortBack:
    """The port is open again; the peer still has to introduce itself."""


class LineTrouble(Enum):
    """Disturbance of a wire that does not stop it."""

    ECHO = "echo"
    STRANGER = "stranger"
    TWO_PEERS = "two peers"
    UNREADABLE = "unreadable"
    OVERRUN = "overrun"
    TRIGGER_STUCK = "trigger stuck"


@dataclass(frozen=True)
class LineDisturbed:
    """A disturbance of the wire has begun; `reason` says what to do."""

    trouble: LineTrouble
    reason: str


@dataclass(frozen=True)
class LineCleared:
    """The disturbance has not come back for some seconds."""

    trouble: LineTrouble


Event: TypeAlias = (
    Message
    | Acknowledged
    | Undelivered
    | HelloReceived
    | Refused
    | PeerLost
    | PeerBack
    | PortLost
    | PortBack
    | LineDisturbed
    | LineCleared
)
"""A `Message` stands for itself: that message has arrived."""
