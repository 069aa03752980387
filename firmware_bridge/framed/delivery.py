"""The sender's half of reliable delivery: a queue, a window of unacknowledged messages, retries, a deadline."""

from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass, field

from firmware_bridge.messages import Message
from firmware_bridge.sequence import HISTORY, distance, following
from firmware_bridge.timing import Timing

QUEUE_LIMIT = 64
"""Messages that wait for the window; more than this is an outage, and the newest is given up at once."""

_LONGEST_BACKOFF = 3  # doublings: 1, 2, 4, 8 times retry_s


@dataclass
class _Pending:
    message: Message
    submitted: float
    deadline: float
    repeat_at: float = 0.0
    tries: int = 0


@dataclass
class Delivery:
    """Messages from `submit` until they are acknowledged or given up.

    Numbers in flight span less than half of what the receiver remembers, so it can tell each duplicate.
    """

    timing: Timing
    retries: int = 0
    _next: int = 1
    _waiting: deque[_Pending] = field(default_factory=deque)
    _flight: dict[int, _Pending] = field(default_factory=dict)  # oldest number first

    def submit(self, message: Message, now: float) -> bool:
        """Queue `message`; false where the queue is full."""
        if len(self._waiting) >= QUEUE_LIMIT:
            return False
        self._waiting.append(_Pending(message, now, now + self.timing.deliver_s))
        return True

    def acknowledge(self, number: int) -> Message | None:
        """Return the message with this sequence number; None for a late or repeated acknowledgement."""
        pending = self._flight.pop(number, None)
        return pending.message if pending else None

    def due(self, now: float) -> Iterator[tuple[int, Message]]:
        """Return the messages to be sent at `now`: repetitions first, then as much of the queue as the window takes."""
        for number, pending in self._flight.items():
            if pending.repeat_at <= now:
                self.retries += 1
                yield number, self._sent(pending, now)
        while self._waiting and self._window_open():
            number, pending = self._next, self._waiting.popleft()
            self._flight[number] = pending
            self._next = following(number)
            yield number, self._sent(pending, now)

    def expire(self, now: float) -> list[Message]:
        """Give up the messages past their deadlines, and return them."""
        late = [number for number, pending in self._flight.items() if pending.deadline <= now]
        given_up = [self._flight.pop(number).message for number in late]
        while self._waiting and self._waiting[0].deadline <= now:
            given_up.append(self._waiting.popleft().message)
        return given_up

    def abandon(self) -> list[Message]:
        """Give up all messages, and return them."""
        given_up = [pending.message for pending in (*self._flight.values(), *self._waiting)]
        self._flight.clear()
        self._waiting.clear()
        return given_up

    def next_due(self, may_send: bool) -> float:
        """Return the time at which `due` (if one may send) or `expire` has something to do."""
        times = [pending.deadline for pending in self._flight.values()]
        times += [pending.deadline for pending in (*self._waiting,)[:1]]
        if may_send:
            times += [pending.repeat_at for pending in self._flight.values()]
        return min(times, default=float("inf"))

    def _window_open(self) -> bool:
        oldest = next(iter(self._flight), self._next)
        return len(self._flight) < self.timing.window and distance(oldest, self._next) < HISTORY // 2

    def _sent(self, pending: _Pending, now: float) -> Message:
        pending.repeat_at = now + self.timing.retry_s * 2 ** min(pending.tries, _LONGEST_BACKOFF)
        pending.tries += 1
        return pending.message.aged(now - pending.submitted)
