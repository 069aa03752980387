"""The whole protocol over faulty wires: nothing passes that was not proved good."""

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from firmware_bridge.messages import Role
from firmware_bridge.rehearsal import Rehearsal
from firmware_bridge.wire import Faults

PROBABILITY = st.sampled_from([0.0, 0.01, 0.1, 0.3])
FAULTS = st.builds(
    Faults,
    bit_flip=st.sampled_from([0.0, 1e-5, 1e-4, 1e-3, 1e-2]),
    burst=PROBABILITY,
    drop=PROBABILITY,
    duplicate=PROBABILITY,
    split=PROBABILITY,
    delay=PROBABILITY,
    cut=st.sampled_from([0.0, 0.001, 0.01]),
)


def test_a_whole_wire_passes_each_good_part() -> None:
    findings = Rehearsal(Faults(), seed=1).run(500)
    assert (findings.parts, findings.wrongly_passed, findings.misapplied) == (500, 0, 0)
    assert findings.passed == pytest.approx(100, abs=40)  # one in five verdicts is OK; four standard deviations are 36
    assert findings.lost_after_s == []


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(FAULTS, st.integers(0, 2**32), st.lists(st.sampled_from(list(Role)), max_size=3))
def test_no_part_passes_that_was_not_proved_good(faults: Faults, seed: int, restarts: list[Role]) -> None:
    line = Rehearsal(faults, seed)
    line.run(60)
    for role in restarts:
        line.restart(role)
        line.run(30)
    assert line.findings.wrongly_passed == 0
    assert line.findings.misapplied == 0


def test_each_loss_is_noticed_in_time_and_ends() -> None:
    findings = Rehearsal(Faults(cut=0.005), seed=3).run(3_000)
    assert len(findings.lost_after_s) > 10
    assert max(findings.lost_after_s) <= 1.0 + 1e-6  # Timing.silence_s
    assert max(findings.recovered_after_s) < 5.0
