"""The simulated PLC of the command line."""

from time import monotonic

import pytest

from firmware_bridge.messages import Hello, Trigger
from firmware_bridge.simulator.screen import _parse, open_simulator

PATIENCE_S = 60.0


@pytest.mark.parametrize("parts", ["0", "3"])
def test_a_line_without_a_number_of_parts_triggers_too(parts: str) -> None:
    with open_simulator(_parse(["--parts", parts])) as simulator:
        station = simulator.open_station(Hello(software="test"))
        found, until = 0, monotonic() + PATIENCE_S
        while not found and monotonic() < until:
            found = sum(isinstance(event, Trigger) for event in station.poll(0.05))
        station.close()

    assert found
