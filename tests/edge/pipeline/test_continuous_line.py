"""A line without triggers: every frame of a web is a part."""

import threading
from collections.abc import Sequence
from pathlib import Path
from time import monotonic

import pytest

from bundle import Image
from edge.cameras.camera import Frame
from edge.cameras.on_demand import OnDemandCamera
from edge.errors import CameraFinished, FrameDamaged
from firmware_bridge.messages import (
    BeltPosition,
)
from tests.edge.line_doubles import HandPlc
from tests.edge.pipeline.conftest import BRIGHT, DARK, GOOD, Run, rows, verdicts


class Film(OnDemandCamera):
    """Takes pictures by itself as fast as they are fetched, ends with the last one; None is a frame that was lost."""

    def __init__(self, frames: Sequence[Image | None], damaged: set[int] = frozenset()) -> None:  # type: ignore[assignment]
        super().__init__("film", monotonic, rate_hz=1000)
        self._frames, self._damaged = frames, damaged

    def _grab(self, timeout_s: float) -> Frame:
        exposure = self._next_exposure(timeout_s)
        while exposure <= len(self._frames) and self._frames[exposure - 1] is None:
            exposure = self._next_exposure(timeout_s)
        if exposure > len(self._frames):
            raise CameraFinished("film: the end")
        if exposure in self._damaged:
            raise FrameDamaged(f"film#{exposure}: damaged", exposure)
        pixels = self._frames[exposure - 1]
        assert pixels is not None
        return Frame(pixels, exposure, self.clock(), f"film#{exposure}")


@pytest.mark.parametrize("trigger", ["camera", "free"])
def test_without_triggers_every_frame_is_a_part_and_so_is_every_lost_one(
    station: Run, tmp_path: Path, trigger: str
) -> None:
    plc = HandPlc()
    runtime = station(
        plc, Film([GOOD, BRIGHT, None, None, GOOD, DARK, GOOD], damaged={6}), trigger=trigger, open_parts=100
    )
    results = plc.wait_for(7)
    assert runtime.finished.wait(10.0)
    runtime.stop()
    runtime._source._records.close()

    assert [result.part_id for result in results] == [1, 2, 3, 4, 5, 6, 7]
    assert verdicts(results) == ["OK", "NG", "FAULT", "FAULT", "OK", "FAULT", "OK"]
    assert [number for (number,) in rows(tmp_path, "SELECT number FROM parts ORDER BY number")] == [1, 2, 3, 4, 5, 6, 7]
    assert rows(tmp_path, "SELECT fault FROM parts WHERE number = 3") == [
        ("camera camera0, film: frame 3 was lost on its way",)
    ]


def test_of_a_web_only_the_rejects_may_be_reported_and_all_are_on_record(station: Run, tmp_path: Path) -> None:
    plc = HandPlc()
    runtime = station(plc, Film([GOOD, BRIGHT, GOOD, DARK]), trigger="free", report="rejects", open_parts=100)
    results = plc.wait_for(2)
    assert runtime.finished.wait(10.0)
    runtime.stop()
    runtime._source._records.close()

    assert [(result.part_id, result.verdict.name) for result in results] == [(2, "NG"), (4, "NG")]
    query = "SELECT verdict, link, sent_us IS NULL FROM parts ORDER BY number"
    assert rows(tmp_path, query) == [(1, "open", 1), (2, "acknowledged", 0), (1, "open", 1), (2, "acknowledged", 0)]


def test_the_results_of_a_web_say_where_it_was(station: Run) -> None:
    plc, gate = HandPlc(), threading.Event()

    class Waiting(Film):
        """Begins when the station has heard where the web is."""

        def _grab(self, timeout_s: float) -> Frame:
            assert gate.wait(10.0)
            return super()._grab(timeout_s)

    runtime = station(plc, Waiting([GOOD, GOOD]), trigger="free", open_parts=100)
    plc.tell(BeltPosition(5000))
    while runtime._rejects.encoder(monotonic()) is None:
        assert runtime.failure is None
    gate.set()

    assert [result.encoder for result in plc.wait_for(2)] == [5000, 5000]


def test_a_silent_camera_over_a_web_is_a_fault_each_time(station: Run) -> None:
    plc = HandPlc()
    station(plc, Film([None] * 10_000), trigger="free", grab_timeout_ms=0.001)

    assert set(verdicts(plc.wait_for(3))) <= {"FAULT", "TIMEOUT"}


def test_a_trigger_on_a_line_without_triggers_is_answered_all_the_same(station: Run) -> None:
    plc = HandPlc()
    station(plc, Film([]), trigger="camera", open_parts=100)
    plc.trigger(7)
    (result,) = plc.wait_for(1)

    assert (result.part_id, result.verdict.name) == (7, "FAULT")
