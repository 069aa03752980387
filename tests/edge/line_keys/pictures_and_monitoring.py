"""Cases of `[pictures]`, `[drift]` and `[rates]`."""

from datetime import datetime, timedelta, timezone
from pathlib import Path

from edge.records.retention import AGE_EVERY_S
from firmware_bridge.messages import Trigger
from tests.edge.line_keys.registry import BRIGHT, GOOD, LIGHT, NEARLY, observes, refuse_rows
from tests.edge.running_line import Run


@observes("pictures.folder")
def folder_of_the_pictures(run: Run) -> None:
    with run([BRIGHT], pictures={"folder": "kept"}) as line:
        line.verdicts(1)

    assert len([*(line.folder / "kept").glob("*/reject/*-camera.png")]) == 1


@observes("pictures.rejects")
def pictures_of_rejects(run: Run) -> None:
    with run([BRIGHT, GOOD], pictures={"rejects": False, "one_in_good": 1}) as line:
        line.verdicts(1, 2)

    assert [name.split("/")[0] for name in line.pictures()] == ["good"]


@observes("pictures.unsure")
def pictures_of_unsure_parts(run: Run) -> None:
    with run([NEARLY, BRIGHT], unsure_margin=0.1, pictures={"unsure": False}) as line:
        line.verdicts(1, 2)

    assert [name.split("/")[0] for name in line.pictures()] == ["reject"]


@observes("pictures.one_in_good")
def pictures_of_good_parts(run: Run) -> None:
    with run(pictures={"one_in_good": 2}) as line:
        line.verdicts(1, 2, 3, 4)

    assert [name.split("-")[1] for name in line.pictures()] == ["2", "4"]


def old_picture(folder: Path, days: int) -> Path:
    """Write a picture that is the given number of days old."""
    day = datetime.now(timezone.utc) - timedelta(days=days)
    path = folder / "pictures" / f"{day:%Y-%m-%d}" / "reject" / "000000-0-camera.png"
    path.parent.mkdir(parents=True)
    path.write_bytes(b"picture")
    return path


@observes("pictures.keep_days")
def age_of_the_pictures(run: Run) -> None:
    with run() as line:
        older, newer = old_picture(line.folder, 12), old_picture(line.folder, 8)
    with run([BRIGHT], pictures={"keep_days": 10}) as line:
        line.clock.now = AGE_EVERY_S
        line.verdicts(1)

    assert (older.exists(), newer.exists()) == (False, True)


@observes("pictures.keep_gib")
def size_of_the_pictures(run: Run) -> None:
    with run() as line:
        older = old_picture(line.folder, 2)
    with run([BRIGHT], pictures={"keep_gib": 1e-9}) as line:
        line.verdicts(1)

    assert not older.exists()


@observes("pictures.leave_free_gib")
def rest_of_the_disk(run: Run) -> None:
    with run([BRIGHT], pictures={"leave_free_gib": 6}, doubles={"free_gib": 5.5}) as line:
        line.verdicts(1)

    assert (line.alarms, line.pictures()) == (["pictures"], [])


@observes("pictures.queue")
def pictures_that_wait_for_the_disk(run: Run) -> None:
    with run([BRIGHT], pictures={"queue": 1}) as line:
        line.disk.clear()
        line.verdicts(1, 2, 3, 4)  # the fourth result is sent after the third part was offered

    assert len(line.pictures()) < 4


@observes("drift.baseline_parts")
def parts_of_the_baseline(run: Run) -> None:
    with run(drift={"baseline_parts": 50}, open_parts=256) as line:
        line.plc.trigger(*range(1, 51))
        line.plc.wait_for(50)

    assert len([*line.folder.glob("records.baseline-*.json")]) == 1


@observes("drift.span_parts")
def parts_until_a_change_is_an_alarm(run: Run) -> None:
    frames = [GOOD] * 50 + [LIGHT] * 5
    with run(frames, drift={"baseline_parts": 50, "span_parts": 10}, open_parts=256) as line:
        line.plc.trigger(*range(1, 56))
        line.plc.wait_for(55)

    assert line.faults == ["drift brightness camera"]
    assert line.alarms == ["drift brightness camera"]


def late_parts(run: Run, parts: int, timely: int = 0, **rates: float) -> list[str]:
    """Alarms after timely parts and then parts whose triggers arrive past their deadline."""
    with run(deadline_ms=1000, rates=rates, records=f"{rates}.sqlite") as line:
        line.verdicts(*range(timely))
        for part_id in range(parts):
            line.plc.tell(Trigger(part_id, 0, age_ms=1001))
            line.plc.wait_for(timely + part_id + 1)
        line.plc.drain()
        line.runtime.stop()
        return line.alarms


@observes("rates.minimum_parts")
def parts_before_an_alarm(run: Run) -> None:
    found = [late_parts(run, 6, minimum_parts=minimum) for minimum in (6, 7)]

    assert found == [["rate of TIMEOUT"], []]


@observes("rates.window_parts")
def parts_that_are_looked_at(run: Run) -> None:
    found = [late_parts(run, 7, timely=60, minimum_parts=5, window_parts=window) for window in (10, 100)]

    assert found == [["rate of TIMEOUT"], []]


@observes("rates.timeouts")
def tolerated_timeouts(run: Run) -> None:
    found = [late_parts(run, 10, minimum_parts=10, timeouts=share) for share in (0.1, 0.5)]

    assert found == [["rate of TIMEOUT"], []]


@observes("rates.faults")
def tolerated_faults(run: Run) -> None:
    found = []
    for share in (0.1, 0.5):
        with run(rates={"minimum_parts": 10, "faults": share}, records=f"{share}.sqlite") as line:
            refuse_rows(line)
            line.verdicts(*range(11))
            found.append("rate of FAULT" in line.alarms)

    assert found == [True, False]


@observes("rates.rejects")
def tolerated_rejects(run: Run) -> None:
    found = []
    for share in (0.1, 0.5):
        with run([BRIGHT], rates={"minimum_parts": 10, "rejects": share}, records=f"{share}.sqlite") as line:
            line.verdicts(*range(11))
            found.append(line.alarms)

    assert found == [["rate of rejects"], []]
