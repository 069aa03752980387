"""`edge-export thresholds`: the goal is kept, with the fewest other mistakes."""

import numpy as np
import pytest

from bundle import Threshold, load_bundle
from edge.engines.registry import open_engine
from export.bundles.set_thresholds import goal_of
from export.cli import main
from export.errors import ThresholdsError
from tests.export.conftest import write_square
from tests.export.networks import CLASSES, spec_of
from train.errors import ThresholdError
from train.evaluate.outputs import Outputs
from train.evaluate.thresholds import Goal, shift_thresholds

SPEC = spec_of()
TWO = {"dent": Threshold(score=0.5), "scratch": Threshold(score=0.8)}


def outputs_of(scores, masks=255):
    """Scores [N, 2] with masks that are all of one level."""
    scores = np.array(scores, np.float32)
    return Outputs(scores, np.full((*scores.shape, 16, 12), masks, np.uint8))


def mistakes(scores, defective, thresholds):
    limits = np.array([limit.score for limit in thresholds.values()])
    rejected = (np.array(scores) >= limits).any(axis=1)
    return int((defective & ~rejected).sum()), int((~defective & rejected).sum())


SCORES = [[0.9, 0.1], [0.4, 0.2], [0.1, 0.7], [0.3, 0.1], [0.2, 0.1], [0.05, 0.05]]
DEFECTIVE = np.array([True, True, True, False, False, False])


def test_no_escape_at_the_fewest_false_rejects():
    assert mistakes(SCORES, DEFECTIVE, TWO) == (2, 0)
    chosen = shift_thresholds(outputs_of(SCORES), DEFECTIVE, TWO, SPEC, Goal("escapes", 0.0))
    assert mistakes(SCORES, DEFECTIVE, chosen) == (0, 0)
    assert 0.3 < chosen["dent"].score < 0.4


def test_classes_keep_their_balance():
    chosen = shift_thresholds(outputs_of(SCORES), DEFECTIVE, TWO, SPEC, Goal("escapes", 0.0))
    odds = [chosen[name].score / (1 - chosen[name].score) for name in TWO]
    assert odds[1] / odds[0] == pytest.approx(4)  # as 0.8 / 0.2 to 0.5 / 0.5
    assert chosen["dent"].level == TWO["dent"].level


def test_an_escape_that_is_allowed_spares_good_parts():
    scores = [[0.9, 0.1], [0.8, 0.1], [0.02, 0.01], [0.5, 0.1], [0.2, 0.1], [0.05, 0.05]]
    strict = shift_thresholds(outputs_of(scores), DEFECTIVE, TWO, SPEC, Goal("escapes", 0.0))
    lenient = shift_thresholds(outputs_of(scores), DEFECTIVE, TWO, SPEC, Goal("escapes", 0.34))
    assert mistakes(scores, DEFECTIVE, strict) == (0, 3)
    assert mistakes(scores, DEFECTIVE, lenient) == (1, 0)


def test_no_false_reject_at_the_fewest_escapes():
    scores = [[0.9, 0.1], [0.7, 0.2], [0.1, 0.3], [0.6, 0.1], [0.2, 0.1], [0.05, 0.05]]
    assert mistakes(scores, DEFECTIVE, TWO) == (1, 1)
    chosen = shift_thresholds(outputs_of(scores), DEFECTIVE, TWO, SPEC, Goal("false rejects", 0.0))
    assert mistakes(scores, DEFECTIVE, chosen) == (1, 0)
    assert 0.6 < chosen["dent"].score < 0.7


@pytest.mark.parametrize("what", ["escapes", "false rejects"])
@pytest.mark.parametrize("share", [0.0, 0.1, 0.3])
def test_the_goal_is_kept_on_random_scores_and_nothing_beats_it(what, share):
    rng = np.random.default_rng(round(100 * share))
    defective = rng.random(80) < 0.4
    scores = np.clip(rng.normal(0.35 + 0.3 * defective[:, None], 0.2, (80, 2)), 0.001, 0.999).astype(np.float32)
    chosen = shift_thresholds(outputs_of(scores), defective, TWO, SPEC, Goal(what, share))
    escapes, false_rejects = mistakes(scores, defective, chosen)
    kept, other = (escapes, false_rejects) if what == "escapes" else (false_rejects, escapes)
    allowed = share * (defective.sum() if what == "escapes" else (~defective).sum())
    assert kept <= allowed
    log_odds = np.log(1 / np.array([limit.score for limit in TWO.values()]) - 1)
    for shift in np.linspace(-6, 6, 241):
        shifted = {name: Threshold(score=1 / (1 + np.exp(o - shift))) for name, o in zip(TWO, log_odds, strict=True)}
        pair = mistakes(scores, defective, shifted)
        there = pair if what == "escapes" else pair[::-1]
        assert there[0] > allowed or there[1] >= other


def test_a_defect_without_a_blob_cannot_be_found_by_any_score():
    sized = {name: limit.model_copy(update={"min_area_px": 50.0}) for name, limit in TWO.items()}
    with pytest.raises(ThresholdError, match="3 of 3 defective images without a blob"):
        shift_thresholds(outputs_of(SCORES, masks=0), DEFECTIVE, sized, SPEC, Goal("escapes", 0.0))


def test_images_of_one_kind_alone_cannot_tell():
    with pytest.raises(ThresholdError, match="found 0 defective images"):
        shift_thresholds(outputs_of(SCORES), np.zeros(6, bool), TWO, SPEC, Goal("escapes", 0.0))


@pytest.mark.parametrize("shares", [(None, None), (0.1, 0.1)])
def test_exactly_one_goal_is_wanted(shares):
    with pytest.raises(ThresholdsError, match="expected one"):
        goal_of(*shares)


def test_by_part_a_view_that_hides_the_defect_costs_no_false_reject():
    """The third picture shows the defect of the second one's part weakly; a good one scores higher."""
    scores = [[0.9, 0.1], [0.8, 0.1], [0.2, 0.1], [0.4, 0.1], [0.1, 0.1], [0.1, 0.1]]
    parts = np.array([0, 1, 1, 2, 2, 3])
    goal = Goal("escapes", 0.0)
    by_picture = shift_thresholds(outputs_of(scores), DEFECTIVE, TWO, SPEC, goal)
    by_part = shift_thresholds(outputs_of(scores), DEFECTIVE, TWO, SPEC, goal, parts)
    assert mistakes(scores, DEFECTIVE, by_picture) == (0, 1)
    assert mistakes(scores, DEFECTIVE, by_part) == (1, 0)


@pytest.mark.parametrize("by", ["picture", "part"])
def test_the_command_counts_pictures_or_parts(levels_bundle, squares, tmp_path, by):
    write_square(squares, 60000, labelled="Crack", drawn=None)
    write_square(squares, 60010, labelled="Crack", drawn="Crack")
    out = tmp_path / "tuned"
    options = ["--data", str(squares), "--part", "all", "--max-escapes", "0", "--by", by, "--threads", "1"]
    with pytest.raises(SystemExit) as stop:
        main(["thresholds", str(levels_bundle), "--out", str(out), *options])
    assert stop.value.code == 0
    told = load_bundle(out).manifest.made_from.comparison["thresholds"]
    assert told["goal"] == f"at most 0 escapes by {by}"
    assert (told["false_rejects"][1] > 0) == (by == "picture")  # the hidden one scores as a good picture does


def test_a_new_bundle_with_the_same_network_comes_out(levels_bundle, squares, tmp_path):
    write_square(squares, 60000, labelled="Crack", drawn=None)  # an escape at any threshold that spares good parts
    out = tmp_path / "tuned"
    options = ["--data", str(squares), "--part", "all", "--max-escapes", "0.05", "--threads", "1"]
    with pytest.raises(SystemExit) as stop:
        main(["thresholds", str(levels_bundle), "--out", str(out), *options])
    assert stop.value.code == 0
    old, new = load_bundle(levels_bundle), load_bundle(out)
    assert new.id != old.id
    assert new.model.read_bytes() == old.model.read_bytes()
    assert new.manifest.thresholds != old.manifest.thresholds
    told = new.manifest.made_from.comparison["thresholds"]
    assert told["source"] == old.id
    assert told["escapes"] == [1, 1]
    assert told["false_rejects"] == [0, 0]
    open_engine("onnxruntime", new, threads=1)


def run_thresholds(bundle, data, out, *more):
    """The exit status or message of the command."""
    options = ["--data", str(data), "--part", "all", "--threads", "1", *more]
    with pytest.raises(SystemExit) as stop:
        main(["thresholds", str(bundle), "--out", str(out), *options])
    return stop.value.code


def test_intervals_stand_beside_the_counts(levels_bundle, squares, tmp_path, capsys):
    assert run_thresholds(levels_bundle, squares, tmp_path / "tuned", "--max-escapes", "0") == 0
    assert "0 of 40 (0.0 to 8.8 %)" in capsys.readouterr().out  # 1 - 0.025 ** (1 / 40), Clopper and Pearson
    told = load_bundle(tmp_path / "tuned").manifest.made_from.comparison["thresholds"]
    assert told["escapes_interval_95"] == pytest.approx([0, 0.0881], abs=1e-4)


@pytest.mark.parametrize(
    ("goal", "drawn", "problem"),
    [
        ("--max-escapes", None, "16 of 16 good images rejected"),
        ("--max-false-rejects", "Crack", "40 of 40 defective images accepted"),
    ],
)
def test_thresholds_that_tell_nothing_apart_need_force(levels_bundle, tmp_path, goal, drawn, problem):
    for number in range(56):
        write_square(tmp_path / "same", 1000 * (number + 1), CLASSES[number % 5] if number < 40 else "Free", drawn)
    said = run_thresholds(levels_bundle, tmp_path / "same", tmp_path / "refused", goal, "0")
    assert problem in said
    assert "--force" in said
    assert not (tmp_path / "refused").exists()
    assert run_thresholds(levels_bundle, tmp_path / "same", tmp_path / "forced", goal, "0", "--force") == 0
