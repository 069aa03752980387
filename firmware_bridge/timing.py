"""The times of the framed line."""

from dataclasses import dataclass

BITS_PER_BYTE = 10
"""8N1: start, eight data bits, stop."""

RESULT_AND_ACK_BYTES = 50 + 14
"""A Result on the wire and the Ack of a Trigger, which share one direction; a test holds both numbers."""

MODBUS_BITS_PER_BYTE = 11
"""8E1, or 8N2: the standard asks for eleven bits without parity, too."""

MODBUS_CYCLE_BYTES = 170
"""A cycle of the longer kind, rounded up: read the control block, write result and status block, with the replies."""


@dataclass(frozen=True)
class Timing:
    """Times of repetition, giving up and the loss of the peer, in seconds.

    `window` is the number of messages on the way at a time, at most 32 (see sequence.py).
    """

    heartbeat_s: float = 0.25
    silence_s: float = 1.0
    retry_s: float = 0.06
    deliver_s: float = 1.0
    window: int = 8

    @classmethod
    def for_baud(cls, baud: int) -> "Timing":
        """Return times that leave a full window room to pass at `baud` before the first is repeated."""
        full_window_s = cls.window * RESULT_AND_ACK_BYTES * BITS_PER_BYTE / baud
        retry_s = 0.02 + full_window_s  # 20 ms: a scheduler's hiccup and a USB adapter's 16 ms latency timer
        return cls(retry_s=retry_s, deliver_s=max(1.0, 8 * retry_s), silence_s=max(1.0, 4 * retry_s))

    @classmethod
    def for_modbus(cls, baud: int) -> "Timing":
        """Return times for a register handshake, in which either side hears of the other once in a polling cycle."""
        cycle_s = MODBUS_CYCLE_BYTES * MODBUS_BITS_PER_BYTE / baud + 4 * silent_interval_s(baud)
        slow_s = max(1.0, 8 * cycle_s)
        return cls(retry_s=0.05 + cycle_s, silence_s=slow_s, deliver_s=slow_s)


def silent_interval_s(baud: int) -> float:
    """Return the pause between Modbus RTU frames: 3.5 characters, 1.75 ms above 19200 baud.

    Source: MODBUS over Serial Line Specification and Implementation Guide V1.02, section 2.5.1.1.
    """
    return 3.5 * MODBUS_BITS_PER_BYTE / baud if baud <= 19_200 else 0.001_75
