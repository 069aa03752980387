"""Cases of the keys outside of any table, of the cameras and of the recipes."""

import sqlite3
from contextlib import closing
from time import monotonic

import cv2
import numpy as np

from bundle import load_bundle
from edge.service import change_over
from firmware_bridge.messages import BeltPosition, Changeover, Trigger
from tests.edge.line_keys.registry import BRIGHT, DARK, EJECTOR, GOOD, NEARLY, observes, refuse_rows
from tests.edge.running_line import Run


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


@observes("camera.exposures")
def views_of_a_part(run: Run) -> None:
    with run([GOOD, BRIGHT], camera=[{"address": "film://", "name": "top", "exposures": 2}]) as line:
        assert line.verdicts(1) == ["NG"]
        assert line.engines[0][2] == 2

    assert line.rows("SELECT camera FROM views") == [("top-1",), ("top-2",)]


@observes("camera.exposure_interval_ms")
def time_of_the_second_exposure(run: Run) -> None:
    table = {"address": "film://", "exposures": 2, "exposure_interval_ms": 40}
    with run(camera=[table]) as line:
        line.verdicts(1)

    assert line.cameras[0].due_s == [0, 0.04]


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
