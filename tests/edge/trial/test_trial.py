"""A candidate on trial judges the parts beside the bundle in force, and never holds up or changes a verdict."""

import json
from collections.abc import Callable
from pathlib import Path
from time import monotonic

import pytest

from bundle import Threshold, Verdict
from edge.alarms import Alarms
from edge.cli import main
from edge.commands.doctor import examine
from edge.config.line import load_line
from edge.errors import OperatorRequestError, ServerError
from edge.monitoring.operator_requests import switch_trial
from edge.page.metrics import metrics_text
from edge.page.page_model import PageModel
from edge.records.database import reading
from edge.records.writer import Records
from edge.servers.state import StateUpdate, TrialState
from edge.trial.candidate import MODULE, CandidateProcess, TrialAnswer, TrialFrames, TrialOutline
from edge.trial.trial import Trial
from tests.conftest import CLASSES, grey_frame, tiny_manifest
from tests.edge.line_doubles import arrived, make_line
from tests.edge.page.doubles import station, welcome
from tests.edge.part_doubles import judged
from tests.edge.running_line import Run
from tests.edge.station_doubles import HandCandidate
from tests.edge.threads.registry import wait_until

CRASHING = "tests.edge.trial.crashing_candidate"
"""Module of a process that opens, then ends at its first part."""
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
    assert [(one.camera, one.class_name) for one in answers[1].outlines] == [("top", "Bright")]
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
    trial = Trial(make_line(), lambda *_: candidate, records, Alarms(), 0, monotonic)
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


def trial_command(*arguments: str) -> str:
    """Run `edge-inspect trial` as Ada; its complaint, empty if it succeeds."""
    with pytest.raises(SystemExit) as ended:
        main(["trial", *arguments, "--who", "Ada"])
    return "" if ended.value.code in (0, None) else str(ended.value.code)


def test_a_trial_is_started_and_stopped_while_the_station_runs(run: Run) -> None:
    with run([BRIGHT], page={}) as line:
        state, other = line.pages[0].state, str(line.folder / "other")
        before = state().trial
        started = trial_command("start", other, str(line.path))
        wait_until(lambda: (state().trial or TrialState()).bundle_id)
        line.verdicts(1)
        wait_until(lambda: line.trial().judged == 1)
        stopped = trial_command("stop", str(line.path))
        after, verdicts = state().trial, line.verdicts(2)
        requests = line.rows("SELECT who, bundle, taken IS NOT NULL FROM trial_requests")

    assert (started, stopped, before, after, verdicts) == ("", "", None, None, ["NG", "NG"])
    assert requests == [("Ada", other, 1), ("Ada", "", 1)]
    assert line.rows("SELECT part FROM trials") == [(1,)]


def test_the_bundle_in_force_is_no_candidate(run: Run) -> None:
    with run([BRIGHT], page={}) as line:
        said = trial_command("start", str(line.folder / "tiny"), str(line.path))
        state = line.pages[0].state().trial

    assert "found the bundle in force, expected another" in said
    assert state is None


def test_a_candidate_takes_the_place_of_one_that_hangs(run: Run, make_bundle: Callable[..., Path]) -> None:
    third = make_bundle("third", thresholds={name: Threshold(score=0.85, level=200, min_area_px=8) for name in CLASSES})
    with run([BRIGHT], trial={"bundle": "other"}, page={}) as line:
        wait_until(lambda: line.trial().bundle_id)
        line.candidates[0].gate.clear()
        line.verdicts(1)
        trial_command("start", str(third), str(line.path))
        wait_until(lambda: len(line.candidates) == 2 and line.trial().bundle_id)
        folder, verdicts = line.trial().folder, line.verdicts(2)
        wait_until(lambda: line.trial().judged == 1)
        line.candidates[0].gate.set()

    assert (folder, verdicts, line.alarms) == (str(third), ["NG", "NG"], [])


def test_a_request_for_a_trial_that_no_station_takes_is_withdrawn(
    make_bundle: Callable[..., Path], tmp_path: Path
) -> None:
    records = Records(tmp_path / "records.sqlite")
    records.close()
    with pytest.raises(OperatorRequestError, match="found no answer"):
        switch_trial(records.path, make_bundle(), "Ada", taken_s=0.0)

    with reading(records.path) as connection:
        assert connection.execute("SELECT count(*) FROM trial_requests").fetchone() == (0,)


def test_a_candidate_that_crashes_changes_no_verdict(run: Run) -> None:
    with run([BRIGHT], trial={"bundle": "other"}, page={}, doubles={"candidate_module": CRASHING}) as line:
        wait_until(lambda: line.trial().bundle_id)
        line.verdicts(1)
        wait_until(lambda: "trial" in line.alarms)
        verdicts, running = line.verdicts(2), line.trial().running

    assert (verdicts, running) == (["NG", "NG"], False)


def test_a_disagreement_keeps_the_outlines_of_the_candidate(run: Run) -> None:
    outline = TrialOutline(camera="camera", class_name="Bright", score=1.0, polygon=((0, 0), (3, 0), (3, 3)))
    with run([GOOD], trial={"bundle": "other"}, page={}) as line:
        wait_until(lambda: line.trial().bundle_id)
        line.candidates[0].answer = TrialAnswer(verdict=Verdict.NG, class_name="Bright", outlines=(outline,))
        line.verdicts(1)
        wait_until(lambda: line.trial().judged == 1)
        line.candidates[0].answer = TrialAnswer(verdict=Verdict.OK, outlines=(outline,))
        line.verdicts(2)
        wait_until(lambda: line.trial().judged == 2)
    stored = [text for (text,) in line.rows("SELECT outlines FROM trials ORDER BY part")]

    assert [json.loads(str(stored[0])), stored[1]] == [[outline.model_dump(mode="json")], None]
