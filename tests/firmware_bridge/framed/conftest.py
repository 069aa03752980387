"""Two sessions of the framed protocol, joined without a wire."""

from dataclasses import dataclass, field

import pytest

from firmware_bridge.events import (
    Event,
)
from firmware_bridge.framed.session import Session
from firmware_bridge.messages import (
    Hello,
    Role,
)
from firmware_bridge.timing import Timing

TIMING = Timing(heartbeat_s=0.25, silence_s=1.0, retry_s=0.06, deliver_s=1.0, window=8)


@dataclass
class Pair:
    """Two sessions joined without a wire; what `lost` names does not arrive."""

    edge: Session = field(default_factory=lambda: Session(Hello(Role.EDGE), 101, 0.0, TIMING))
    plc: Session = field(default_factory=lambda: Session(Hello(Role.PLC), 202, 0.0, TIMING))
    now: float = 0.0
    lost: frozenset[str] = frozenset()
    at_edge: list[Event] = field(default_factory=list)
    at_plc: list[Event] = field(default_factory=list)

    def exchange(self) -> None:
        """Carry bytes until both are silent."""
        while any(data := (self.edge.outgoing(), self.plc.outgoing())):
            if "to_plc" not in self.lost:
                self.at_plc += self.plc.receive(data[0], self.now)
            if "to_edge" not in self.lost:
                self.at_edge += self.edge.receive(data[1], self.now)

    def pass_time(self, seconds: float) -> None:
        """Tick both ends every 10 ms."""
        for _ in range(round(seconds / 0.01)):
            self.now += 0.01
            self.at_edge += self.edge.tick(self.now)
            self.at_plc += self.plc.tick(self.now)
            self.exchange()

    def forget(self) -> None:
        """Drop the events so far."""
        self.at_edge.clear()
        self.at_plc.clear()


@pytest.fixture
def pair() -> Pair:
    """Two ends that know each other, with nothing in their lists."""
    joined = Pair()
    joined.exchange()
    joined.forget()
    return joined
