"""The state that a page is told is that of the running station, each figure its own."""

from datetime import datetime, timezone

from edge.alarms import Area
from tests.conftest import grey_frame
from tests.edge.running_line import Run

OLD = datetime(2026, 5, 4, 12, tzinfo=timezone.utc)


def test_each_counter_of_the_state_is_that_of_its_name(run: Run) -> None:
    with run(page={}) as line:
        line.verdicts(1)
        line.plc.drain()
        runtime, health = line.runtime, line.cameras[0].health
        runtime.tally.acknowledged, runtime.tally.undelivered = 11, 12
        runtime._source.triggers, runtime._source.overruns = 13, 14
        runtime._source._records.late, runtime._source._records.lost = 15, 16
        health.frames, health.damaged, health.lost, health.reopened, health.last_error = 21, 22, 23, 24, "unplugged"
        state = line.pages[0].state()
        runtime._source.triggers = runtime.tally.reported

    assert (state.acknowledged, state.undelivered, state.triggers, state.overruns) == (11, 12, 13, 14)
    assert (state.rows_late, state.disk_refuses) == (15, "")
    (camera,) = state.cameras
    assert (camera.name, camera.frames, camera.damaged, camera.lost) == ("camera", 21, 22, 23)
    assert (camera.connected, camera.last_error) == (True, "unplugged")


def test_what_is_wrong_at_the_station_is_in_its_state(run: Run) -> None:
    with run(page={}, shadow=True, challenge={"every_hours": 1}) as line:
        line.plc.is_open = False
        line.runtime.alarms.raise_("lamp", "dark", Area.OTHER, 7)
        line.cameras[0].health.connected = False
        line.runtime._source._records.refusal = "disk full"
        line.runtime.failure = ValueError("as a thread that failed")
        state = line.pages[0].state()

    assert (state.link_open, state.alive, state.shadow, state.cameras[0].connected) == (False, False, True, False)
    assert ("lamp", "dark", 7) in [(alarm.name, alarm.text, alarm.part_id) for alarm in state.alarms]
    assert "disk full" in state.disk_refuses


def test_a_station_that_is_well_says_so_and_names_what_it_runs(run: Run) -> None:
    with run(page={}) as line:
        state = line.pages[0].state()

    assert (state.link_open, state.alive, state.shadow, state.alarms) == (True, True, False, ())
    assert (state.bundle_name, state.bundle_id, state.engine) == ("tiny", line.runtime.bundle.id, "numpy")
    assert OLD < state.started <= state.time


def test_the_page_begins_behind_the_rows_that_are_on_record(run: Run) -> None:
    with run() as line:
        line.verdicts(1, 2)
    with run([grey_frame(255)], page={}, shadow=True) as line:
        begun = line.pages[0].welcome()
        line.verdicts(3)
        line.runtime.stop()
        (told,), _ = line.pages[0].outbox.take()

    assert (begun.next_number, begun.records) == (3, str(line.line.records))
    assert (told.number, told.part_id, told.verdict, told.told) == (3, 3, "NG", "OK")


def test_the_page_knows_the_challenge_and_the_pictures_of_its_line(run: Run) -> None:
    with run(page={}, challenge={"parts": 3, "expected": "Dark"}, pictures={"folder": "kept"}) as line:
        begun = line.pages[0].welcome()
    with run(page={}) as without:
        bare = without.pages[0].welcome()

    assert (begun.challenge.parts, begun.challenge.expected, begun.pictures) == (3, "Dark", str(line.folder / "kept"))
    assert (bare.challenge.parts, bare.challenge.expected, bare.pictures) == (1, None, None)


def test_a_planned_stop_is_no_failure(run: Run) -> None:
    with run(page={}) as line:
        before = line.pages[0].state()
        line.runtime.stop()
        stopped = line.pages[0].state()
        line.runtime.failure = ValueError("as a thread that failed")
        failed = line.pages[0].state()

    assert (before.stopping, stopped.stopping, stopped.alive, failed.alive) == (False, True, True, False)
