"""Cases of `[challenge]`, `[release]` and `[trial]`."""

import pytest

from bundle import BundleError, SignatureInvalid
from bundle.manifest import read_manifest
from edge.errors import LineConfigError
from edge.release.signature import make_keys, sign
from tests.edge.line_keys.registry import BRIGHT, GOOD, observes
from tests.edge.running_line import Run
from tests.edge.threads.registry import wait_until


@observes("challenge.every_hours")
def challenge_after_hours(run: Run) -> None:
    with run(challenge={"every_hours": 8, "overdue_minutes": 0}) as line:
        line.plc.wait_for_other(1)

    assert line.faults == ["challenge overdue"]


@observes("challenge.at")
def challenge_at_a_time_of_day(run: Run) -> None:
    with run(challenge={"at": ["00:00"], "overdue_minutes": 0}) as line:
        line.plc.wait_for_other(1)

    assert line.faults == ["challenge overdue"]


@observes("challenge.overdue_minutes")
def challenge_that_is_overdue(run: Run) -> None:
    with run(challenge={"every_hours": 1, "overdue_minutes": 0}) as line:
        line.plc.wait_for_other(1)
        (alarm,) = line.runtime.alarms.active

    assert "expected one within 0 min" in alarm.text


@observes("challenge.parts")
def parts_of_a_challenge(run: Run) -> None:
    with run([BRIGHT], challenge={"parts": 2, "timeout_minutes": 0.5}, doubles={"endless": True}) as line:
        line.plc.trigger(1)
        complaint = line.command("challenge")

    assert complaint == ""
    assert line.rows("SELECT who, parts, found FROM challenges") == [("Ada", 2, "NG Bright, NG Bright")]


@observes("challenge.expected")
def class_of_a_challenge(run: Run) -> None:
    with run([BRIGHT], challenge={"expected": "Dark", "timeout_minutes": 0.5}, doubles={"endless": True}) as line:
        line.plc.trigger(1)
        complaint = line.command("challenge")

    assert "found NG Bright, expected 1 x NG Dark" in complaint


@observes("challenge.timeout_minutes")
def challenge_whose_parts_do_not_come(run: Run) -> None:
    with run(challenge={"timeout_minutes": 1e-6}) as line:
        complaint = line.command("challenge")

    assert "abandoned" in complaint
    assert line.rows("SELECT result FROM challenges") == [("abandoned",)]


@observes("release.keys")
def signed_bundles_only(run: Run) -> None:
    with run() as line:
        folder, bundle = line.folder, line.runtime.bundle
    try:
        private, _ = make_keys(folder)
    except SignatureInvalid as error:
        pytest.skip(str(error))
    with pytest.raises(BundleError, match="found no such file"), run(release={"keys": ["release.pub"]}):
        pass
    sign(bundle, private)
    with run(release={"keys": ["release.pub"]}) as line:
        assert line.runtime.bundle.id == bundle.id


@observes("release.trial_parts")
@observes("release.log_in")
def conditions_of_a_release(run: Run) -> None:
    """`tests/edge/release/test_who_may_release.py` releases under them."""
    keys = {"keys": ["release.pub"], "trial_parts": 20, "log_in": True}
    with pytest.raises(LineConfigError, match=r"found log_in = true in \[release\]"), run(release=keys):
        pass


@observes("trial.bundle")
def candidate_on_trial(run: Run) -> None:
    with run([GOOD], page={}, trial={"bundle": "other"}) as line:
        wait_until(lambda: line.trial().bundle_id)
        verdicts = line.verdicts(1)
        wait_until(lambda: line.trial().judged)
        candidate = line.trial().bundle_id

    assert verdicts == ["OK"]
    assert candidate == read_manifest(line.folder / "other").id != line.runtime.bundle.id
    assert line.rows("SELECT part, bundle_id, verdict FROM trials") == [(1, candidate, 1)]
