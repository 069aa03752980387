import numpy as np
import pytest

from train.data.image_set import ImageSet, pack
from train.errors import ThresholdError
from train.evaluate.outputs import Outputs, evaluate
from train.evaluate.thresholds import best_f1_threshold, check_positives, choose_thresholds, largest_areas
from train.recipe import ThresholdRecipe


@pytest.mark.parametrize(
    ("scores", "labels", "expected"),
    [
        ([0.1, 0.2, 0.8, 0.9], [0, 0, 1, 1], 0.5),  # the middle of the gap
        ([0.1, 0.6, 0.4, 0.9], [0, 0, 1, 1], 0.25),  # one false alarm is better than one miss
        ([0.9, 0.1, 0.2], [1, 0, 0], 0.55),
        ([0.5, 0.5, 0.5], [1, 0, 1], 0.25),  # equal scores cannot be parted
        ([0.3, 0.7], [1, 1], 0.15),
    ],
)
def test_best_f1(scores: list[float], labels: list[int], expected: float) -> None:
    found, _ = best_f1_threshold(np.float32(scores), np.array(labels, bool))
    assert found == pytest.approx(expected, abs=1e-6)


def test_score_that_equals_the_threshold_counts_as_found() -> None:
    """A float32 score set beside the stored threshold decides as it did when it was chosen."""
    generator = np.random.default_rng(0)
    scores = generator.random(50).astype(np.float32)
    labels = scores + generator.normal(0, 0.2, 50) > 0.6
    threshold, _ = best_f1_threshold(scores, labels)
    assert not np.any(scores == np.float32(threshold))


def chosen(recipe: ThresholdRecipe, scores: list[list[float]], labels: list[list[int]]) -> list[float]:
    """Choose on images whose masks do not matter."""
    count, classes = np.shape(scores)
    outputs = Outputs(np.float32(scores), np.zeros((count, classes, 1, 1), np.uint8))
    has = np.array(labels, bool)
    images = ImageSet(np.zeros((count, 1, 1, 1), np.uint8), np.zeros((count, 1, 1, 1), np.uint8), has, has)
    thresholds = choose_thresholds(outputs, images, ["Pit", "Scratch"], recipe)
    return [thresholds[name].score for name in ("Pit", "Scratch")]


SCORES = [[0.9, 0.8], [0.7, 0.1], [0.2, 0.9], [0.1, 0.5], [0.3, 0.0], [0.0, 0.1], [0.1, 0.3]]
LABELS = [[1, 0], [1, 0], [0, 1], [0, 1], [0, 0], [0, 0], [0, 0]]


@pytest.mark.parametrize("choose", ["f1", "against-good"])
def test_class_that_is_not_told_apart_gets_the_recipes_score(choose: str) -> None:
    scores = [[0.01, 0.9], [0.2, 0.1], [0.3, 0.1], [0.4, 0.1], [0.5, 0.1], [0.6, 0.1]]
    labels = [[1, 1], *([[0, 0]] * 5)]
    recipe = ThresholdRecipe(choose=choose, score=0.7, least_f1=0.4)
    found = chosen(recipe, scores, labels)
    assert found[0] == pytest.approx(0.7)  # its one positive ranks last: F1 is 2/7 at best
    assert found[1] < 0.6


def test_against_good_ignores_other_defects_and_stays_low() -> None:
    found = chosen(ThresholdRecipe(choose="against-good"), SCORES, LABELS)
    assert found == pytest.approx([0.3 + 0.25 * 0.4, 0.3 + 0.25 * 0.2])


def test_shared_takes_one_score_for_all_classes() -> None:
    found = chosen(ThresholdRecipe(choose="against-good", shared=True), SCORES, LABELS)
    assert found == pytest.approx([0.3 + 0.25 * 0.2] * 2)  # between the good one with 0.3 and the scratch with 0.5


def test_shared_gives_what_union_gave_and_reads_it() -> None:
    assert ThresholdRecipe.model_validate({"choose": "union"}) == ThresholdRecipe(choose="against-good", shared=True)


WRONG_NAME = [[0.9, 0.0], [0.8, 0.0], [0.9, 0.0], [0.8, 0.0], [0.3, 0.0], [0.0, 0.1], [0.1, 0.3]]
"""As LABELS, but all scratches are called pits."""


@pytest.mark.parametrize(
    ("recipe", "expected"),
    [
        (ThresholdRecipe(choose="max-escapes", shared=True), 0.8),
        (ThresholdRecipe(choose="max-escapes", shared=True, limit=0.5), 0.9),
        (ThresholdRecipe(choose="max-false-rejects", shared=True), 0.3),
        (ThresholdRecipe(choose="max-false-rejects", shared=True, limit=0.7), 0.1),
        (ThresholdRecipe(choose="f1", shared=True), 0.55),
        (ThresholdRecipe(choose="fixed", shared=True, score=0.7), 0.7),
    ],
)
def test_shared_lets_a_wrong_name_set_no_threshold(recipe: ThresholdRecipe, expected: float) -> None:
    assert chosen(recipe, WRONG_NAME, LABELS) == pytest.approx([expected] * 2, abs=1e-6)
    apart = chosen(recipe.model_copy(update={"shared": False}), WRONG_NAME, LABELS)
    if recipe.choose == "max-escapes":
        assert apart[1] == 0  # rejects every part


def test_shrinkage_moves_classes_of_few_parts_towards_what_all_share() -> None:
    """Pit 0.4 and Scratch 0.35 alone, 0.35 for both together; two parts of each."""
    alone, shared = 0.3 + 0.25 * 0.4, 0.3 + 0.25 * 0.2
    for shrinkage, weight in ((0, 1), (2, 1 / 2), (6, 1 / 4)):
        found = chosen(ThresholdRecipe(choose="against-good", shrinkage=shrinkage), SCORES, LABELS)
        odds = (alone / (1 - alone)) ** weight * (shared / (1 - shared)) ** (1 - weight)
        assert found == pytest.approx([odds / (1 + odds), shared], abs=1e-6)


def test_shrinkage_counts_parts_and_not_their_pictures() -> None:
    has = np.array(LABELS, bool)
    pictures = np.zeros((len(has), 1, 1, 1), np.uint8)
    outputs = Outputs(np.float32(SCORES), np.zeros((*has.shape, 1, 1), np.uint8))
    recipe = ThresholdRecipe(choose="against-good", shrinkage=1)
    found = {}
    for name, parts in (("one", ("a", "a", "b", "b", "c", "d", "e")), ("two", ("a", "f", "b", "b", "c", "d", "e"))):
        images = ImageSet(pictures, pictures, has, has, parts=parts)
        found[name] = choose_thresholds(outputs, images, ["Pit", "Scratch"], recipe)["Pit"].score
    assert 0.35 < found["one"] < found["two"] < 0.4  # more parts of its own, nearer to its own threshold


def test_shrinkage_gives_a_class_without_images_what_all_share() -> None:
    labels = [[1, 0], [1, 0], *([[0, 0]] * 5)]
    scores = [[0.9, 0.8], [0.7, 0.1], [0.2, 0.3], [0.1, 0.5], [0.3, 0.0], [0.0, 0.1], [0.1, 0.3]]
    recipe = ThresholdRecipe(choose="f1", shrinkage=4)
    check_positives(np.array(labels, bool), ["Pit", "Scratch"], recipe)
    shared = chosen(recipe.model_copy(update={"shared": True}), scores, labels)
    assert chosen(recipe, scores, labels)[1] == shared[1] == pytest.approx(0.6)
    with pytest.raises(ThresholdError, match="found no image with Scratch"):
        check_positives(np.array(labels, bool), ["Pit", "Scratch"], recipe.model_copy(update={"shrinkage": 0}))
    with pytest.raises(ThresholdError, match="found no image with Pit, Scratch"):
        check_positives(np.zeros((7, 2), bool), ["Pit", "Scratch"], recipe)


@pytest.mark.parametrize("choose", ["max-escapes", "max-false-rejects", "fixed"])
def test_shrinkage_leaves_a_limit_alone(choose: str) -> None:
    recipe = ThresholdRecipe(choose=choose, limit=0.4)
    assert chosen(recipe.model_copy(update={"shrinkage": 4}), SCORES, LABELS) == chosen(recipe, SCORES, LABELS)


def test_shared_takes_one_level_and_one_area_for_all_classes() -> None:
    """Two classes of one outline each, of which the second's suits the lower level."""
    truth = np.zeros((2, 2, 4, 4), bool)
    truth[0, 0, :, :2] = truth[1, 1, :, :3] = True
    masks = np.zeros((2, 2, 4, 4), np.uint8)
    masks[0, 0] = masks[1, 1] = np.uint8([250, 170, 150, 10])
    has = np.eye(2, dtype=bool)
    bits = np.stack([pack(one) for one in truth])
    images = ImageSet(np.zeros((2, 1, 4, 4), np.uint8), bits, has, has)
    outputs = Outputs(np.float32([[0.9, 0], [0, 0.9]]), masks)
    for shared, levels in ((False, [160, 128]), (True, [128, 128])):
        recipe = ThresholdRecipe(choose="against-good", shared=shared, levels=(128, 160), areas_px=(8, 0))
        found = choose_thresholds(outputs, images, ["Pit", "Scratch"], recipe)
        assert [one.level for one in found.values()] == levels
        assert [one.min_area_px for one in found.values()] == [0, 0]


@pytest.mark.parametrize(("limit", "expected"), [(0.0, [0.7, 0.5]), (0.5, [0.9, 0.9])])
def test_max_escapes_misses_no_more_than_the_limit(limit: float, expected: list[float]) -> None:
    assert chosen(ThresholdRecipe(choose="max-escapes", limit=limit), SCORES, LABELS) == pytest.approx(expected)


@pytest.mark.parametrize(("limit", "rejected"), [(0.0, 0), (0.5, 0), (0.7, 2), (1.0, 3)])
def test_max_false_rejects_rejects_no_more_good_images_than_the_limit(limit: float, rejected: int) -> None:
    found = chosen(ThresholdRecipe(choose="max-false-rejects", limit=limit), SCORES, LABELS)
    good = np.float32(SCORES[4:]) >= np.float32(found)
    assert good.any(axis=1).sum() == rejected


def one_image(truth: np.ndarray, probability: np.ndarray) -> tuple[Outputs, ImageSet]:
    """Make a set of one image with one class."""
    outputs = Outputs(np.float32([[0.9]]), probability[np.newaxis, np.newaxis])
    images = ImageSet(
        np.zeros((1, 1, *truth.shape), np.uint8),
        pack(truth[np.newaxis])[np.newaxis],
        np.array([[True]]),
        np.array([[True]]),
    )
    return outputs, images


def test_level_is_the_one_of_the_largest_overlap() -> None:
    truth = np.zeros((4, 4), bool)
    truth[:, :2] = True
    probability = np.uint8([[250, 170, 150, 10]] * 4)
    outputs, images = one_image(truth, probability)
    chosen = choose_thresholds(outputs, images, ["Pit"], ThresholdRecipe(levels=(64, 128, 160, 192)))
    assert chosen["Pit"].level == 160


def specks_and_spots() -> tuple[Outputs, ImageSet]:
    """Two spots of eight cells on defective images, and on good ones single cells that score higher."""
    masks = np.zeros((4, 1, 4, 4), np.uint8)
    masks[:2, 0, 1:3] = 140
    masks[2:, 0, 0, 0] = 220
    labels = np.array([[True], [True], [False], [False]])
    truth = np.zeros((4, 1, 8, 8), bool)
    truth[:2, 0, 2:6] = True
    bits = np.stack([pack(one) for one in truth])
    outputs = Outputs(masks.max(axis=(2, 3)) / np.float32(255), masks)
    return outputs, ImageSet(np.zeros((4, 1, 8, 8), np.uint8), bits, labels, np.ones_like(labels))


@pytest.mark.parametrize("how", ["f1", "against-good"])
@pytest.mark.parametrize(("areas", "expected"), [((), 0), ((0, 16, 32), 16), ((64, 32, 0), 32), ((0, 4), 0)])
def test_smallest_area_is_the_least_that_names_best(how: str, areas: tuple[float, ...], expected: float) -> None:
    """A cell is four input pixels, so a spot has 32 and a speck 4."""
    found = choose_thresholds(*specks_and_spots(), ["Pit"], ThresholdRecipe(choose=how, areas_px=areas, levels=(128,)))
    assert found["Pit"].min_area_px == expected


def test_with_an_area_specks_are_passed_and_spots_found() -> None:
    outputs, images = specks_and_spots()
    with_area, without = (
        evaluate(outputs, images, choose_thresholds(outputs, images, ["Pit"], ThresholdRecipe(areas_px=areas)), ["Pit"])
        for areas in ((0, 16), ())
    )
    assert (with_area.classes[0].found, with_area.classes[0].false_alarms) == (2, 0)
    assert (without.classes[0].found, without.classes[0].false_alarms) == (2, 2)


def test_largest_area_is_the_decisions() -> None:
    outputs, _ = specks_and_spots()
    assert largest_areas(outputs, (8, 8), [128])[:, 0].tolist() == [32, 32, 4, 4]
    assert largest_areas(outputs, (8, 8), [200])[:, 0].tolist() == [0, 0, 4, 4]


def test_fixed_threshold_is_the_recipes() -> None:
    outputs, images = one_image(np.ones((4, 4), bool), np.full((4, 4), 255, np.uint8))
    chosen = choose_thresholds(outputs, images, ["Pit"], ThresholdRecipe(choose="fixed", score=0.3))
    assert (chosen["Pit"].score, chosen["Pit"].level) == (0.3, 128)


def test_class_without_positives_is_refused_with_advice() -> None:
    labels = np.array([[True, False], [False, False]])
    with pytest.raises(ThresholdError, match=r"no image with Scratch, expected at .*--split, .*shared=true or th"):
        check_positives(labels, ["Pit", "Scratch"], ThresholdRecipe())
    check_positives(labels, ["Pit", "Scratch"], ThresholdRecipe(choose="fixed"))
    check_positives(labels, ["Pit", "Scratch"], ThresholdRecipe(shared=True))
    with pytest.raises(ThresholdError, match=r"found no image with Pit, Scratch.* --set thresholds\.choose=fixed"):
        check_positives(labels[1:], ["Pit", "Scratch"], ThresholdRecipe(shared=True))


def test_by_part_a_defect_found_in_one_view_is_enough() -> None:
    """The weak view of the defective part scores below a good picture; by part that does not count."""
    scores = np.float32([[0.9], [0.3], [0.4], [0.1]])
    has = np.array([[True], [True], [False], [False]])
    empty = np.zeros((4, 1, 1, 1), np.uint8)
    outputs, images = Outputs(scores, empty), ImageSet(empty, empty, has, has, ("a", "a", "b", "b"))
    by = {unit: ThresholdRecipe(choose="max-escapes", unit=unit) for unit in ("picture", "part")}
    found = {unit: choose_thresholds(outputs, images, ["Pit"], recipe)["Pit"].score for unit, recipe in by.items()}
    assert found == {"picture": pytest.approx(0.3), "part": pytest.approx(0.9)}
    f1 = ThresholdRecipe(unit="part")
    assert choose_thresholds(outputs, images, ["Pit"], f1)["Pit"].score == pytest.approx(0.65)


def test_by_part_needs_the_names_of_the_parts() -> None:
    with pytest.raises(ThresholdError, match="without the names of their parts"):
        chosen(ThresholdRecipe(unit="part"), SCORES, LABELS)
