"""Connections of a station's assembly that no key of line.toml alone shows."""

import os
import threading
from pathlib import Path

import pytest

from bundle import SignatureInvalid, load_bundle
from edge.errors import LineConfigError
from edge.release.signature import make_keys, sign
from firmware_bridge.events import Event, HelloReceived, PeerBack
from firmware_bridge.messages import Fault, FaultCode, Hello, Role, Trigger
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


@pytest.mark.parametrize(
    ("event", "alarms"),
    [(HelloReceived(Hello(Role.PLC), restarted=True), []), (PeerBack(), ["eject not confirmed"])],
    ids=lambda given: type(given).__name__,
)
def test_only_a_restart_of_the_plc_forgets_the_parts_before_the_bin(run: Run, event: Event, alarms: list[str]) -> None:
    with run([BRIGHT], confirmation={"within_ms": 300}) as line:
        line.verdicts(1)
        line.plc.tell(event)
        line.plc.drain()
        line.clock.now = 0.301
        line.plc.drain()
        assert line.alarms == alarms


@pytest.mark.parametrize(("code", "fate"), [(FaultCode.OUTPUT, "unconfirmed"), (FaultCode.BELT, None)])
def test_only_a_fault_of_the_output_is_a_part_missing_in_the_bin(run: Run, code: FaultCode, fate: str | None) -> None:
    with run([BRIGHT]) as line:
        line.verdicts(7)
        line.plc.tell(Fault(code, 7, "by the controller"))
        line.plc.drain()

    assert line.rows("SELECT ejection FROM parts") == [(fate,)]


@pytest.mark.parametrize("limit", ["grab_timeout_ms", "deadline_ms"])
def test_a_time_limit_that_no_frame_of_a_camera_can_meet_is_refused(run: Run, limit: str) -> None:
    camera = [{"address": "v4l2:///dev/video0?latency_ms=900"}]
    with pytest.raises(LineConfigError, match="found 900 ms from trigger to frame"), run(camera=camera, **{limit: 900}):
        pytest.fail("started")
    with run(camera=camera, **{limit: 901}) as line:
        assert line.verdicts(1) == ["OK"]


@pytest.mark.parametrize("limit", [1100, 1101])
def test_the_last_exposure_of_a_part_counts_for_the_deadline(run: Run, limit: float) -> None:
    address = "v4l2:///dev/video0?trigger=hardware&latency_ms=900"
    camera = [{"address": address, "exposures": 3, "exposure_interval_ms": 100}]
    if limit > 1100:
        with run(camera=camera, deadline_ms=limit) as line:
            assert line.verdicts(1) == ["OK"]
        return
    refused = pytest.raises(LineConfigError, match="found 1100 ms from the trigger to the last of 3 frames")
    with refused, run(camera=camera, deadline_ms=limit):
        pytest.fail("started")


@pytest.mark.parametrize(("trigger", "least_ms"), [("hardware", 20), ("software", 10), ("free", 30)])
def test_exposures_that_cannot_be_told_apart_are_refused(run: Run, trigger: str, least_ms: float) -> None:
    def camera(interval_ms: float) -> list[dict[str, object]]:
        address = f"aravis://Vendor-1?trigger={trigger}&window_ms=10&latency_ms=30"
        return [{"address": address, "exposures": 2, "exposure_interval_ms": interval_ms}]

    found = rf"exposure_interval_ms: found {least_ms} with {trigger} trigger, expected more than {least_ms} ms \("
    with pytest.raises(LineConfigError, match=found), run(camera=camera(least_ms)):
        pytest.fail("started")
    with run(camera=camera(least_ms + 1)) as line:
        assert line.verdicts(1) == ["OK"]


def test_the_time_limits_of_a_camera_that_runs_by_itself_start_with_its_frames(run: Run) -> None:
    with run(camera=[{"address": "v4l2:///dev/video0?latency_ms=900"}], trigger="camera", grab_timeout_ms=900) as line:
        assert [result.verdict.name for result in line.plc.wait_for(1)] == ["OK"]


def test_a_bundle_that_is_exchanged_after_its_signature_was_read_is_refused(run: Run, tmp_path: Path) -> None:
    try:
        private, public = make_keys(tmp_path)
    except SignatureInvalid as error:
        pytest.skip(str(error))
    sign(load_bundle(tmp_path / "tiny"), private)
    key = tmp_path / "key.pub"
    os.mkfifo(key)  # its reader waits until there is a writer

    def exchange() -> None:
        with key.open("wb") as file:  # the station has read the manifest by now
            (tmp_path / "tiny").rename(tmp_path / "before")
            (tmp_path / "other").rename(tmp_path / "tiny")
            file.write(public.read_bytes())

    thread = threading.Thread(target=exchange)
    thread.start()
    with pytest.raises(SignatureInvalid, match="another bundle than the one"), run(release={"keys": ["key.pub"]}):
        pytest.fail("started")
    thread.join()
