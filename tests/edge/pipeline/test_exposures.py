"""Several exposures of a part by one camera: each a view of its own, judged apart or together as the bundle says."""

from collections.abc import Callable
from pathlib import Path
from time import monotonic

import numpy as np
import pytest

from bundle import Image, Verdict, load_bundle
from edge.cameras.camera import Frame
from edge.part import Part, View
from edge.pipeline.inspector import Inspector, ViewGeometry, exposures_remark
from firmware_bridge.messages import Trigger
from tests.conftest import grey_frame
from tests.edge.line_doubles import DamagedCamera, HandPlc, ListCamera, NumpyEngine
from tests.edge.pipeline.conftest import BRIGHT, GOOD, Run, manifest_of, rows, verdicts

FAINT = grey_frame(spot=240)
"""Bright with a score of 0.94, odds of 16, where the threshold is 0.9, odds of 9. A good frame has odds of 1."""


def taking(exposures: int, interval_ms: float = 0) -> list[dict[str, object]]:
    """The table of one camera."""
    return [{"address": "list", "name": "top", "exposures": exposures, "exposure_interval_ms": interval_ms}]


class EndingCamera(DamagedCamera):
    """Ends with its second frame."""

    grabbed = 0

    @property
    def exhausted(self) -> bool:
        return self.grabbed >= 2

    def _grab(self, timeout_s: float) -> Frame:
        self.grabbed += 1
        return super()._grab(timeout_s)


def test_each_exposure_is_a_view_and_the_worst_one_decides(station: Run, tmp_path: Path) -> None:
    plc, engine = HandPlc(), NumpyEngine(manifest_of(tmp_path))
    station(plc, top=ListCamera([GOOD, GOOD, GOOD, GOOD, BRIGHT, GOOD]), engine=engine, camera=taking(3))
    plc.trigger(1, 2)

    assert verdicts(plc.wait_for(2)) == ["OK", "NG"]
    assert engine.batches == [3, 3]
    assert rows(tmp_path, "SELECT part, camera, exposure FROM views ORDER BY part, camera") == [
        (1, "top-1", 1), (1, "top-2", 2), (1, "top-3", 3), (2, "top-1", 4), (2, "top-2", 5), (2, "top-3", 6),
    ]  # fmt: skip
    assert rows(tmp_path, "SELECT part, camera FROM defects") == [(2, "top-2")]


def test_a_part_that_lacks_an_exposure_is_a_fault_and_the_next_one_gets_its_own(station: Run, tmp_path: Path) -> None:
    plc = HandPlc()
    station(plc, top=DamagedCamera([GOOD, GOOD, GOOD, BRIGHT], damaged={1}), camera=taking(2))
    plc.trigger(1, 2)

    assert verdicts(plc.wait_for(2)) == ["FAULT", "NG"]
    assert rows(tmp_path, "SELECT camera FROM defects") == [("top-2",)]


def test_parts_whose_exposures_overlap_are_both_a_fault(station: Run, tmp_path: Path) -> None:
    """Lights are switched for one part at a time."""
    plc, open_parts = HandPlc(), []
    runtime = station(plc, top=ListCamera([GOOD]), camera=taking(3, interval_ms=100), deadline_ms=60_000)
    runtime.watch(open_parts.append)
    plc.tell(Trigger(1, 10, age_ms=500))
    plc.tell(Trigger(2, 20, age_ms=250))
    plc.tell(Trigger(3, 30, age_ms=100))
    plc.wait_for(3)

    first, second, third = rows(tmp_path, "SELECT verdict, fault FROM parts ORDER BY number")
    assert first == (Verdict.OK, "")
    assert second[0] == third[0] == Verdict.FAULT
    assert str(third[1]).startswith("found triggers 150 ms apart, expected more than the 200 ms that the exposures")


def test_parts_that_overlap_are_a_fault_whatever_comes_between(station: Run, tmp_path: Path) -> None:
    """The message of an early part is repeated late."""
    plc = HandPlc()
    station(plc, top=ListCamera([GOOD]), camera=taking(3, interval_ms=100), deadline_ms=60_000)
    for part, age_ms in ((1, 1000), (2, 6000), (3, 900), (4, 5900)):
        plc.tell(Trigger(part, 10 * part, age_ms=age_ms))
    plc.wait_for(4)

    found = rows(tmp_path, "SELECT verdict, fault FROM parts ORDER BY number")
    assert [verdict for verdict, _ in found[2:]] == [Verdict.FAULT] * 2
    assert all("ms apart, expected more than the 200 ms" in str(fault) for _, fault in found[2:])


def test_after_a_fault_the_part_s_other_frames_are_not_waited_for(station: Run) -> None:
    """So that a camera that plays files comes to its end, too."""
    plc = HandPlc()
    runtime = station(plc, top=EndingCamera([GOOD, GOOD], damaged={1}), camera=taking(2))
    plc.trigger(1)

    assert verdicts(plc.wait_for(1)) == ["FAULT"]
    assert runtime.finished.wait(5)


@pytest.mark.parametrize("age_ms", [100, 90])
def test_without_an_interval_late_triggers_do_not_overlap(station: Run, age_ms: int) -> None:
    plc = HandPlc()
    station(plc, top=ListCamera([GOOD]), camera=taking(2))
    plc.tell(Trigger(1, 10, age_ms=90))
    plc.tell(Trigger(2, 20, age_ms=age_ms))

    assert verdicts(plc.wait_for(2)) == ["OK", "OK"]


def judged(bundle_folder: Path, frames: list[Image], cameras: list[int]) -> tuple[Verdict, list[float]]:
    """Verdict on a part of these views, with the score of Bright in each."""
    bundle = load_bundle(bundle_folder)
    inspector = Inspector(
        bundle, NumpyEngine(bundle.manifest), monotonic, geometries=[ViewGeometry(camera) for camera in cameras]
    )
    views = tuple(View(f"view-{number}", 1, Frame(frame, 1, 0.0, "")) for number, frame in enumerate(frames))
    outcome = inspector.begin(Part(1, 1, 1, 0.0, 60.0, views))()
    return outcome.verdict, [defect.score for defect in outcome.defects]


@pytest.mark.parametrize(
    ("rule", "frames", "cameras", "expected"),
    [
        ("worst", [FAINT, GOOD], [0, 0], Verdict.NG),
        ("mean-odds", [FAINT, GOOD], [0, 0], Verdict.OK),  # odds 8.5
        ("mean-odds", [FAINT, GOOD], [0, 1], Verdict.NG),  # two cameras are never judged together
        ("mean-odds", [FAINT, FAINT], [0, 0], Verdict.NG),
        ("mean-odds", [BRIGHT, GOOD], [0, 0], Verdict.NG),  # certain
        ("mean-odds", [GOOD, GOOD, FAINT], [0, 0, 1], Verdict.NG),
        ("mean-odds", [GOOD, FAINT, GOOD], [0, 1, 1], Verdict.OK),
    ],
)
def test_the_bundle_says_how_exposures_are_judged(
    make_bundle: Callable[..., Path], rule: str, frames: list[Image], cameras: list[int], expected: Verdict
) -> None:
    assert judged(make_bundle(exposures=rule), frames, cameras)[0] is expected


def test_what_is_odd_about_a_camera_s_frames_is_said_once(
    make_bundle: Callable[..., Path], caplog: pytest.LogCaptureFixture
) -> None:
    square = np.full((16, 16), 128, np.uint8)
    judged(make_bundle(), [square] * 3, [0, 0, 1])

    assert [record.getMessage().split(":")[0] for record in caplog.records] == ["camera view-0", "camera view-2"]


def test_the_score_that_exposures_have_together_is_reported(make_bundle: Callable[..., Path]) -> None:
    faintest = grey_frame(spot=250)

    _, scores = judged(make_bundle(exposures="mean-odds"), [faintest, FAINT], [0, 0])

    odds = (50 + 16) / 2
    assert scores == pytest.approx([odds / (1 + odds)] * 2)  # the masks of both views have a blob


def test_a_number_of_exposures_that_the_bundle_was_not_chosen_for_is_remarked(make_bundle: Callable[..., Path]) -> None:
    apart, together = (load_bundle(make_bundle(rule, exposures=rule)).manifest for rule in ("worst", "mean-odds"))
    made_from = together.made_from.model_copy(update={"metrics": {"val": {"parts": {"most_views": 3}}}})
    of_three = together.model_copy(update={"made_from": made_from})

    assert exposures_remark(apart, [1, 16]) is exposures_remark(together, [2, 16]) is None
    assert exposures_remark(of_three, [2, 3]) is None
    assert "found a camera with exposures = 1 and" in str(exposures_remark(together, [3, 1]))
    assert "found a camera with exposures = 4 and" in str(exposures_remark(of_three, [3, 4]))
    assert "at most 3, as the parts had that its thresholds were chosen on" in str(exposures_remark(of_three, [4]))
