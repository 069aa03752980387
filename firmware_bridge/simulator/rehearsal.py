"""Both ends of the framed line over two faulty wires, in simulated time, with every part's truth known."""

from collections.abc import Callable
from dataclasses import dataclass, field
from heapq import heappop, heappush
from random import Random

from firmware_bridge.endpoint import Endpoint
from firmware_bridge.events import Event, PeerBack, PeerLost
from firmware_bridge.messages import Hello, Result, Role, Trigger, Verdict
from firmware_bridge.parts import Ledger, PartFate
from firmware_bridge.simulator.faulty_wire import Faults, FaultyWire
from firmware_bridge.wiring import LinkKind, endpoint

DEADLINE_S = 1.0
INSPECTION_S = (0.005, 0.1)
_COUNTS_PER_PART = 1_000
_REMEMBERED_PARTS = 1_000


@dataclass
class RehearsalFindings:
    """Results of a rehearsal; the first three must be 0 on any wire.

    `unnoticed`: times at which an end believed the line open though nothing had arrived for longer than the silence
    time. `recovered_s`: from the end of a cut to the end's notice that both directions work again.
    """

    wrongly_passed: int = 0
    misapplied: int = 0
    unnoticed: int = 0
    parts: int = 0
    passed: int = 0
    good: int = 0
    lost: int = 0
    recovered_s: list[float] = field(default_factory=list)


class Rehearsal:
    """A line whose parts follow each other every `period_s`, with an inspection that knows the truth."""

    def __init__(
        self, faults: Faults, seed: int, way: LinkKind = LinkKind.FRAMED, period_s: float = 0.02, baud: int = 115_200
    ) -> None:
        """Set both ends up at time 0."""
        self.random, self.now, self.period_s = Random(seed), 0.0, period_s
        self._way, self._baud = way, baud
        self.to_plc, self.to_edge = (FaultyWire(faults, self.random, baud) for _ in range(2))
        self.findings = RehearsalFindings()
        self._messages_before = 0
        self._trigger_at = 0.0
        self._start_edge()
        self._start_plc()

    @property
    def messages(self) -> int:
        """Messages that both ends have put on the wire."""
        return self._messages_before + self.edge.tally.sent + self.plc.tally.sent

    def run(self, parts: int) -> RehearsalFindings:
        """Let `parts` more parts pass, and the line come to rest."""
        last = self.findings.parts + parts
        while self.findings.parts < last or self.ledger.waiting:
            self._step(trigger=self.findings.parts < last)
        return self.findings

    def restart(self, role: Role) -> None:
        """Let one end lose its memory, as by a power cut."""
        if role is Role.EDGE:
            self._messages_before += self.edge.tally.sent
            self._start_edge()
        else:
            self._messages_before += self.plc.tally.sent
            self._start_plc()

    def _start_edge(self) -> None:
        self.edge, _ = self._end(Role.EDGE)
        self._inspecting: list[tuple[float, int, Result]] = []
        self._edge_heard_at, self._edge_lost_at = self.now, -1.0

    def _start_plc(self) -> None:
        """Start with parts numbered as PROTOCOL.md asks, the encoder at zero again."""
        self.plc, number = self._end(Role.PLC)
        self.ledger = Ledger(DEADLINE_S)
        self._truth: dict[int, Result] = {}
        self._next = Trigger(number << 16, 0)
        self._plc_heard_at, self._plc_lost_at = self.now, -1.0

    def _end(self, role: Role) -> tuple[Endpoint, int]:
        number = self.random.randint(1, 0xFFFF)
        return endpoint(self._way, Hello(role), number, self.now, self._baud), number

    def _step(self, trigger: bool) -> None:
        times = [self.to_plc.next_arrival(), self.to_edge.next_arrival(), self.edge.next_tick(), self.plc.next_tick()]
        times += [self._inspecting[0][0]] if self._inspecting else []
        self.now = max(self.now, min([*times, self._trigger_at] if trigger else times))
        if trigger and self.now >= self._trigger_at:
            self._trigger()
        while self._inspecting and self._inspecting[0][0] <= self.now:
            self.edge.send(heappop(self._inspecting)[2], self.now)
        self._serve_edge()
        self._serve_plc()
        for record in self.ledger.watch(self.now):
            self._settle(record.trigger.part_id)

    def _serve_edge(self) -> None:
        if data := self.to_edge.take(self.now):
            self._edge_heard_at = self.now
        lost = self._serve(self.edge, data, self.to_plc, self._at_edge, self._edge_heard_at)
        self._edge_lost_at = self._note(lost, self._edge_lost_at)

    def _serve_plc(self) -> None:
        if data := self.to_plc.take(self.now):
            self._plc_heard_at = self.now
        lost = self._serve(self.plc, data, self.to_edge, self._at_plc, self._plc_heard_at)
        self._plc_lost_at = self._note(lost, self._plc_lost_at)

    def _serve(
        self, end: Endpoint, data: bytes, leaving: FaultyWire, on: Callable[[Event], None], heard_at: float
    ) -> bool | None:
        """Return whether the peer was lost (True) or came back (False) in this step."""
        change = None
        for event in [*(end.receive(data, self.now) if data else []), *end.tick(self.now)]:
            on(event)
            if isinstance(event, (PeerLost, PeerBack)):
                change = isinstance(event, PeerLost)
        if written := end.outgoing():
            leaving.put(written, self.now)
        self.findings.unnoticed += end.is_open and self.now > heard_at + end.timing.silence_s + 1e-9
        return change

    def _note(self, change: bool | None, lost_at: float) -> float:
        if change:
            self.findings.lost += 1
            return self.now
        if change is False and lost_at >= 0:
            whole_at = max(self.to_plc.cut_until, self.to_edge.cut_until, lost_at)
            self.findings.recovered_s.append(max(0.0, self.now - whole_at))
        return lost_at

    def _trigger(self) -> None:
        part = self._next
        verdict = Verdict.OK if self.random.random() < 0.5 else self.random.choice(list(Verdict)[2:])
        self._truth[part.part_id] = Result(
            part.part_id, part.encoder, verdict, latency_us=self.random.randrange(2**32), area_px=part.part_id
        )
        self.ledger.triggered(part, self.now)
        self.plc.send(part, self.now)
        self._next = Trigger((part.part_id + 1) % 2**32, (part.encoder + _COUNTS_PER_PART) % 2**32)
        self._trigger_at += self.period_s
        self.findings.parts += 1
        self.findings.good += verdict is Verdict.OK

    def _at_edge(self, event: Event) -> None:
        if isinstance(event, Trigger):
            result = self._truth.get(event.part_id)
            if result is None or result.encoder != event.encoder:
                # From an earlier session, or damage that the CRC missed; a false OK is the worst outcome.
                result = Result(event.part_id, event.encoder, Verdict.OK)
            ready_at = self.now + self.random.uniform(*INSPECTION_S)
            heappush(self._inspecting, (ready_at, self.random.getrandbits(64), result))

    def _at_plc(self, event: Event) -> None:
        if isinstance(event, Result) and self.ledger.answered(event, self.now):
            self.findings.misapplied += event != self._truth[event.part_id]
            self._settle(event.part_id)

    def _settle(self, part_id: int) -> None:
        """Check a decision against the truth; forget a part after the time in which a late result may come."""
        passed = self.ledger.records[part_id].decision is PartFate.PASSED
        self.findings.passed += passed
        self.findings.wrongly_passed += passed and self._truth[part_id].verdict is not Verdict.OK
        self.ledger.records.pop(part_id - _REMEMBERED_PARTS, None)
        self._truth.pop(part_id - _REMEMBERED_PARTS, None)
