"""Frames that announce their parts: numbered, none lost in silence, none inspected twice."""

import threading
from collections.abc import Sequence
from time import monotonic

import pytest

from edge.cameras.camera import Frame
from edge.cameras.matching.frame_numbering import LEARNED, FrameNumbering
from edge.cameras.matching.trigger_matching import ArrivedFrame
from edge.cameras.on_demand import OnDemandCamera
from edge.errors import CameraFinished, CameraTimeout, FrameDamaged
from edge.pipeline.free_run import FreeRunLoop
from tests.conftest import grey_frame
from tests.edge.cameras.doubles import HandDevice, Plug, grey, live

GRAB_S = 5.0
END = 10**6


class Script(OnDemandCamera):
    """Hands over what it is told: frames by number, or errors."""

    def __init__(self, events: Sequence[int | Exception]) -> None:
        super().__init__("script", lambda: 0.0)
        self._events = [*events, CameraFinished("script: the end")]

    def _grab(self, timeout_s: float) -> Frame:
        event = self._events.pop(0)
        if isinstance(event, Exception):
            raise event
        return Frame(grey_frame(), event, 0.0, "")


def reported(events: Sequence[int | Exception], places: Sequence[int | None] = (), **asked: object) -> list[int]:
    """Run to the end; the frames' numbers, negative where there is no frame."""
    seen: list[int] = []

    def on_frame(exposure: int, frame: Frame | None, error: Exception | None) -> None:
        assert (frame is None) is (error is not None)
        seen.append(exposure if frame is not None else -exposure)

    at = iter(places)
    chosen = {"steady": True, "every_counts": 0} | asked
    loop = FreeRunLoop(Script(events), 1.0, on_frame, belt=lambda _: next(at), **chosen)  # type: ignore[arg-type]
    loop.run(threading.Event(), lambda: seen.append(END))
    assert seen.pop() == END
    return seen


def test_a_lost_frame_is_announced_in_its_turn() -> None:
    assert reported([1, 2, 5, FrameDamaged("bad", 6), 7]) == [1, 2, -3, -4, 5, -6, 7]


@pytest.mark.parametrize(("steady", "seen"), [(True, [1, -1, -1, 2]), (False, [1, 2])])
def test_silence_is_a_fault_of_a_camera_that_runs_steadily(steady: bool, seen: list[int]) -> None:
    late = CameraTimeout("no frame")

    assert reported([1, late, late, 2], steady=steady) == seen


def test_a_place_is_inspected_once() -> None:
    places = [2**32 - 100, 2**32 - 50, 0, 99, 100, None, 150]

    assert reported([1, 2, 3, 4, 5, 6, 7], places, every_counts=100) == [1, 3, 5, 6]


def numbers(pictures: Sequence[ArrivedFrame], steady: bool = True) -> list[int]:
    pairing = FrameNumbering(steady)
    exposures = []
    for picture in pictures:
        pairing.add(picture)
        exposures += [exposure for exposure, _ in pairing.settle(picture.arrived)]
    return exposures


def test_the_device_s_own_count_shows_lost_frames() -> None:
    counts = [7, 8, 11, 12, 0, 1]  # it wraps, or restarts

    assert numbers([ArrivedFrame(grey(1), number=number) for number in counts]) == [1, 2, 5, 6, 7, 8]


@pytest.mark.parametrize(("steady", "last"), [(True, 3), (False, 1)])
def test_without_a_count_the_time_shows_lost_frames_of_a_steady_camera(steady: bool, last: int) -> None:
    times = [*(number * 0.1 for number in range(LEARNED + 1)), (LEARNED + 3) * 0.1 + 0.02]

    assert numbers([ArrivedFrame(grey(1), began=at) for at in times], steady)[-1] == LEARNED + 1 + last


def test_a_live_camera_announces_what_comes_and_its_own_loss() -> None:
    device, other = HandDevice(), HandDevice()
    camera = live(Plug(device, other))
    camera.start_free_run()
    device.send(grey(1))
    device.send(None, problem="packets lost")
    got: list[int] = [camera.grab(GRAB_S).exposure]
    with pytest.raises(FrameDamaged, match="packets lost") as damaged:
        camera.grab(GRAB_S)
    device.fail(ValueError("unplugged"))
    with pytest.raises(FrameDamaged, match="is lost") as lost:
        camera.grab(GRAB_S)
    other.send(grey(2))
    got += [damaged.value.exposure, lost.value.exposure, camera.grab(GRAB_S).exposure]
    camera.close()

    assert got == [1, 2, 3, 4]


def test_a_camera_that_makes_frames_keeps_its_rate() -> None:
    camera = Script([])
    camera.clock = monotonic
    camera.start_free_run()
    start = monotonic()
    exposures = [camera._next_exposure(GRAB_S) for _ in range(4)]

    assert exposures == [1, 2, 3, 4]
    assert monotonic() - start >= 0.3  # at 10 frames a second, the first one at once
