"""Every key of line.toml takes effect in a running station: each case changes one key and observes what it does.

A key without a case fails by its name; all cases are in this one file, because the test looks
for them here. The base of all cases waits long for everything, and has no optional table.
"""

import json
import sqlite3
import threading
from collections.abc import Callable, Iterator
from contextlib import closing
from datetime import datetime, timedelta, timezone
from pathlib import Path
from time import monotonic

import cv2
import numpy as np
import pytest

from bundle import BundleError, SignatureInvalid, load_bundle
from edge.config.line import Line
from edge.config.schema import LineTable, table_in
from edge.errors import LineConfigError, ServerError
from edge.records.retention import AGE_EVERY_S
from edge.release.signature import make_keys, sign
from edge.service import change_over
from firmware_bridge.messages import BeltPosition, Changeover, Trigger
from tests.conftest import grey_frame
from tests.edge.running_line import PageDouble, Run, RunningLine

GOOD, BRIGHT, DARK = grey_frame(), grey_frame(spot=255), grey_frame(spot=0)
NEARLY = grey_frame(spot=220)
"""Its score is 0.86, where the threshold is 0.9."""
LIGHT = np.full_like(GOOD, 160)

CASES: dict[str, Callable[[Run], None]] = {}
"""By key, with its table: `pictures.folder`."""


def observes(key: str) -> Callable[[Callable[[Run], None]], Callable[[Run], None]]:
    """Make a function the case of a key."""

    def keep(case: Callable[[Run], None]) -> Callable[[Run], None]:
        assert key not in CASES, f"{key} has two cases"
        CASES[key] = case
        return case

    return keep


def keys_of(table: type[LineTable], prefix: str = "") -> Iterator[str]:
    """Every key that holds a value, in this table and in those within it."""
    for name, field in table.model_fields.items():
        inner = table_in(field.annotation)
        if inner is None:
            yield prefix + name
        else:
            yield from keys_of(inner, f"{prefix}{name}.")


@pytest.mark.parametrize("key", [*keys_of(Line)])
def test_a_key_of_line_toml_takes_effect(key: str, run: Run) -> None:
    assert key in CASES, f"line.toml: {key} has no case here; add one that changes it and observes its effect"
    CASES[key](run)


def test_there_is_no_case_of_a_key_that_is_gone() -> None:
    assert set(CASES) <= set(keys_of(Line))


@pytest.mark.parametrize("table", ["ejector", "opcua", "page", "pictures"])
def test_without_an_optional_table_there_is_nothing_of_it(table: str, run: Run) -> None:
    with run([BRIGHT]) as line:
        line.verdicts(1)

    found = {"ejector": line.outputs, "opcua": line.opcua, "page": line.pages}
    assert {**found, "pictures": [*line.folder.glob("pictures")]}[table] == []


@observes("bundle")
def bundle_in_use(run: Run) -> None:
    with run(bundle="other") as line:
        (_, hello, _) = line.links[0]

        assert hello.bundle_id == line.runtime.bundle.id == load_bundle(line.folder / "other").id


@observes("camera.address")
def addresses_opened(run: Run) -> None:
    with run(camera=[{"address": "film://one", "name": "1"}, {"address": "film://two", "name": "2"}]) as line:
        assert [camera.address for camera in line.cameras] == ["film://one", "film://two"]
        assert line.engines[0][2] == 2


@observes("camera.name")
def name_on_record(run: Run) -> None:
    with run(camera=[{"address": "film://", "name": "top"}, {"address": "film://", "name": "side"}]) as line:
        line.verdicts(1)

    assert line.rows("SELECT camera FROM views") == [("top",), ("side",)]


@observes("camera.ignore")
def defect_in_the_ignore_region(run: Run) -> None:
    camera = [{"address": "film://", "ignore": "ignore.png"}]
    with run([BRIGHT], camera=[{"address": "film://"}]) as line:
        before = line.verdicts(1)
        cv2.imwrite(str(line.folder / "ignore.png"), np.where(BRIGHT == 255, 255, 0))
    with run([BRIGHT], camera=camera) as line:
        assert (before, line.verdicts(1)) == (["NG"], ["OK"])


@observes("camera.mm_per_px")
def areas_on_record(run: Run) -> None:
    with run([BRIGHT], camera=[{"address": "film://", "mm_per_px": 0.5}]) as line:
        line.verdicts(1)

    assert line.rows("SELECT area_px, area_mm2 FROM defects") == [(16, 4)]


@observes("plc")
def address_of_the_link(run: Run) -> None:
    with run(plc="serial:///dev/ttyTHS1?baud=9600") as line:
        assert line.links[0][0] == "serial:///dev/ttyTHS1?baud=9600"


@observes("records")
def database(run: Run) -> None:
    with run(records="rows/line.sqlite") as line:
        line.verdicts(1)

    with closing(sqlite3.connect(line.folder / "rows/line.sqlite")) as connection:
        assert connection.execute("SELECT part_id FROM parts").fetchall() == [(1,)]


def refuse_rows(line: RunningLine) -> None:
    """Let the disk refuse every row."""
    line.rows("ALTER TABLE parts RENAME TO gone")


@observes("without_disk")
def verdict_while_the_disk_refuses_rows(run: Run) -> None:
    found = {}
    for choice in ("fault", "memory"):
        with run(without_disk=choice, records=f"{choice}.sqlite") as line:
            refuse_rows(line)
            found[choice] = line.verdicts(1)

    assert found == {"fault": ["FAULT"], "memory": ["OK"]}


@observes("entries_in_memory")
def part_beyond_the_memory(run: Run) -> None:
    with run(entries_in_memory=100, without_disk="memory", open_parts=256) as line:
        refuse_rows(line)
        line.plc.trigger(*range(1, 121))
        found = [result.verdict.name for result in line.plc.wait_for(120)]

    assert (found[0], found[-1]) == ("OK", "FAULT")


@observes("engine")
def name_of_the_engine(run: Run) -> None:
    with run(engine="tensorrt") as line:
        assert line.engines[0][0] == "tensorrt"


@observes("engine_threads")
def threads_of_the_engine(run: Run) -> None:
    with run(engine_threads=3) as line:
        assert line.engines[0][1] == 3


@observes("engine_reopens")
def reopening_of_the_engine(run: Run) -> None:
    for wanted in (True, False):
        with run(engine_reopens=wanted) as line:
            assert line.engines[0][3] is wanted


@observes("deadline_ms")
def timeout_of_a_part(run: Run) -> None:
    with run(deadline_ms=250) as line:
        line.plc.tell(Trigger(1, 10, age_ms=300))
        line.plc.tell(Trigger(2, 20, age_ms=200))
        assert [result.verdict.name for result in line.plc.wait_for(2)] == ["TIMEOUT", "OK"]

    assert line.rows("SELECT fault FROM parts")[0] == ("no verdict within 250 ms of the trigger",)


@observes("grab_timeout_ms")
def timeout_of_the_camera(run: Run) -> None:
    with run(grab_timeout_ms=1234) as line:
        line.verdicts(1)
        assert line.cameras[0].timeouts_s == [1.234]
    with run(grab_timeout_ms=2345, trigger="camera") as line:
        line.plc.wait_for(1)
        assert line.cameras[0].timeouts_s[0] == 2.345


@observes("open_parts")
def parts_that_are_open(run: Run) -> None:
    with run(open_parts=2) as line:
        line.inferring.clear()
        line.plc.trigger(1, 2, 3)
        line.plc.drain()
        line.inferring.set()

        assert [result.verdict.name for result in line.plc.wait_for(3)] == ["OK", "OK", "TIMEOUT"]


@observes("record_wait_ms")
def wait_for_a_slow_disk(run: Run) -> None:
    with run(record_wait_ms=100) as line, closing(sqlite3.connect(line.line.records, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")  # the disk hangs
        began = monotonic()
        line.plc.trigger(1)
        line.plc.wait_for(1)
        waited_s = monotonic() - began
        other.execute("COMMIT")

    assert waited_s >= 0.1  # a wait is never shorter, however loaded the machine is


@observes("late_rows")
def rows_that_a_hanging_disk_may_owe(run: Run) -> None:
    keys = {"late_rows": 1, "record_wait_ms": 0}
    with run(**keys) as line, closing(sqlite3.connect(line.line.records, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")  # the disk hangs
        verdicts = line.verdicts(1, 2, 3, 4)
        other.execute("COMMIT")

    assert verdicts == ["OK", "FAULT", "FAULT", "FAULT"]


@observes("unsure_margin")
def score_below_the_threshold(run: Run) -> None:
    with run([NEARLY], unsure_margin=0.1) as line:
        assert line.verdicts(1) == ["UNSURE"]


@observes("trigger")
def frames_that_come_by_themselves(run: Run) -> None:
    for trigger in ("camera", "free"):
        with run([GOOD, BRIGHT], trigger=trigger, records=f"{trigger}.sqlite") as line:
            assert [result.part_id for result in line.plc.wait_for(2)] == [1, 2]


@observes("every_counts")
def frames_of_one_place(run: Run) -> None:
    found = {}
    for counts in (0, 100):
        keys = {"trigger": "free", "every_counts": counts, "records": f"{counts}.sqlite"}
        with run([GOOD] * 3, doubles={"rolls_at_once": False}, **keys) as line:
            line.plc.tell(BeltPosition(5000))
            line.plc.drain()
            line.rolling.set()
            assert line.runtime.finished.wait(10.0)
        found[counts] = len(line.rows("SELECT * FROM parts"))

    assert found == {0: 3, 100: 1}


@observes("report")
def results_that_the_plc_is_sent(run: Run) -> None:
    with run([GOOD, BRIGHT, GOOD, DARK], trigger="free", report="rejects") as line:
        assert line.runtime.finished.wait(10.0)

    assert [(result.part_id, result.verdict.name) for result in line.plc.results] == [(2, "NG"), (4, "NG")]


@observes("shadow")
def verdict_that_the_plc_is_told(run: Run) -> None:
    with run([BRIGHT], shadow=True, ejector=EJECTOR) as line:
        assert line.verdicts(1) == ["OK"]
        assert (line.outputs, line.links[0][2]) == ([], True)
    assert line.rows("SELECT verdict, told FROM parts") == [(2, 1)]


@observes("alarm_after_rejects")
def rejects_in_a_row(run: Run) -> None:
    with run([BRIGHT], alarm_after_rejects=3) as line:
        line.verdicts(1, 2)
        before = line.faults
        line.verdicts(3)

    assert (before, line.faults) == ([], ["rejects in a row"])


@observes("recipes")
def recipe_that_the_plc_asks_for(run: Run) -> None:
    with run(recipes={3: "other"}) as line:
        line.runtime.changeovers.put(3)
        change_over(line.line, line.runtime, line.equipment)
        (said,) = line.plc.wait_for_other(1)

    assert said == Changeover(3, load_bundle(line.folder / "other").id)


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


EJECTOR = {"output": "simulated://", "default": "pass", "fail_safe": "off", "distance_counts": 500, "length_counts": 20}
TIMED = {"output": "simulated://", "default": "pass", "fail_safe": "off", "delay_ms": 500, "length_ms": 40}


def reject_at_10(line: RunningLine, *part_ids: int) -> RunningLine:
    """Start belt and PLC, and reject parts whose encoder counts are ten times their ids."""
    line.connect()
    line.ejects_at(0)
    line.verdicts(*(part_ids or (1,)))
    return line


@observes("ejector.output")
def address_of_the_output(run: Run) -> None:
    with run(ejector=EJECTOR | {"output": "gpio:///dev/gpiochip0?line=7"}) as line:
        assert line.outputs == ["gpio:///dev/gpiochip0?line=7"]


@observes("ejector.distance_counts")
def place_of_the_pulse(run: Run) -> None:
    with run([BRIGHT], ejector=EJECTOR | {"distance_counts": 700}) as line:
        reject_at_10(line)
        assert (line.ejects_at(709), line.ejects_at(710)) == (False, True)


@observes("ejector.length_counts")
def length_of_the_pulse(run: Run) -> None:
    with run([BRIGHT], ejector=EJECTOR | {"length_counts": 30}) as line:
        reject_at_10(line)
        assert (line.ejects_at(510), line.ejects_at(539), line.ejects_at(540)) == (True, True, False)


@observes("ejector.delay_ms")
def time_of_the_pulse(run: Run) -> None:
    with run([BRIGHT], ejector=TIMED | {"delay_ms": 700}) as line:
        reject_at_10(line)
        assert (line.ejects(0.699), line.ejects(0.701)) == (False, True)


@observes("ejector.length_ms")
def duration_of_the_pulse(run: Run) -> None:
    with run([BRIGHT], ejector=TIMED | {"length_ms": 60}) as line:
        reject_at_10(line)
        assert (line.ejects(0.501), line.ejects(0.559), line.ejects(0.561)) == (True, True, False)


@observes("ejector.default")
def part_without_a_verdict_at_the_ejector(run: Run) -> None:
    with run(ejector=EJECTOR | {"default": "reject"}) as line:
        line.connect()
        line.inferring.clear()
        line.ejects_at(0)
        before = line.ejects_at(1000)  # past all that lay between camera and ejector at the start
        line.plc.trigger(101)
        line.plc.drain()
        assert (before, line.ejects_at(1510)) == (False, True)


@observes("ejector.fail_safe")
def output_without_a_plc(run: Run) -> None:
    with run(ejector=EJECTOR | {"fail_safe": "on"}) as line:
        before = line.ejects()
        line.connect()
        assert (before, line.ejects()) == (True, False)


def test_the_ejector_of_a_line_without_triggers_needs_no_plc(run: Run) -> None:
    with run(trigger="free", ejector=EJECTOR | {"fail_safe": "on"}, doubles={"rolls_at_once": False}) as line:
        assert not line.ejects()


@observes("ejector.coast_ms")
def belt_between_two_counts(run: Run) -> None:
    with run([BRIGHT], ejector=EJECTOR | {"distance_counts": 280, "coast_ms": 1000}) as line:
        reject_at_10(line)
        line.clock.now = 0.1
        line.ejects_at(100)  # so the belt moves by 1000 counts a second
        assert (line.ejects(0.285), line.ejects(0.295)) == (False, True)


@observes("ejector.belt_silence_ms")
def silence_of_the_belt(run: Run) -> None:
    with run([BRIGHT], ejector=EJECTOR | {"belt_silence_ms": 300}) as line:
        reject_at_10(line)
        line.ejects(0.299)
        before = line.alarms
        line.ejects(0.301)
        assert (before, line.alarms) == ([], ["ejector without counts"])


@observes("ejector.belt_stop_s")
def standstill_of_the_belt(run: Run) -> None:
    with run([BRIGHT], ejector=EJECTOR | {"belt_stop_s": 5, "belt_silence_ms": 100_000}) as line:
        reject_at_10(line)
        line.ejects(4.9)
        before = line.alarms
        line.ejects(5.1)
        assert (before, line.alarms) == ([], ["belt stands"])


@observes("ejector.queue")
def parts_before_the_ejector(run: Run) -> None:
    with run([BRIGHT], ejector=EJECTOR | {"queue": 2}) as line:
        reject_at_10(line, 1, 2)
        before = line.alarms
        line.verdicts(3)
        assert (before, line.alarms) == ([], ["ejector queue full"])


@observes("confirmation.within_counts")
def way_into_the_bin(run: Run) -> None:
    with run([BRIGHT], confirmation={"within_counts": 300}) as line:
        line.connect()
        line.plc.tell(BeltPosition(0))
        line.verdicts(1)
        found = []
        for encoder in (310, 311):
            line.plc.tell(BeltPosition(encoder))
            line.plc.drain()
            found.append(line.alarms)

    assert found == [[], ["eject not confirmed"]]


@observes("confirmation.within_ms")
def time_into_the_bin(run: Run) -> None:
    with run([BRIGHT], confirmation={"within_ms": 300}) as line:
        line.verdicts(1)
        found = []
        for line.clock.now in (0.299, 0.301):
            line.plc.drain()
            found.append(line.alarms)

    assert found == [[], ["eject not confirmed"]]


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


def page_of(line: RunningLine) -> PageDouble:
    """The page of a line; skips where FastAPI is missing."""
    pytest.importorskip("fastapi", reason="the page needs edge-inspect[page]")
    return line.pages[0]


@observes("page.listen")
def address_of_the_page(run: Run) -> None:
    pytest.importorskip("fastapi", reason="the page needs edge-inspect[page]")
    with run(page={"listen": "127.0.0.2:0"}, doubles={"serves_page": True}) as line:
        (feed,) = line.feeds
        while feed.address is None and not feed.tries > 1:  # its thread opens the port
            threading.Event().wait(0.01)
        assert (feed.address or "").startswith("http://127.0.0.2:")


@observes("page.token")
def token_of_the_page(run: Run) -> None:
    with run(page={"token": "open sesame"}) as line:
        page = page_of(line)
        (without, _), (status, _) = page.answer("/"), page.answer("/", authorization="Bearer open sesame")

    assert (without, status) == (401, 200)


@observes("page.hosts")
def hosts_of_the_page(run: Run) -> None:
    with run(page={"hosts": ["line3.plant.example"]}) as line:
        page = page_of(line)
        found = [page.answer("/", host=f"line{number}.plant.example")[0] for number in (3, 4)]

    assert found == [200, 421]


@observes("page.without_token")
def page_without_a_token(run: Run) -> None:
    with pytest.raises(LineConfigError, match="without a token, expected a token"), run(page={"listen": "0.0.0.0:80"}):
        pytest.fail("started")
    with run(page={"listen": "0.0.0.0:80", "without_token": True}) as line:
        assert page_of(line).answer("/")[0] == 200


@observes("page.operator_token")
def token_of_the_operators(run: Run) -> None:
    with run(page={"operator_token": "open sesame"}) as line:
        page = page_of(line)
        (_, before), (_, after) = page.answer("/"), page.answer("/", authorization="Bearer open sesame")

    assert ('data-role="sign-in"' in before, 'data-role="operator"' in after) == (True, True)


@observes("page.inspector_token")
def token_of_the_inspectors(run: Run) -> None:
    with run(page={"inspector_token": "open sesame"}) as line:
        page = page_of(line)
        (_, before), (_, after) = page.answer("/"), page.answer("/", authorization="Bearer open sesame")

    assert ('data-role="sign-in"' in before, 'data-role="inspector"' in after) == (True, True)


@observes("page.lang")
def language_of_the_page(run: Run) -> None:
    with run(page={"lang": "de"}) as line:
        _, index = page_of(line).answer("/")

    assert 'data-lang="de"' in index


@observes("page.title")
def title_of_the_page(run: Run) -> None:
    with run(page={"title": "Line 3, glaze"}) as line:
        _, state = page_of(line).answer("/api/state")

    assert json.loads(state)["title"] == "Line 3, glaze"


@observes("page.shift_starts")
def shifts_of_the_page(run: Run) -> None:
    now = datetime.now(timezone.utc)
    found = {}
    for hours in (-1, 1):  # the page looks two hours after the part
        starts = [(now + timedelta(hours=hours)).astimezone().strftime("%H:%M")]
        with run(page={"shift_starts": starts}) as line:
            line.verdicts(1, 2)  # the second result is sent after the page has the first part
            line.pages[0].later = timedelta(hours=2)
            found[hours] = json.loads(page_of(line).answer("/api/state")[1])["shift"]["verdicts"]

    assert (bool(found[-1]), found[1]) == (True, {})


@observes("opcua.listen")
def address_of_the_opcua_server(run: Run) -> None:
    pytest.importorskip("asyncua", reason="the OPC UA server needs edge-inspect[opcua]")
    with run(opcua={"listen": "127.0.0.2:0"}, doubles={"serves_opcua": True}) as line:
        (feed,) = line.opcua_feeds
        while feed.address is None and not feed.tries > 1:  # its thread opens the port
            threading.Event().wait(0.01)
        assert (feed.address or "").startswith("opc.tcp://127.0.0.2:")


def opcua_keys(folder: Path, name: str, **more: object) -> dict[str, object]:
    """The table of an OPC UA server with encryption; skips where asyncua is missing."""
    pytest.importorskip("asyncua", reason="the OPC UA server needs edge-inspect[opcua]")
    from tests.edge.opcua.doubles import make_identity

    return {"security": "Basic256Sha256", **make_identity(folder, name), **more}


@observes("opcua.security")
def encryption_of_the_opcua_server(run: Run) -> None:
    with run() as line:
        keys = opcua_keys(line.folder, "station")
    from tests.edge.opcua.doubles import endpoints_of

    with run(opcua=keys) as line:
        found = endpoints_of(line.opcua[0].settings)

    assert [(one.SecurityPolicyUri.rsplit("#")[-1], one.SecurityMode.name) for one in found] == [
        ("Basic256Sha256", "SignAndEncrypt")
    ]


@observes("opcua.certificate")
def certificate_of_the_opcua_server(run: Run) -> None:
    with run() as line:
        keys = opcua_keys(line.folder, "station")
    from tests.edge.opcua.doubles import endpoints_of

    with run(opcua={**keys, "certificate": "station.der"}) as line:
        (found,) = endpoints_of(line.opcua[0].settings)

    assert found.ServerCertificate == (line.folder / "station.der").read_bytes()


@observes("opcua.private_key")
def private_key_of_the_opcua_server(run: Run) -> None:
    with run() as line:
        keys = opcua_keys(line.folder, "station")
        opcua_keys(line.folder, "other")
    from tests.edge.opcua.doubles import endpoints_of

    with (
        run(opcua={**keys, "private_key": "other.pem"}) as line,
        pytest.raises(ServerError, match=f"found the certificate of another key than {line.folder}/other.pem"),
    ):
        endpoints_of(line.opcua[0].settings)


@observes("opcua.users")
def users_of_the_opcua_server(run: Run) -> None:
    pytest.importorskip("asyncua", reason="the OPC UA server needs edge-inspect[opcua]")
    from edge.opcua.server import KnownUsers
    from tests.edge.opcua.doubles import endpoints_of

    with run(opcua={"users": {"mes": "open sesame"}}) as line:
        settings = line.opcua[0].settings
        (found,) = endpoints_of(settings)

    assert [token.TokenType.name for token in found.UserIdentityTokens] == ["UserName"]
    known = KnownUsers(settings.users)
    passwords = ("open sesame", "open sesam", "", None)
    assert [known.get_user(None, "mes", password) is not None for password in passwords] == [True, False, False, False]


def test_in_shadow_mode_no_part_is_missed_in_the_bin(run: Run) -> None:
    with run([BRIGHT], shadow=True, confirmation={"within_ms": 300}) as line:
        line.verdicts(1)
        line.clock.now = 0.301
        line.plc.drain()

        assert line.alarms == []


def test_a_station_that_can_write_no_rows_any_more_is_not_alive(run: Run) -> None:
    with run([GOOD]) as line:
        before = line.runtime.alive
        line.runtime.records.failure = KeyError("unexpected")

        assert (before, line.runtime.alive) == (True, False)


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
