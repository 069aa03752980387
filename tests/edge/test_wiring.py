"""Connections of a station's assembly that no key of line.toml alone shows."""

from firmware_bridge.messages import Trigger
from tests.conftest import grey_frame
from tests.edge.running_line import Run

BRIGHT = grey_frame(spot=255)


def test_the_alarm_about_timeouts_names_the_deadline_of_the_line(run: Run) -> None:
    with run(deadline_ms=1000, rates={"minimum_parts": 6}) as line:
        for part_id in range(6):
            line.plc.tell(Trigger(part_id, 0, age_ms=1001))
        line.plc.wait_for(6)
        line.runtime.stop()
        (alarm,) = line.runtime.alarms.active

    assert (alarm.name, "deadline 1000 ms" in alarm.text) == ("rate of TIMEOUT", True)


def test_the_engine_is_warmed_up_with_a_frame_of_each_camera(run: Run) -> None:
    cameras = [{"address": "film://", "name": "top"}, {"address": "film://", "name": "side"}]
    with run(camera=cameras) as line:
        assert set(line.networks[0].batches) == {2}


def test_an_alarm_is_on_record_with_its_cause(run: Run) -> None:
    with run([BRIGHT], alarm_after_rejects=1) as line:
        line.verdicts(7)

    ((name, cause),) = line.rows("SELECT name, cause FROM alarms")
    assert (name, "up to part 7" in cause) == ("rejects in a row", True)
