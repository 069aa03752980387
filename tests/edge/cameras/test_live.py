"""The thread behind a live camera: order, damage, loss and the way back, on a device worked by hand."""

from collections.abc import Callable
from time import monotonic

import numpy as np
import pytest

from edge.cameras.live import KEPT, LiveCamera
from edge.errors import CameraError, CameraLost, CameraTimeout, FrameDamaged
from tests.edge.cameras.doubles import LOST, HandDevice, Plug, SilentDevice, grey, live

GRAB_S = 5.0


def wait_until(condition: Callable[[], bool]) -> None:
    """Let the camera's thread run until something is true of it."""
    end = monotonic() + GRAB_S
    while not condition():
        assert monotonic() < end, "it never came true"


def test_a_frame_begun_before_the_exposure_is_not_its_picture() -> None:
    device = HandDevice()
    camera = live(Plug(device))
    device.send(grey(1), stamp=0.0)
    assert device.idle.wait(GRAB_S)
    camera.expose()
    device.send(grey(2), stamp=0.0)  # held up: begun when the first one was
    device.send(grey(3), stamp=1000.0)
    frame = camera.grab(GRAB_S)
    camera.close()

    assert frame.pixels[0, 0] == 3
    assert frame.exposure == 1


def test_a_frame_begins_its_latency_before_it_arrives() -> None:
    now = 10.0
    device = HandDevice()
    camera = live(Plug(device), lambda: now, latency_ms=100)
    camera.expose()
    now = 10.05
    device.send(grey(1), stamp=now)
    assert device.idle.wait(GRAB_S)
    now = 10.2
    device.send(grey(2), stamp=now)
    frame = camera.grab(GRAB_S)
    camera.close()

    assert frame.pixels[0, 0] == 2


def test_a_gap_of_the_device_s_numbers_is_a_gap_of_the_exposures() -> None:
    device = HandDevice()
    camera = live(Plug(device))
    camera.start_free_run()
    for number in (7, 8, 11):
        device.send(grey(number), number=number)
    exposures = [camera.grab(GRAB_S).exposure for _ in range(3)]
    camera.close()

    assert exposures == [1, 2, 5]


@pytest.mark.parametrize(
    ("pixels", "problem"),
    [
        (grey(1, (6, 8)), "found 8x6 grey, expected 8x8 grey as announced on opening"),
        (grey(1, (8, 8, 3)), "found 8x8 RGB, expected 8x8 grey"),
        (None, "packets lost"),
    ],
)
def test_a_frame_that_is_not_as_announced_is_one_damaged_frame(pixels: np.ndarray | None, problem: str) -> None:
    device = HandDevice()
    camera = live(Plug(device))
    camera.expose()
    device.send(pixels, problem="packets lost" if pixels is None else "")
    with pytest.raises(FrameDamaged, match=f"exposure 1: .*{problem}") as caught:
        camera.grab(GRAB_S)
    camera.expose()
    device.send(grey(2))
    frame = camera.grab(GRAB_S)
    camera.close()

    assert not isinstance(caught.value, CameraLost)
    assert caught.value.exposure == 1
    assert frame.exposure == 2
    assert camera.health.damaged == 1
    assert problem in camera.health.last_error


def test_a_trigger_that_came_late_gets_no_frame() -> None:
    device = HandDevice()
    camera = live(Plug(device))
    camera.expose(age_s=0.5)
    with pytest.raises(FrameDamaged, match="found its message 500 ms late"):
        camera.grab(GRAB_S)
    camera.close()


def test_a_frozen_frame_is_a_fault_of_its_part() -> None:
    device = HandDevice()
    camera = live(Plug(device))
    camera.expose()
    device.send(grey(1))
    camera.grab(GRAB_S)
    camera.expose()
    device.send(grey(1))
    with pytest.raises(FrameDamaged, match="exposure 2: found a frame identical to the one before"):
        camera.grab(GRAB_S)
    camera.close()


def test_a_camera_that_froze_between_two_parts_is_noticed_too() -> None:
    device = HandDevice()
    camera = live(Plug(device))
    for level in (1, 2, 3):
        device.send(grey(level))
    assert device.idle.wait(GRAB_S)
    camera.expose()
    device.send(grey(3))
    with pytest.raises(FrameDamaged, match="identical"):
        camera.grab(GRAB_S)
    camera.close()


def test_a_lost_camera_answers_its_exposures_at_once_and_comes_back() -> None:
    first, second = HandDevice(), HandDevice()
    plug = Plug(first, CameraError("found nothing in the socket"), second)
    camera = live(plug)
    camera.expose()
    first.fail(LOST)
    with pytest.raises(CameraLost, match="is lost, exposure 1 with it: found the cable pulled") as caught:
        camera.grab(GRAB_S)
    wait_until(lambda: camera.health.connected)
    camera.expose()
    second.send(grey(2))
    frame = camera.grab(GRAB_S)
    camera.close()

    assert caught.value.exposure == 1
    assert frame.exposure == 2
    assert first.closed.is_set()
    assert second.closed.is_set()
    assert (camera.health.lost, camera.health.reopened, plug.attempts) == (1, 1, 3)


def test_while_a_camera_is_lost_each_exposure_says_so() -> None:
    device = HandDevice()
    camera = live(Plug(device))
    device.fail(LOST)
    wait_until(lambda: not camera.health.connected)
    numbers = [camera.expose(), camera.expose()]
    for number in numbers:
        with pytest.raises(CameraLost) as caught:
            camera.grab(GRAB_S)
        assert caught.value.exposure == number
    camera.close()

    assert camera.health.reopened == 0


def test_a_silent_camera_is_lost_within_a_bounded_time(caplog: pytest.LogCaptureFixture) -> None:
    device = SilentDevice(wait_s=0.25)
    camera = live(Plug(device), device.clock, silence_ms=2000)
    wait_until(lambda: camera.health.lost == 1)
    camera.close()

    assert device.now == 2.0
    assert "no frame for 2.0 s, expected a steady stream" in caplog.text


def test_an_unexpected_error_is_a_loss_like_any_other(caplog: pytest.LogCaptureFixture) -> None:
    first, second = HandDevice(), HandDevice()
    plug = Plug(first, ZeroDivisionError("on opening"), second)
    camera = live(plug)
    first.fail(ZeroDivisionError("in the vendor's code"))
    wait_until(lambda: camera.health.reopened == 1)
    camera.close()

    assert plug.attempts == 3
    assert camera.health.last_error == "ZeroDivisionError: on opening"
    assert "ZeroDivisionError: in the vendor's code" in caplog.text


def test_a_camera_that_comes_back_with_another_format_is_not_believed() -> None:
    first, second = HandDevice((8, 8)), HandDevice((4, 4))
    camera = live(Plug(first, second))
    first.fail(LOST)
    wait_until(lambda: camera.health.reopened == 1)
    camera.expose()
    second.send(grey(1, (4, 4)))
    with pytest.raises(FrameDamaged, match="found 4x4 grey, expected 8x8 grey"):
        camera.grab(GRAB_S)
    camera.close()


def test_a_device_that_cannot_be_opened_leaves_no_thread() -> None:
    with pytest.raises(CameraError, match="nothing in the socket"):
        live(Plug(CameraError("found nothing in the socket")))


def test_an_exposure_that_is_not_grabbed_does_not_fill_the_memory() -> None:
    device = HandDevice()
    camera = live(Plug(device))
    for number in range(KEPT + 4):
        camera.expose()
        device.send(grey(number))
        wait_until(lambda: camera._outcomes and camera._outcomes[-1].exposure == camera._exposures)
    wait_until(lambda: len(camera._outcomes) == KEPT and camera._outcomes[-1].exposure == KEPT + 4)
    frame = camera.grab(GRAB_S)
    camera.close()

    assert frame.exposure == 5


# software trigger


def triggered(*devices: HandDevice) -> LiveCamera:
    return live(Plug(*devices), trigger="software", frame_timeout_ms=100, window_ms=5000)


def test_each_exposure_is_one_trigger_of_the_device() -> None:
    device = HandDevice(answers=[grey(1), grey(2), grey(3)])
    camera = triggered(device)
    levels = []
    for _ in range(3):
        camera.expose()
        levels.append(int(camera.grab(GRAB_S).pixels[0, 0]))
    camera.close()

    assert levels == [1, 2, 3]
    assert device.triggers == 3


def test_a_late_frame_is_not_given_to_the_next_part() -> None:
    first, second = HandDevice(), HandDevice(answers=[grey(2)])
    camera = triggered(first, second)
    camera.expose()
    with pytest.raises(FrameDamaged, match="no frame within 100 ms"):
        camera.grab(GRAB_S)
    first.send(grey(1))  # late
    wait_until(lambda: camera.health.reopened == 1)
    camera.expose()
    frame = camera.grab(GRAB_S)
    camera.close()

    assert (frame.exposure, frame.pixels[0, 0]) == (2, 2)
    assert camera.health.lost == 1


def test_a_device_that_disobeys_its_trigger_is_restarted() -> None:
    first, second = HandDevice(), HandDevice(answers=[grey(2)])
    camera = triggered(first, second)
    first.send(grey(1))
    wait_until(lambda: camera.health.reopened == 1)
    camera.expose()
    frame = camera.grab(GRAB_S)
    camera.close()

    assert frame.pixels[0, 0] == 2
    assert camera.health.unclaimed == 1
    assert "without a trigger" in camera.health.last_error


def test_the_exposures_of_a_part_are_triggered_one_after_the_other() -> None:
    class Timed(HandDevice):
        """Keeps when it was triggered."""

        def trigger(self) -> None:
            at.append(monotonic())
            super().trigger()

    at: list[float] = []
    camera = triggered(Timed(answers=[grey(1), grey(2), grey(3)]))
    start = monotonic()
    for number in range(3):
        camera.expose(0.0, number * 0.05)
    levels = [int(camera.grab(GRAB_S).pixels[0, 0]) for _ in range(3)]
    camera.close()

    assert levels == [1, 2, 3]
    assert [due >= start + number * 0.05 for number, due in enumerate(at)] == [True] * 3


def test_an_idle_triggered_camera_is_not_lost_for_its_silence() -> None:
    device = HandDevice(answers=[grey(1)])
    camera = live(Plug(device), trigger="software", silence_ms=1)
    with pytest.raises(CameraTimeout):
        camera.grab(0.1)
    camera.expose()
    frame = camera.grab(GRAB_S)
    camera.close()

    assert frame.exposure == 1
    assert camera.health.lost == 0
