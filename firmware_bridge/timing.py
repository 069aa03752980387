"""The times of the framed line."""

from dataclasses import dataclass

BITS_PER_BYTE = 10
"""8N1: start, eight data bits, stop."""

RESULT_AND_ACK_BYTES = 43 + 14
"""A Result on the wire and the Ack of a Trigger, which share one direction; a test holds both numbers."""


@dataclass(frozen=True)
class Timing:
    """When to repeat, when to give up, when to call the peer lost; all in seconds.

    `window` is the number of messages on the way at a time, at most 32 (see sequence.py).
    """

    heartbeat_s: float = 0.25
    silence_s: float = 1.0
    retry_s: float = 0.06
    deliver_s: float = 1.0
    window: int = 8

    @classmethod
    def for_baud(cls, baud: int) -> "Timing":
        """Give times that leave a full window room to pass at `baud` before the first is repeated."""
        full_window_s = cls.window * RESULT_AND_ACK_BYTES * BITS_PER_BYTE / baud
        retry_s = 0.02 + full_window_s  # 20 ms: a scheduler's hiccup and a USB adapter's 16 ms latency timer
        return cls(retry_s=retry_s, deliver_s=max(1.0, 8 * retry_s), silence_s=max(1.0, 4 * retry_s))
