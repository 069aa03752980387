"""A candidate on trial judges the parts beside the bundle in force, and never holds up or changes a verdict."""

from collections.abc import Callable
from pathlib import Path
from time import monotonic

import pytest

from bundle import Verdict
from edge.alarms import Alarms
from edge.commands.doctor import examine
from edge.config.line import load_line
from edge.errors import ServerError
from edge.page.metrics import metrics_text
from edge.page.page_model import PageModel
from edge.records.writer import Records
from edge.servers.state import StateUpdate, TrialState
from edge.trial.candidate import MODULE, CandidateProcess, TrialFrames
from edge.trial.trial import Trial
from tests.conftest import grey_frame, tiny_manifest
from tests.edge.line_doubles import arrived, make_line
from tests.edge.page.doubles import station, welcome
from tests.edge.part_doubles import judged
from tests.edge.running_line import HandCandidate, Run
from tests.edge.threads.registry import wait_until

GOOD, BRIGHT = grey_frame(), grey_frame(255)


def test_frames_reach_the_candidate_as_they_are() -> None:
    part = arrived(1, grey_frame(60)[::-1])

    message, pixels = TrialFrames.of(part)
    (view,) = message.part(pixels).views

    assert view.frame is not None
    assert (view.camera, view.frame.pixels.tolist()) == ("top", grey_frame(60)[::-1].tolist())


def test_a_candidate_judges_in_a_process_of_its_own(make_bundle: Callable[..., Path], tmp_path: Path) -> None:
    make_bundle()
    path = tmp_path / "line.toml"
    path.write_text('bundle = "tiny"\nplc = "serial:///dev/none"\n[[camera]]\naddress = "synthetic://"\n')
    candidate = CandidateProcess(load_line(path), lambda: False)
    try:
        answers = [candidate.judge(arrived(1, frame)) for frame in (GOOD, BRIGHT)]
    finally:
        candidate.close()

    assert [(one.verdict, one.class_name) for one in answers] == [(Verdict.OK, ""), (Verdict.NG, "Bright")]
    assert candidate._process.poll() == 0


def test_a_candidate_that_cannot_be_opened_ends_the_trial_alone(run: Run) -> None:
    with run([BRIGHT], trial={"bundle": "none"}, doubles={"candidate_module": MODULE}) as line:
        wait_until(lambda: "trial" in line.alarms)

        assert line.verdicts(1) == ["NG"]
        (alarm,) = line.runtime.alarms.active
    assert "none" in alarm.text
    assert "the line continues without it" in alarm.text


def test_verdicts_are_sent_while_the_candidate_hangs_and_dropped_parts_are_counted(run: Run) -> None:
    with run([BRIGHT], trial={"bundle": "other"}, page={}) as line:
        wait_until(lambda: line.candidates)
        (candidate,) = line.candidates
        candidate.gate.clear()
        wait_until(lambda: line.trial().bundle_id)
        verdicts = line.verdicts(1, 2, 3, 4)
        wait_until(lambda: line.trial().dropped >= 2)
        candidate.gate.set()
        wait_until(lambda: line.trial().judged + line.trial().dropped == 4)
        judged_parts, dropped = line.trial().judged, line.trial().dropped
    rows = line.rows("SELECT part, verdict, class FROM trials ORDER BY part")

    assert verdicts == ["NG"] * 4
    assert len(rows) == 4
    assert [verdict for _, verdict, _ in rows].count(None) == dropped
    assert [name for *_, name in rows].count("Bright") == judged_parts


def test_an_error_of_the_candidate_ends_the_trial_with_an_alarm(run: Run) -> None:
    with run([BRIGHT], trial={"bundle": "other"}, page={}) as line:
        wait_until(lambda: line.trial().bundle_id)
        line.candidates[0].error = ServerError("broken")
        first = line.verdicts(1)
        wait_until(lambda: "trial" in line.alarms)

        assert (first, line.verdicts(2)) == (["NG"], ["NG", "NG"])
        assert not line.trial().running
        assert line.runtime.alive
    assert line.rows("SELECT * FROM trials") == []


@pytest.mark.parametrize(
    ("verdict", "recipe", "bundle_id", "taken"),
    [
        (Verdict.OK, 0, "old", True),
        (Verdict.UNSURE, 0, "old", True),
        (Verdict.TIMEOUT, 0, "old", False),
        (Verdict.FAULT, 0, "old", False),
        (Verdict.OK, 2, "old", False),
        (Verdict.OK, 0, "new", False),
    ],
)
def test_parts_that_cannot_be_compared_are_left_out(
    verdict: Verdict, recipe: int, bundle_id: str, taken: bool, tmp_path: Path
) -> None:
    records = Records(tmp_path / "records.sqlite")
    candidate = HandCandidate("new")
    trial = Trial(make_line(), lambda *_: candidate, records, Alarms(), recipe=0)
    wait_until(lambda: trial.state.bundle_id)
    part = judged(1, verdict, [GOOD], tiny_manifest().sealed(), ())
    part.recipe, part.bundle_id = recipe, bundle_id
    trial.offer(part)
    if taken:
        wait_until(lambda: trial.state.judged == 1)
    trial.close()
    records.close()

    assert (trial.state.judged, trial.current().dropped) == (int(taken), 0)


def test_the_doctor_opens_the_candidate(make_bundle: Callable[..., Path], tmp_path: Path) -> None:
    make_bundle()
    path = tmp_path / "line.toml"
    path.write_text(
        'bundle = "tiny"\nplc = "serial:///dev/none"\n[[camera]]\naddress = "synthetic://"\n[trial]\nbundle = "none"\n'
    )
    found = {one.name: one for one in examine(path)}

    assert (found["engine"].fine, found["trial"].fine) == (True, False)
    assert "none" in found["trial"].words


def test_the_metrics_show_the_trial() -> None:
    model = PageModel(welcome(), monotonic)
    trial = TrialState(bundle_id="cd", judged=7, disagreed=2, dropped=1)
    model.take(StateUpdate(station=station(trial=trial)), b"")
    text = metrics_text(model).decode()

    assert 'edge_inspect_trial{bundle_id="cd"} 1.0' in text
    assert "edge_inspect_trial_disagreed_total 2.0" in text
    assert "edge_inspect_trial_dropped_total 1.0" in text
