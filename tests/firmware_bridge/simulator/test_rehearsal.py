"""The whole protocol over faulty wires: nothing passes that was not proved good."""

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from firmware_bridge.messages import Role
from firmware_bridge.simulator.faulty_wire import Faults
from firmware_bridge.simulator.rehearsal import Rehearsal

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
    assert findings.passed == findings.good
    assert (findings.parts, findings.wrongly_passed, findings.misapplied, findings.lost) == (500, 0, 0, 0)


def test_a_wire_with_one_bit_in_ten_thousand_wrong_still_passes_each_good_part() -> None:
    line = Rehearsal(Faults(bit_flip=1e-4), seed=2)
    findings = line.run(500)
    assert findings.passed == findings.good
    assert line.plc.tally.duplicates > 0


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(FAULTS, st.integers(0, 2**32), st.lists(st.sampled_from(list(Role)), max_size=3))
def test_no_part_passes_that_was_not_proved_good(faults: Faults, seed: int, restarts: list[Role]) -> None:
    line = Rehearsal(faults, seed)
    line.run(60)
    for role in restarts:
        line.restart(role)
        line.run(30)
    findings = line.findings
    assert (findings.wrongly_passed, findings.misapplied, findings.unnoticed) == (0, 0, 0)


def test_each_loss_is_noticed_in_time_and_ends() -> None:
    findings = Rehearsal(Faults(cut=0.005), seed=3).run(3_000)
    assert findings.lost > 10
    assert findings.unnoticed == 0
    assert len(findings.recovered_s) >= findings.lost - 2
    assert max(findings.recovered_s) < 1.0  # two heartbeats and, where a cut ate the first Hello, a retry
