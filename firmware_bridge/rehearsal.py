"""Both ends of the framed line over two faulty wires, in simulated time, with every part's truth known."""

from collections.abc import Callable
from dataclasses import dataclass, field
from random import Random

from firmware_bridge.events import Event, PeerBack, PeerLost
from firmware_bridge.messages import Hello, Result, Role, Trigger, Verdict
from firmware_bridge.parts import Decision, Ledger
from firmware_bridge.session import Session
from firmware_bridge.timing import Timing
from firmware_bridge.wire import Faults, FaultyWire

_STEP = 1_000  # encoder counts a part


@dataclass
class Findings:
    """What a rehearsal has shown; all but `wrongly_passed` and `misapplied` may happen on a bad wire.

    `lost_after_s`: from the last byte that a cut let through to PeerLost. `recovered_after_s`: from the end of a cut to
    PeerBack, which comes when both directions work.
    """

    parts: int = 0
    passed: int = 0
    wrongly_passed: int = 0
    misapplied: int = 0
    messages: int = 0
    recovered_after_s: list[float] = field(default_factory=list)
    lost_after_s: list[float] = field(default_factory=list)


class Rehearsal:
    """A line whose parts follow each other every `period_s`, with an inspection that knows the truth."""

    def __init__(self, faults: Faults, seed: int, period_s: float = 0.02, baud: int = 115_200) -> None:
        """Set both ends up at time 0."""
        self.random, self.now, self.period_s = Random(seed), 0.0, period_s
        timing = Timing.for_baud(baud)
        self.edge = Session(Hello(Role.EDGE), self._number(), self.now, timing)
        self.plc = Session(Hello(Role.PLC), self._number(), self.now, timing)
        self.to_plc, self.to_edge = (FaultyWire(faults, self.random, baud) for _ in range(2))
        self.ledger = Ledger(deadline_s=1.0)
        self.findings = Findings()
        self._truth: dict[int, Verdict] = {}
        self._next_part, self._trigger_at = 1, 0.0
        self._lost_at: dict[Session, float] = {}

    def _number(self) -> int:
        return self.random.randint(1, 0xFFFF)

    def run(self, parts: int) -> Findings:
        """Let `parts` more parts pass, and the line come to rest."""
        last = self._next_part + parts
        while self._next_part < last or self.ledger.waiting:
            self._step(trigger=self._next_part < last)
        self.findings.messages = sum(end.tally.sent for end in (self.edge, self.plc))
        return self.findings

    def restart(self, role: Role) -> None:
        """Let one end lose its memory, as by a power cut; parts keep their numbers on the PLC's side."""
        session = Session(Hello(role), self._number(), self.now, self.edge.timing)
        self._lost_at.clear()
        if role is Role.EDGE:
            self.edge = session
        else:
            self.plc = session

    def _step(self, trigger: bool) -> None:
        times = [wire.next_arrival() for wire in (self.to_plc, self.to_edge)]
        times += [end.next_tick() for end in (self.edge, self.plc)]
        self.now = max(self.now, min([*times, self._trigger_at] if trigger else times))
        if trigger and self.now >= self._trigger_at:
            self._trigger()
        self._serve(self.edge, self.to_edge, self.to_plc, self._at_edge)
        self._serve(self.plc, self.to_plc, self.to_edge, self._at_plc)
        for record in self.ledger.watch(self.now):
            self._settle(record.trigger.part_id)

    def _serve(self, end: Session, arriving: FaultyWire, leaving: FaultyWire, on: Callable[[Event], None]) -> None:
        events = end.receive(data, self.now) if (data := arriving.take(self.now)) else []
        for event in [*events, *end.tick(self.now)]:
            on(event)
            self._note(end, event)
        if data := end.outgoing():
            leaving.put(data, self.now)

    def _note(self, end: Session, event: Event) -> None:
        whole_since = max(self.to_plc.cut_until, self.to_edge.cut_until)
        if isinstance(event, PeerLost):
            self.findings.lost_after_s.append(event.silent_s)
            self._lost_at[end] = self.now
        elif isinstance(event, PeerBack) and end in self._lost_at:
            self.findings.recovered_after_s.append(self.now - max(self._lost_at.pop(end), min(whole_since, self.now)))

    def _trigger(self) -> None:
        part = Trigger(self._next_part % 2**32, self._next_part * _STEP % 2**32)
        self._truth[part.part_id] = self.random.choice(list(Verdict)[1:])
        self.ledger.triggered(part, self.now)
        self.plc.send(part, self.now)
        self._next_part += 1
        self._trigger_at += self.period_s
        self.findings.parts += 1

    def _at_edge(self, event: Event) -> None:
        if isinstance(event, Trigger):
            self.edge.send(Result(event.part_id, event.encoder, self._truth[event.part_id]), self.now)

    def _at_plc(self, event: Event) -> None:
        if isinstance(event, Result) and (record := self.ledger.answered(event, self.now)):
            self.findings.misapplied += record.verdict is not self._truth[event.part_id]
            self._settle(event.part_id)

    def _settle(self, part_id: int) -> None:
        """Check a decision against the truth; forget the part, but for the time in which a late result may come."""
        passed = self.ledger.records[part_id].decision is Decision.PASSED
        self.findings.passed += passed
        self.findings.wrongly_passed += passed and self._truth[part_id] is not Verdict.OK
        self.ledger.records.pop(part_id - 1_000, None)
        self._truth.pop(part_id - 1_000, None)
