"""One verdict for every trigger, whatever goes wrong."""

import gc
import threading
from collections.abc import Callable
from pathlib import Path
from time import monotonic
from weakref import ref

import cv2
import pytest

from bundle import Threshold, Verdict, load_bundle
from edge.alarms import Area
from edge.cameras.camera import Frame
from edge.part import Part, View
from edge.pipeline.inspector import Inspector, ViewGeometry
from firmware_bridge.events import Undelivered
from firmware_bridge.messages import (
    AGE_UNKNOWN,
    SHADOW,
    ActiveAlarms,
    Changeover,
    Fault,
    FaultCode,
    Result,
    Settings,
    Trigger,
)
from firmware_bridge.messages import Verdict as WireVerdict
from tests.conftest import CLASSES
from tests.edge.line_doubles import AgeCamera, DamagedCamera, HandPlc, ListCamera, NumpyEngine
from tests.edge.pipeline.conftest import BRIGHT, DARK, GOOD, Run, manifest_of, rows, verdicts


def test_verdicts_have_the_same_numbers_on_the_wire_and_in_the_records() -> None:
    assert {verdict.name: verdict.value for verdict in WireVerdict if verdict.value} == {
        verdict.name: verdict.value for verdict in Verdict
    }


def test_a_deadline_runs_from_the_part_s_coming_not_from_its_message_s(station: Run) -> None:
    plc = HandPlc()
    station(plc, ListCamera([GOOD]), deadline_ms=5000)
    plc.tell(Trigger(1, 10, age_ms=6000))
    plc.tell(Trigger(2, 20, age_ms=1000))

    late, in_time = plc.wait_for(2)
    assert verdicts([late, in_time]) == ["TIMEOUT", "OK"]
    assert late.latency_us >= 6_000_000


def test_a_part_that_is_done_lets_its_frame_go(station: Run) -> None:
    plc, frames = HandPlc(), []
    runtime = station(plc, ListCamera([GOOD, DARK]))
    runtime.watch(lambda part: frames.append(ref(part.views[0].frame)))
    for part_id in range(1, 9):  # the threads may hold the last ones in their hands
        plc.trigger(part_id)
        plc.wait_for(part_id)
    gc.collect()

    assert [frame() for frame in frames[:4]] == [None] * 4


def test_a_camera_is_told_how_old_a_trigger_is(station: Run) -> None:
    plc, camera = HandPlc(), AgeCamera([GOOD])
    station(plc, camera)
    plc.tell(Trigger(1, 10, age_ms=62))
    plc.tell(Trigger(2, 20, age_ms=7, flags=AGE_UNKNOWN))
    plc.wait_for(2)

    assert camera.ages_s == [0.062, None]


def test_good_and_bad_parts_get_their_verdicts_in_order(station: Run) -> None:
    plc = HandPlc()
    station(plc, ListCamera([GOOD, BRIGHT, DARK]))
    plc.trigger(7, 8, 9)

    good, bright, dark = plc.wait_for(3)

    assert (good.part_id, good.encoder, good.verdict, good.class_index) == (7, 70, WireVerdict.OK, 0)
    assert (bright.part_id, bright.verdict, bright.class_index) == (8, WireVerdict.NG, 1)
    assert (bright.score, bright.area_px, bright.box) == (1.0, 16, (2, 4, 4, 4))
    assert (dark.part_id, dark.verdict, dark.class_index) == (9, WireVerdict.NG, 2)


def test_each_part_has_its_row_before_its_result(station: Run, tmp_path: Path) -> None:
    class Curious(HandPlc):
        """Looks into the records when a result arrives."""

        def send(self, message):  # type: ignore[no-untyped-def]
            if isinstance(message, Result):
                seen.append(rows(tmp_path, f"SELECT verdict FROM parts WHERE part_id = {message.part_id}"))
            super().send(message)

    seen: list[list[tuple[object, ...]]] = []
    plc = Curious()
    station(plc, ListCamera([GOOD, BRIGHT]))
    plc.trigger(1, 2)
    plc.wait_for(2)

    assert seen == [[(1,)], [(2,)]]


def test_a_row_does_not_wait_for_the_parts_before_it(station: Run, tmp_path: Path) -> None:
    plc, gate = HandPlc(), threading.Event()
    station(plc, DamagedCamera([GOOD], damaged={2}), engine=NumpyEngine(manifest_of(tmp_path), gate=gate))
    plc.trigger(1, 2)
    last_moment = monotonic() + 10.0
    while not rows(tmp_path, "SELECT part_id FROM parts ORDER BY number"):
        assert monotonic() < last_moment
    results = list(plc.results)
    gate.set()

    assert results == []
    assert verdicts(plc.wait_for(2)) == ["OK", "FAULT"]


def test_after_the_stop_everything_is_in_the_records(station: Run, tmp_path: Path) -> None:
    plc = HandPlc()
    runtime = station(plc, ListCamera([GOOD, BRIGHT]))
    plc.trigger(1, 2)
    plc.wait_for(2)
    runtime.stop()
    runtime._source._records.close()

    assert rows(tmp_path, "SELECT part_id, verdict, class, link FROM parts ORDER BY number") == [
        (1, 1, None, "acknowledged"),
        (2, 2, "Bright", "acknowledged"),
    ]
    assert rows(tmp_path, "SELECT part, exposure, width, height FROM views") == [(1, 1, 12, 16), (2, 2, 12, 16)]
    assert rows(tmp_path, "SELECT part, class, x, y, width, height FROM defects") == [(2, "Bright", 2, 4, 4, 4)]
    stamps = "frame_us, prepared_us, inferred_us, decided_us, recorded_us, sent_us, acknowledged_us"
    for times in rows(tmp_path, f"SELECT {stamps} FROM parts"):
        assert list(times) == sorted(times)  # type: ignore[type-var]
    assert plc.offline == ["stopped"]


def test_stopping_gives_every_open_part_its_verdict(station: Run, tmp_path: Path) -> None:
    plc, gate = HandPlc(), threading.Event()
    runtime = station(plc, ListCamera([GOOD]), engine=NumpyEngine(manifest_of(tmp_path), gate=gate), deadline_ms=200)
    plc.trigger(1, 2, 3)
    stopper = threading.Thread(target=runtime.stop)
    stopper.start()
    plc.wait_for(3)
    gate.set()
    stopper.join()

    assert [result.part_id for result in plc.results] == [1, 2, 3]
    assert "OK" not in verdicts(plc.results)


def test_a_result_that_was_not_delivered_is_on_record(station: Run, tmp_path: Path) -> None:
    plc = HandPlc(acknowledge=False)
    runtime = station(plc, ListCamera([GOOD]))
    plc.trigger(1)
    (result,) = plc.wait_for(1)
    plc.tell(Undelivered(result, "no answer"))
    runtime.stop()
    runtime._source._records.close()

    assert rows(tmp_path, "SELECT verdict, link FROM parts ORDER BY number") == [(1, "undelivered")]
    assert runtime.tally.undelivered == 1


def test_rows_go_on_counting_after_a_restart(station: Run, tmp_path: Path) -> None:
    for part_id in (1, 2):
        plc = HandPlc()
        runtime = station(plc, ListCamera([GOOD]))
        plc.trigger(part_id)
        plc.wait_for(1)
        runtime.stop()
        runtime._source._records.close()

    assert rows(tmp_path, "SELECT number, part_id FROM parts ORDER BY number") == [(1, 1), (2, 2)]


def test_a_part_is_as_bad_as_its_worst_view(station: Run, tmp_path: Path) -> None:
    plc = HandPlc()
    runtime = station(plc, ListCamera([GOOD, GOOD, BRIGHT]), ListCamera([GOOD, DARK, DARK]))
    plc.trigger(1, 2, 3)

    results = plc.wait_for(3)
    runtime.stop()
    runtime._source._records.close()

    assert verdicts(results) == ["OK", "NG", "NG"]
    assert results[1].class_index == 2
    assert rows(tmp_path, "SELECT part, camera, class FROM defects") == [
        (2, "camera1", "Dark"),
        (3, "camera0", "Bright"),
        (3, "camera1", "Dark"),
    ]


def test_the_views_of_a_part_go_through_the_engine_as_one_batch(station: Run, tmp_path: Path) -> None:
    plc = HandPlc()
    engine = NumpyEngine(manifest_of(tmp_path))
    station(plc, ListCamera([GOOD]), ListCamera([GOOD]), ListCamera([BRIGHT]), engine=engine)
    plc.trigger(1)

    assert verdicts(plc.wait_for(1)) == ["NG"]
    assert engine.calls == 1


def test_in_shadow_mode_everything_passes_and_the_verdict_is_on_record(station: Run, tmp_path: Path) -> None:
    plc = HandPlc()
    runtime = station(plc, DamagedCamera([GOOD, BRIGHT], damaged={3}), shadow=True)
    plc.trigger(1, 2, 3)

    assert verdicts(plc.wait_for(3)) == ["OK", "OK", "OK"]
    runtime.stop()
    runtime._source._records.close()
    assert rows(tmp_path, "SELECT verdict, told FROM parts ORDER BY number") == [(1, 1), (2, 1), (5, 1)]


def test_rejects_in_a_row_raise_an_alarm(station: Run) -> None:
    plc = HandPlc()
    runtime = station(plc, ListCamera([BRIGHT, GOOD, BRIGHT, DARK, BRIGHT]), alarm_after_rejects=2)
    plc.trigger(1, 2, 3, 4, 5)
    plc.wait_for(5)
    runtime.stop()

    assert plc.others == [Fault(FaultCode.OTHER, 4, "rejects in a row")]


def test_rejects_in_a_row_are_one_alarm_with_their_count(station: Run, caplog: pytest.LogCaptureFixture) -> None:
    plc = HandPlc()
    runtime = station(plc, ListCamera([BRIGHT]), alarm_after_rejects=5)
    for part_id in range(1, 31):
        plc.trigger(part_id)
        plc.wait_for(part_id)
    runtime.stop()
    (alarm,) = runtime.alarms.active

    assert "found 30 up to part 30" in alarm.text
    assert plc.others == [Fault(FaultCode.OTHER, 5, "rejects in a row")]
    assert [record.levelname for record in caplog.records if "rejects in a row" in record.getMessage()] == ["ERROR"]


def test_the_plc_is_told_which_alarms_are_in_force_and_of_their_end(station: Run) -> None:
    plc = HandPlc()
    runtime = station(plc, ListCamera([GOOD]))
    runtime.alarms.raise_("drift brightness top", "check lamp", Area.DRIFT)
    plc.wait_for_alarms(ActiveAlarms(FaultCode.DRIFT.bit))
    runtime.alarms.raise_("camera top", "lost", Area.CAMERA)
    plc.wait_for_alarms(ActiveAlarms(FaultCode.DRIFT.bit | FaultCode.CAMERA.bit))
    runtime.alarms.clear("drift brightness top")
    runtime.alarms.clear("camera top")
    plc.wait_for_alarms(ActiveAlarms(0))

    assert plc.wait_for_other(2)[0] == Fault(FaultCode.DRIFT, 0, "drift brightness top")


def test_another_bundle_takes_over_between_two_parts(station: Run, make_bundle: Callable[..., Path]) -> None:
    blind = {name: Threshold(score=1.0, level=255, min_area_px=10_000) for name in CLASSES}
    plc, other = HandPlc(), load_bundle(make_bundle("blind", thresholds=blind))
    runtime = station(plc, ListCamera([BRIGHT]))
    plc.trigger(1)
    plc.wait_for(1)
    runtime.use(Inspector(other, NumpyEngine(other.manifest), monotonic))
    plc.trigger(2)

    assert verdicts(plc.wait_for(2)) == ["NG", "OK"]
    runtime.stop()
    assert plc.others == [Changeover(0, other.id)]


def test_areas_are_in_square_millimetres_where_the_scale_is_known(
    tmp_path: Path, make_bundle: Callable[..., Path]
) -> None:
    bundle = load_bundle(make_bundle())
    inspector = Inspector(bundle, NumpyEngine(bundle.manifest), monotonic, geometries=[ViewGeometry(mm_per_px=0.5)])
    large = cv2.resize(BRIGHT, (24, 48), interpolation=cv2.INTER_NEAREST)  # twice as wide, three times as high
    part = Part(1, 1, 1, 0.0, 1.0, (View("top", 1, Frame(large, 1, 0.0, "")),))

    outcome = inspector.begin(part)()

    assert outcome.defects[0].area_px == 16
    assert part.views[0].mm2_per_px == pytest.approx(2 * 3 * 0.5**2)


@pytest.mark.parametrize("shadow", [False, True])
def test_each_result_says_whether_the_station_is_in_shadow_mode(station: Run, shadow: bool) -> None:
    plc = HandPlc()
    station(plc, ListCamera([BRIGHT]), shadow=shadow)
    plc.trigger(1)
    (result,) = plc.wait_for(1)

    assert (result.verdict.name, result.flags) == (("OK", SHADOW) if shadow else ("NG", 0))


def test_a_fault_of_the_plc_is_over_when_it_says_so(station: Run) -> None:
    plc = HandPlc()
    runtime = station(plc, ListCamera([GOOD]))
    plc.tell(Fault(FaultCode.BELT, text="encoder: the belt runs back"))
    plc.tell(ActiveAlarms(FaultCode.BELT.bit))
    plc.drain()
    assert [alarm.name for alarm in runtime.alarms.active] == ["PLC reports a fault"]
    plc.tell(ActiveAlarms())
    plc.drain()
    assert [alarm.name for alarm in runtime.alarms.active] == []
    plc.tell(ActiveAlarms(FaultCode.BELT.bit))  # its Fault was lost
    plc.drain()
    assert ["BELT" in alarm.text for alarm in runtime.alarms.active] == [True]


@pytest.mark.parametrize(("theirs", "alarms"), [(300, 0), (200, 1), (100, 1)])
def test_a_plc_that_waits_no_longer_than_the_station_takes_is_an_alarm(station: Run, theirs: int, alarms: int) -> None:
    plc = HandPlc()
    runtime = station(plc, ListCamera([GOOD]), deadline_ms=200)
    plc.tell(Settings(1000, 100, 0, theirs))
    plc.drain()
    assert [alarm.name for alarm in runtime.alarms.active] == ["deadline of the PLC"] * alarms


def test_a_watcher_that_fails_does_not_stop_the_line(station: Run) -> None:
    seen: list[int] = []

    def curious(part: Part) -> None:
        seen.append(part.part_id)
        raise OSError("no room to look on")

    plc = HandPlc()
    runtime = station(plc, ListCamera([GOOD]))
    runtime.watch(curious)
    plc.trigger(1, 2)

    assert verdicts(plc.wait_for(2)) == ["OK", "OK"]
    assert runtime.failure is None
    assert seen == [1]
