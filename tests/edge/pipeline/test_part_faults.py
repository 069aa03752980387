"""A frame, an engine or a deadline that fails is a FAULT or TIMEOUT of its own part only."""

import threading
from pathlib import Path

from firmware_bridge.messages import (
    AGE_LIMIT_MS,
    Trigger,
)
from tests.edge.line_doubles import DamagedCamera, HandPlc, ListCamera, NumpyEngine
from tests.edge.pipeline.conftest import BRIGHT, DARK, GOOD, Run, manifest_of, verdicts


def test_a_damaged_frame_is_a_fault_of_its_own_part_only(station: Run) -> None:
    plc = HandPlc()
    station(plc, DamagedCamera([GOOD], damaged={2}))
    plc.trigger(1, 2, 3)

    assert verdicts(plc.wait_for(3)) == ["OK", "FAULT", "OK"]


def test_a_frame_of_another_size_than_the_crop_is_a_fault(station: Run) -> None:
    plc = HandPlc()
    station(plc, ListCamera([GOOD[:, :, None].repeat(2, axis=2)]))
    plc.trigger(1)

    assert verdicts(plc.wait_for(1)) == ["FAULT"]


def test_a_lost_exposure_never_gives_its_part_the_next_part_s_frame(station: Run) -> None:
    plc = HandPlc()
    station(plc, ListCamera([BRIGHT, None, GOOD, BRIGHT]))
    plc.trigger(1, 2, 3, 4)

    assert verdicts(plc.wait_for(4)) == ["NG", "FAULT", "OK", "NG"]


def test_no_frame_is_a_fault(station: Run) -> None:
    plc = HandPlc()
    station(plc, ListCamera([None]), grab_timeout_ms=10)
    plc.trigger(1)

    assert verdicts(plc.wait_for(1)) == ["FAULT"]


def test_an_engine_that_fails_is_a_fault_of_that_part(station: Run, tmp_path: Path) -> None:
    plc = HandPlc()
    station(plc, ListCamera([GOOD]), engine=NumpyEngine(manifest_of(tmp_path), fail_on=2))
    plc.trigger(1, 2, 3)

    assert verdicts(plc.wait_for(3)) == ["OK", "FAULT", "OK"]


def test_a_late_part_is_a_timeout_and_its_late_decision_is_let_go(station: Run, tmp_path: Path) -> None:
    plc, gate = HandPlc(), threading.Event()
    runtime = station(plc, ListCamera([GOOD]), engine=NumpyEngine(manifest_of(tmp_path), gate=gate), deadline_ms=50)
    plc.trigger(1)

    assert verdicts(plc.wait_for(1)) == ["TIMEOUT"]
    gate.set()
    runtime.stop()
    assert verdicts(plc.results) == ["TIMEOUT"]


def test_too_many_open_parts_are_timeouts_at_once(station: Run, tmp_path: Path) -> None:
    plc, gate = HandPlc(), threading.Event()
    engine = NumpyEngine(manifest_of(tmp_path), gate=gate)
    runtime = station(plc, ListCamera([GOOD, GOOD, BRIGHT, DARK, BRIGHT]), engine=engine, open_parts=2)
    plc.trigger(1, 2, 3, 4)
    while runtime.overruns < 2:
        assert runtime.failure is None
    gate.set()
    plc.wait_for(4)
    plc.trigger(5)

    assert verdicts(plc.wait_for(5)) == ["OK", "OK", "TIMEOUT", "TIMEOUT", "NG"]
    assert [result.part_id for result in plc.results] == [1, 2, 3, 4, 5]
    assert runtime.overruns == 2


def test_one_camera_without_a_frame_is_a_fault_of_the_whole_part(station: Run) -> None:
    plc = HandPlc()
    station(plc, ListCamera([GOOD]), DamagedCamera([GOOD], damaged={1}))
    plc.trigger(1, 2)

    assert verdicts(plc.wait_for(2)) == ["FAULT", "OK"]


def test_a_trigger_whose_age_is_beyond_the_wire_is_too_old(station: Run) -> None:
    plc = HandPlc()
    station(plc, ListCamera([GOOD]), deadline_ms=5000)
    plc.tell(Trigger(1, 10, age_ms=AGE_LIMIT_MS))

    assert verdicts(plc.wait_for(1)) == ["TIMEOUT"]
