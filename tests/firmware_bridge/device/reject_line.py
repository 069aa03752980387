"""The C reject controller with a Python station at its other end, in simulated time."""

import ctypes

from firmware_bridge.events import Event
from firmware_bridge.framed.session import Session
from firmware_bridge.messages import Hello, OnSilence, Result, Role, Settings, Trigger, Verdict
from tests.firmware_bridge.device.device_bench import EJECT, HEALTHY, PART, Bench

SETTINGS = Settings(
    eject_distance=1000, eject_length=100, confirm_within=0, deadline_ms=50, on_silence=OnSilence.REJECT_ALL
)
COUNTS_PER_MS = 10


class RejectLine:
    """The controller with a Python station at its other end; the belt moves 10 counts a millisecond."""

    def __init__(
        self,
        library: ctypes.CDLL,
        chosen: Settings = SETTINGS,
        now_ms: int = 0,
        encoder: int = 0,
        encoder_bits: int = 32,
    ) -> None:
        self.now_ms, self.encoder, self.chosen = now_ms, encoder, chosen
        self.counts_per_ms = COUNTS_PER_MS
        self.bench = Bench(library, 77, chosen, now_ms, encoder, encoder_bits=encoder_bits)
        self.edge = Session(Hello(Role.EDGE), 5, now_ms / 1000)
        self.events: list[Event] = []
        self.outputs = 0
        self.connected = True

    def pass_ms(self, duration: int, inputs: int = 0) -> None:
        """Let time pass; `inputs` are given in the first millisecond."""
        for _ in range(duration):
            self.now_ms += 1
            self.encoder += self.counts_per_ms
            self.outputs = self.bench.poll(self.now_ms, self.encoder, inputs)
            inputs = 0
            data, now = self.bench.take(), self.now_ms / 1000
            if self.connected:
                self.events += self.edge.receive(data, now)
                self.events += self.edge.tick(now)
                self.bench.feed(self.edge.outgoing())

    def become_healthy(self) -> None:
        """Let the belt run until the sweep after the start is over."""
        self.pass_ms(20 + (self.chosen.eject_distance + self.chosen.eject_length) // COUNTS_PER_MS)
        assert self.outputs & HEALTHY
        assert self.bench.decided() == []

    def pass_until_ejecting(self, wanted: bool) -> None:
        """Let time pass until the ejector starts, or stops."""
        for _ in range(2_000):
            if bool(self.outputs & EJECT) is wanted:
                return
            self.pass_ms(1)
        raise AssertionError(f"for two seconds the ejector did not {'start' if wanted else 'stop'}")

    def part(self) -> Trigger:
        """Let a part come, and give the trigger that the station got."""
        self.pass_ms(3, PART)
        return next(event for event in reversed(self.events) if isinstance(event, Trigger))

    def answer(self, trigger: Trigger, verdict: Verdict = Verdict.OK) -> None:
        """Send a result."""
        self.edge.send(Result(trigger.part_id, trigger.encoder, verdict), self.now_ms / 1000)
