import numpy as np
import pytest

from bundle import Threshold
from train.errors import DataError
from train.evaluate.metrics import measure, rate
from train.evaluate.prediction import Prediction, compare
from train.evaluate.tables import sentences

CLASSES = ("Pit", "Scratch")
THRESHOLDS = {name: Threshold(score=0.5, level=128) for name in CLASSES}


def row(labels: str, found: str, scores: list[float], pixels: list[tuple[int, int, int]]) -> Prediction:
    """Make a row by hand: labels and found as "10", pixels per class as (truth, predicted, both)."""
    truth, predicted, both = (np.array(column) for column in zip(*pixels, strict=True))
    has = np.array([flag == "1" for flag in labels])
    return Prediction(
        name="",
        labels=has,
        outlined=~(has & (truth == 0)),
        scores=np.float32(scores),
        found=np.array([flag == "1" for flag in found]),
        intersection=both,
        union=truth + predicted - both,
        truth_area=truth,
        any_intersection=int(both.sum()),
        any_union=int((truth + predicted - both).sum()),
    )


ROWS = [
    row("10", "10", [0.9, 0.1], [(10, 10, 5), (0, 0, 0)]),  # IoU 5/15
    row("10", "00", [0.3, 0.2], [(20, 0, 0), (0, 0, 0)]),  # an escape
    row("01", "11", [0.6, 0.8], [(0, 4, 0), (8, 8, 8)]),  # found, with a second class that is not there
    row("00", "00", [0.1, 0.1], [(0, 0, 0), (0, 0, 0)]),
    row("00", "01", [0.2, 0.7], [(0, 0, 0), (0, 6, 0)]),  # a false reject
]


def test_counts_and_shares_per_class() -> None:
    pit, scratch = measure(ROWS, CLASSES).classes
    assert (pit.positives, pit.found, pit.false_alarms) == (2, 1, 1)
    assert (pit.recall, pit.precision, pit.f1) == (0.5, 0.5, 0.5)
    assert (scratch.recall, scratch.precision, scratch.f1) == (1.0, 0.5, pytest.approx(2 / 3))


def test_iou_pooled_and_over_positives() -> None:
    pit, scratch = measure(ROWS, CLASSES).classes
    assert pit.iou_pooled == pytest.approx(5 / (15 + 20 + 4))
    assert pit.iou_positives == pytest.approx((1 / 3 + 0) / 2)
    assert scratch.iou_pooled == pytest.approx(8 / (8 + 6))
    assert scratch.iou_positives == 1.0


def test_average_precision_is_the_area_under_the_curve() -> None:
    pit, scratch = measure(ROWS, CLASSES).classes
    assert pit.average_precision == pytest.approx((1 / 1 + 2 / 3) / 2)  # ranked 0.9 yes, 0.6 no, 0.3 yes
    assert scratch.average_precision == 1.0


def test_pairs() -> None:
    metrics = measure(ROWS, CLASSES)
    assert metrics.accuracy_pairs == pytest.approx(7 / 10)
    assert metrics.mean_iou_pairs == pytest.approx((1 / 3 + 1 + 0 + 1 + 0 + 1 + 1 + 1 + 1 + 0) / 10)
    assert metrics.mean_iou_pairs_predicting_nothing == pytest.approx(7 / 10)


def test_union_of_classes() -> None:
    union = measure(ROWS, CLASSES).union
    assert union.iou_pooled == pytest.approx((5 + 8) / (15 + 20 + 12 + 6))
    assert union.iou_positives == pytest.approx((5 / 15 + 0 + 8 / 12) / 3)
    assert union.average_precision == pytest.approx((1 + 1 + 3 / 4) / 3)  # ranked .9 yes, .8 yes, .7 no, .3 yes


def test_escapes_and_false_rejects() -> None:
    metrics = measure(ROWS, CLASSES)
    assert (metrics.escapes.count, metrics.escapes.total) == (1, 3)
    assert (metrics.false_rejects.count, metrics.false_rejects.total) == (1, 2)
    assert metrics.false_rejects_at_no_escape == 0.5  # at 0.3 only the good part of 0.7 falls


def test_confusion() -> None:
    metrics = measure(ROWS, CLASSES)
    assert metrics.confusion_names == ("Pit", "Scratch", "good")
    assert metrics.confusion == ((1, 0, 1), (0, 1, 0), (0, 1, 1))


def test_predicting_nothing_scores_the_share_of_empty_pairs() -> None:
    """The paper's test part: 167 images, 51 of them with one of five classes."""
    rows = []
    for image in range(167):
        labels = "".join("1" if image < 51 and channel == image % 5 else "0" for channel in range(5))
        rows.append(row(labels, "00000", [0.0] * 5, [(9 if flag == "1" else 0, 0, 0) for flag in labels]))
    metrics = measure(rows, ("a", "b", "c", "d", "e"))
    assert 100 * metrics.mean_iou_pairs == pytest.approx(93.89, abs=0.005)  # recipe.md, Table I decoded
    assert metrics.mean_iou_pairs == metrics.mean_iou_pairs_predicting_nothing
    assert metrics.paper["mAP (all classes)"] == pytest.approx(93.89, abs=0.005)
    assert metrics.paper["IoU (defective classes)"] == [0.0] * 5


def test_positive_without_outline_counts_for_scores_and_not_for_pixels() -> None:
    metrics = measure([*ROWS, row("10", "10", [0.8, 0.0], [(0, 50, 0), (0, 0, 0)])], CLASSES)
    assert metrics.pairs_without_outline == 1
    assert metrics.classes[0].found == 2
    assert metrics.classes[0].iou_pooled == pytest.approx(5 / 39)
    assert metrics.union.iou_pooled == measure(ROWS, CLASSES).union.iou_pooled


def test_class_without_positives_has_no_recall() -> None:
    metrics = measure(ROWS[3:], CLASSES)
    assert metrics.classes[0].recall is None
    assert metrics.classes[0].average_precision is None
    assert metrics.named("mean_iou_positives") == -np.inf


def test_a_class_without_a_pixel_is_never_counted_as_right() -> None:
    """Pits that vanish at the network's input: found or not, and on good images, they are no pixels that agree."""
    rows = [
        row("10", "10", [0.9, 0.1], [(0, 0, 0), (0, 0, 0)]),
        row("00", "00", [0.1, 0.1], [(0, 0, 0), (0, 0, 0)]),
    ]
    vanished = measure(rows, CLASSES)
    assert (vanished.mean_iou_pairs, vanished.mean_iou_pairs_predicting_nothing) == (None, None)
    with_scratch = measure([*rows, row("01", "01", [0.1, 0.9], [(0, 0, 0), (8, 4, 4)])], CLASSES)
    assert with_scratch.mean_iou_pairs == pytest.approx((1 + 1 + 0.5) / 3)
    assert "mean IoU over pairs - (predicting nothing: -)" in " ".join(sentences(vanished))


def test_pixels_of_a_class_without_a_true_one_are_wrong() -> None:
    rows = [row("01", "11", [0.9, 0.9], [(0, 4, 0), (8, 8, 8)]), row("00", "00", [0.1, 0.1], [(0, 0, 0), (0, 0, 0)])]
    assert measure(rows, CLASSES).mean_iou_pairs == pytest.approx((0 + 1 + 1) / 3)


def test_a_good_image_rejected_without_a_pixel_is_no_agreement() -> None:
    rows = [row("10", "10", [0.9, 0.1], [(8, 8, 8), (0, 0, 0)]), row("00", "10", [0.9, 0.1], [(0, 0, 0), (0, 0, 0)])]
    assert measure(rows, CLASSES).mean_iou_pairs == 0.5


def test_a_measure_without_data_is_a_dash() -> None:
    metrics = measure(ROWS[3:], CLASSES)  # good images alone
    assert metrics.accuracy_pairs is None
    assert metrics.paper["mAP (all classes)"] is None
    told = sentences(metrics)
    assert told[0].startswith("escapes - (no cases); false rejects 1 of 2 (50.0 %")
    assert told[1] == "false rejects at no escape -; at 5 % escapes -; escapes at 5 % false rejects -"
    assert told[2] == "AUROC of defect or not -"
    assert told[3].startswith("accuracy over image x class pairs -; mean IoU over pairs -")


def test_no_images_are_refused() -> None:
    with pytest.raises(DataError, match="found no images"):
        measure([], CLASSES)


@pytest.mark.parametrize(
    ("count", "total", "low", "high"),
    [(0, 100, 0.0, 0.036217), (100, 100, 0.963783, 1.0), (5, 50, 0.033275, 0.218135)],
)
def test_interval_is_the_exact_one(count: int, total: int, low: float, high: float) -> None:
    found = rate(count, total)
    assert (found.low, found.high) == (pytest.approx(low, abs=1e-6), pytest.approx(high, abs=1e-6))


def test_compare_enlarges_to_the_nearest_and_counts() -> None:
    truth = np.zeros((2, 4, 6), bool)
    truth[0, :2, :2] = True
    masks = np.zeros((2, 2, 3), np.uint8)
    masks[0, 0, :2] = 128
    masks[1] = 255
    row = compare(np.float32([0.5, 0.4]), masks, truth, np.array([True, False]), THRESHOLDS)
    assert row.found.tolist() == [True, False]
    assert (row.intersection[0], row.union[0]) == (4, 8)
    assert row.union[1] == 0  # not declared, so its mask does not count
    assert (row.any_intersection, row.any_union) == (4, 8)


def test_compare_follows_the_level() -> None:
    masks = np.full((1, 2, 2), 127, np.uint8)
    row = compare(np.float32([0.9]), masks, np.ones((1, 4, 4), bool), np.array([True]), {"Pit": Threshold(score=0.5)})
    assert row.found[0]
    assert row.intersection[0] == 0
