"""A machine of Hypothesis that does to two sessions whatever can be done to them, in any order."""

from collections.abc import Callable

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from firmware_bridge.events import Acknowledged, Event, Undelivered
from firmware_bridge.framed.frames import MAX_BODY
from firmware_bridge.framed.session import Session
from firmware_bridge.messages import Hello, Result, Role, Trigger, Verdict


class Line(RuleBasedStateMachine):
    """Two ends; each direction is a list of bytes on their way, which the rules damage, cut, repeat and deliver."""

    def __init__(self) -> None:
        super().__init__()
        self.now, self.numbers = 0.0, 1
        self.ends = {role: self.session(role) for role in Role}
        self.wires = dict.fromkeys(Role, b"")  # towards that role
        self.sent: list[Result] = []
        self.received: list[Result] = []
        self.settled: list[Result] = []

    def session(self, role: Role) -> Session:
        """Start an end with a number that was never used."""
        self.numbers += 1
        return Session(Hello(role), self.numbers, self.now)

    def note(self, events: list[Event]) -> None:
        """Sort what an end has told."""
        for event in events:
            if isinstance(event, Result):
                self.received.append(event)
            elif isinstance(event, (Acknowledged, Undelivered)) and isinstance(event.message, Result):
                self.settled.append(event.message)

    def write(self) -> None:
        """Put what both ends have to say on the wires."""
        self.wires[Role.PLC] += self.ends[Role.EDGE].outgoing()
        self.wires[Role.EDGE] += self.ends[Role.PLC].outgoing()

    @rule(verdict=st.sampled_from(list(Verdict)))
    def send(self, verdict: Verdict) -> None:
        """The station has a result; no two are equal."""
        self.sent.append(Result(len(self.sent), 1000 * len(self.sent), verdict))
        self.note(self.ends[Role.EDGE].send(self.sent[-1], self.now))

    @rule()
    def trigger(self) -> None:
        """The PLC has a part, whose number means nothing here."""
        self.ends[Role.PLC].send(Trigger(2**32 - 1, 0), self.now)

    @rule(role=st.sampled_from(Role), size=st.integers(1, 400))
    def deliver(self, role: Role, size: int) -> None:
        """Some bytes arrive."""
        self.write()
        data, self.wires[role] = self.wires[role][:size], self.wires[role][size:]
        self.note(self.ends[role].receive(data, self.now))

    @rule(seconds=st.sampled_from([0.01, 0.06, 0.3, 1.1]))
    def wait(self, seconds: float) -> None:
        """Time passes."""
        self.now += seconds
        for end in self.ends.values():
            self.note(end.tick(self.now))

    @precondition(lambda self: any(self.wires.values()))
    @rule(
        role=st.sampled_from(Role),
        harm=st.sampled_from([lambda piece: b"", lambda piece: piece * 2, lambda piece: bytes(b ^ 4 for b in piece)]),
        start=st.integers(0, 300),
        size=st.integers(1, 100),
    )
    def damage(self, role: Role, harm: Callable[[bytes], bytes], start: int, size: int) -> None:
        """A piece of what is on its way is lost, repeated or changed."""
        wire = self.wires[role]
        self.wires[role] = wire[:start] + harm(wire[start : start + size]) + wire[start + size :]

    @rule(role=st.sampled_from(Role), noise=st.binary(min_size=1, max_size=200))
    def noise(self, role: Role, noise: bytes) -> None:
        """Bytes arrive that no end has sent."""
        self.wires[role] += noise

    @rule()
    def restart_the_plc(self) -> None:
        """The PLC loses its memory."""
        self.ends[Role.PLC] = self.session(Role.PLC)

    @invariant()
    def nothing_arrives_that_was_not_sent_nor_twice_in_one_life(self) -> None:
        """Each result reaches the PLC as it was sent, at most once."""
        assert all(result in self.sent for result in self.received)
        assert len({result.part_id for result in self.received}) == len(self.received)

    @invariant()
    def each_result_is_settled_once_at_most(self) -> None:
        """A result is acknowledged or given up, never both."""
        assert len({result.part_id for result in self.settled}) == len(self.settled)

    @invariant()
    def memory_is_bounded(self) -> None:
        """A decoder holds one frame, a session its window and queue."""
        for end in self.ends.values():
            assert len(end.decoder._text) <= MAX_BODY + 6
            assert len(end.delivery._flight) <= end.timing.window

    def teardown(self) -> None:
        """On a whole wire the line recovers, and every result is settled."""
        for _ in range(60):
            self.wait(0.05)
            for role in Role:
                self.deliver(role, 100_000)
        assert all(end.is_open for end in self.ends.values())
        assert sorted(result.part_id for result in self.settled) == list(range(len(self.sent)))


Line.TestCase.settings = settings(max_examples=60, stateful_step_count=40, deadline=None)
test_two_sessions_stand_anything = Line.TestCase
