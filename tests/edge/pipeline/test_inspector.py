"""A part is as bad as its worst view."""

from collections.abc import Callable
from pathlib import Path
from time import monotonic

import numpy as np
import pytest

from bundle import Decision, Defect, FrameError, Verdict, load_bundle
from edge.pipeline.inspector import Inspector, expected_unsure, too_wide, worst
from tests.edge.line_doubles import NumpyEngine, arrived

Make = Callable[..., Path]


def decision(verdict: Verdict, *scores: float) -> Decision:
    return Decision(verdict, tuple(Defect(0, "Bright", score, 16.0, (1, 2, 3, 4)) for score in scores))


@pytest.mark.parametrize("views", [("OK", "UNSURE", "NG"), ("NG", "UNSURE", "OK"), ("UNSURE", "NG", "UNSURE")])
def test_ng_comes_before_unsure_and_both_before_ok(views: tuple[str, ...]) -> None:
    assert worst([decision(Verdict[view]) for view in views]).verdict is Verdict.NG


def test_unsure_comes_before_ok() -> None:
    assert worst([decision(Verdict.OK), decision(Verdict.UNSURE)]).verdict is Verdict.UNSURE


def test_the_defects_are_those_of_the_worst_views_the_highest_score_first() -> None:
    outcome = worst([decision(Verdict.NG, 0.8), decision(Verdict.UNSURE, 0.95), decision(Verdict.NG, 0.9)])

    assert [defect.score for defect in outcome.defects] == [0.9, 0.8]


def test_frames_of_changing_sizes_are_remarked_once(make_bundle: Make, caplog: pytest.LogCaptureFixture) -> None:
    bundle = load_bundle(make_bundle())
    inspector = Inspector(bundle, NumpyEngine(bundle.manifest), monotonic)
    for number, height in enumerate((16, 24, 32, 40), start=1):
        inspector.begin(arrived(number, np.zeros((height, 12), np.uint8)))()

    assert [record.getMessage().split(";")[0] for record in caplog.records] == [
        "camera top: found 12x24, which is squashed to 12x16"
    ]


def test_a_frame_of_too_few_pixels_is_no_part_that_passes(make_bundle: Make) -> None:
    inspector = Inspector(bundle := load_bundle(make_bundle()), NumpyEngine(bundle.manifest), monotonic)
    with pytest.raises(FrameError, match="camera top: found a frame of 1x1, expected at least 2x2"):
        inspector.begin(arrived(1, np.full((1, 1), 90, np.uint8)))


def test_a_margin_that_leaves_no_score_for_ok_is_named(make_bundle: Make) -> None:
    manifest = load_bundle(make_bundle()).manifest
    assert [limit.score for limit in manifest.thresholds.values()] == [0.9, 0.9]
    assert too_wide(0.8, manifest) is None
    assert "at that of Bright (0.9), Dark (0.9) any score makes a part UNSURE" in str(too_wide(0.9, manifest))


def test_the_share_of_unsure_is_that_of_the_next_wider_margin(make_bundle: Make) -> None:
    manifest = load_bundle(make_bundle()).manifest
    assert expected_unsure(0.07, manifest).startswith("the bundle does not say")
    curve = [{"margin": margin, "cases": 40, "sent": sent} for margin, sent in ((0.05, 1), (0.1, 3), (0.2, 9))]
    made_from = manifest.made_from.model_copy(update={"metrics": {"val": {"unsure": curve}}})
    known = manifest.model_copy(update={"made_from": made_from})
    assert expected_unsure(0.07, known) == "3 of 40 parts of its training (7.5%) are UNSURE at 0.1"
    assert expected_unsure(0.3, known).startswith("the bundle does not say")
