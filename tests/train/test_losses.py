import math

import numpy as np
import pytest
import torch

from train.data.device_set import Batch
from train.losses import Loss, schedule_weights, targets
from train.recipe import LossRecipe

CPU = torch.device("cpu")


def make_batch(generator: np.random.Generator, classes: int = 3) -> tuple[Batch, np.ndarray]:
    """Make two images of 8x6 with random masks; returns the batch with masks bool [B, C, H, W]."""
    masks = generator.random((2, classes, 8, 6)) < 0.3
    masks[0, 1] = False
    bits = np.packbits(masks, axis=1, bitorder="little")
    labels = masks.any(axis=(2, 3))
    return Batch(
        torch.zeros(2, 1, 8, 6),
        torch.from_numpy(bits),
        torch.from_numpy(labels).float(),
        torch.ones(2, classes),
    ), masks


def plain_cross_entropy(logit: float, truth: float, weight: float) -> float:
    """Binary cross-entropy with a positive weight, as a formula."""
    p = 1 / (1 + math.exp(-logit))
    return -weight * truth * math.log(p) - (1 - truth) * math.log(1 - p)


def test_segmentation_is_the_cross_entropy_at_full_size_after_nearest_enlargement() -> None:
    generator = np.random.default_rng(0)
    batch, masks = make_batch(generator)
    logits = torch.from_numpy(generator.normal(size=(2, 3, 4, 3))).float()
    weights = (18.0, 13.0, 7.0)
    terms = Loss(LossRecipe(mask_weights=weights), 3, CPU).terms(logits, targets(batch, (4, 3)))
    full = logits.numpy().repeat(2, axis=2).repeat(2, axis=3)
    for channel, weight in enumerate(weights):
        pairs = zip(full[:, channel].ravel(), masks[:, channel].ravel(), strict=True)
        expected = np.mean([plain_cross_entropy(z, y, weight) for z, y in pairs])
        assert terms.segmentation[channel].item() == pytest.approx(expected, rel=1e-5)  # float32


def test_area_weights_are_a_weighted_mean_with_the_root_of_the_areas_ratio() -> None:
    generator = np.random.default_rng(3)
    batch, masks = make_batch(generator, classes=2)
    logits = torch.from_numpy(generator.normal(size=(2, 2, 8, 6))).float()
    terms = Loss(LossRecipe(area_weights=True), 2, CPU).terms(logits, targets(batch, (8, 6)))
    expected = []
    for mask, row in zip(masks[:, 0], logits[:, 0].numpy(), strict=True):
        weight = math.sqrt((~mask).sum() / mask.sum())
        losses = [plain_cross_entropy(z, y, weight) for z, y in zip(row.ravel(), mask.ravel(), strict=True)]
        expected.append(sum(losses) / (weight * mask.sum() + (~mask).sum()))
    assert terms.segmentation[0].item() == pytest.approx(np.mean(expected), rel=1e-5)  # float32


def test_an_image_that_is_all_defect_has_its_plain_mean_loss() -> None:
    generator = np.random.default_rng(4)
    batch, _ = make_batch(generator, classes=2)
    batch.bits[:] = 1
    logits = torch.from_numpy(generator.normal(size=(2, 2, 4, 3))).float()
    found = Loss(LossRecipe(area_weights=True), 2, CPU).terms(logits, targets(batch, (4, 3))).segmentation[0]
    assert found.item() == pytest.approx(
        np.mean([plain_cross_entropy(z, 1, 1) for z in logits[:, 0].ravel()]), rel=2e-3
    )


def test_an_empty_mask_s_loss_does_not_change_with_area_weights() -> None:
    generator = np.random.default_rng(1)
    batch, _ = make_batch(generator)
    batch.bits[:] = 0
    logits = torch.from_numpy(generator.normal(size=(2, 3, 4, 3))).float()
    losses = [Loss(LossRecipe(area_weights=area), 3, CPU).terms(logits, targets(batch, (4, 3))) for area in (0, 1)]
    assert torch.equal(losses[0].segmentation, losses[1].segmentation)


def test_classification_is_the_cross_entropy_of_the_maximum() -> None:
    generator = np.random.default_rng(1)
    batch, masks = make_batch(generator)
    logits = torch.from_numpy(generator.normal(size=(2, 3, 4, 3))).float()
    terms = Loss(LossRecipe(class_weights=(3, 4, 5)), 3, CPU).terms(logits, targets(batch, (4, 3)))
    largest = logits.numpy().max(axis=(2, 3))
    for channel, weight in enumerate((3, 4, 5)):
        pairs = zip(largest[:, channel], masks[:, channel].any(axis=(1, 2)), strict=True)
        expected = np.mean([plain_cross_entropy(z, y, weight) for z, y in pairs])
        assert terms.classification[channel].item() == pytest.approx(expected, rel=1e-5)  # float32


def test_a_positive_without_outline_has_no_mask_loss() -> None:
    batch, _ = make_batch(np.random.default_rng(2))
    batch.outlined[0, 1] = 0
    logits = torch.full((2, 3, 4, 3), 4.0)
    logits[1, 1] = -20
    batch.bits[1] &= 0b101
    terms = Loss(LossRecipe(), 3, CPU).terms(logits, targets(batch, (4, 3)))
    assert terms.segmentation[1].item() == pytest.approx(0, abs=1e-6)


@pytest.mark.parametrize(
    ("schedule", "expected"),
    [
        ("classification-first", [(1.0, 0.0), (0.75, 0.25), (0.25, 0.75)]),
        ("segmentation-first", [(0.0, 1.0), (0.25, 0.75), (0.75, 0.25)]),
        ("constant", [(0.5, 0.5), (0.5, 0.5), (0.5, 0.5)]),
    ],
)
def test_schedule(schedule: str, expected: list[tuple[float, float]]) -> None:
    assert [schedule_weights(schedule, epoch, 4) for epoch in (0, 1, 3)] == expected


def test_total_weighs_the_terms_by_the_schedule() -> None:
    batch, _ = make_batch(np.random.default_rng(3))
    loss = Loss(LossRecipe(schedule="classification-first", dice=2.0), 3, CPU)
    terms = loss.terms(torch.zeros(2, 3, 4, 3), targets(batch, (4, 3)))
    expected = 0.75 * terms.classification.mean() + 0.25 * (terms.segmentation.mean() + 2 * terms.dice)
    assert loss.total(terms, epoch=1, epochs=4).item() == pytest.approx(expected.item())


@pytest.mark.parametrize("term", ["dice", "union"])
def test_extra_term_falls_from_wrong_to_right_masks(term: str) -> None:
    batch, _ = make_batch(np.random.default_rng(4))
    truth = targets(batch, (8, 6))
    loss = Loss(LossRecipe(dice=1, union=1), 3, CPU)

    def value(logits: torch.Tensor) -> float:
        return getattr(loss.terms(logits, truth), term).item()

    right = 40 * truth.fractions - 20
    assert value(right) == pytest.approx(0, abs=1e-4)
    assert value(-right) > 0.9


def test_union_term_does_not_care_for_the_name() -> None:
    batch, _ = make_batch(np.random.default_rng(5))
    truth = targets(batch, (8, 6))
    loss = Loss(LossRecipe(union=1), 3, CPU)
    right = 40 * truth.fractions - 20
    assert loss.terms(right.roll(1, dims=1), truth).union.item() == pytest.approx(loss.terms(right, truth).union.item())


def test_targets_hold_the_share_of_each_cell() -> None:
    batch, masks = make_batch(np.random.default_rng(6))
    expected = masks.reshape(2, 3, 4, 2, 3, 2).mean(axis=(3, 5))
    np.testing.assert_allclose(targets(batch, (4, 3)).fractions.numpy(), expected, atol=1e-7)


def test_targets_know_more_than_eight_classes() -> None:
    batch, masks = make_batch(np.random.default_rng(7), classes=11)
    np.testing.assert_array_equal(targets(batch, (8, 6)).fractions.numpy(), masks)


def test_the_pooled_classification_is_that_of_the_largest_cells_mean() -> None:
    batch, _ = make_batch(np.random.default_rng(5))
    logits = torch.from_numpy(np.random.default_rng(6).normal(size=(2, 3, 4, 3))).float()
    found = Loss(LossRecipe(pool_cells=5), 3, CPU).terms(logits, targets(batch, (4, 3))).classification
    means = np.sort(logits.numpy().reshape(2, 3, 12))[..., -5:].mean(axis=-1)
    pairs = zip(means[:, 1], batch.labels[:, 1].tolist(), strict=True)
    assert found[1].item() == pytest.approx(np.mean([plain_cross_entropy(z, y, 1) for z, y in pairs]), rel=1e-5)


def test_more_pooled_cells_than_there_are_take_them_all() -> None:
    batch, _ = make_batch(np.random.default_rng(5))
    logits = torch.from_numpy(np.random.default_rng(6).normal(size=(2, 3, 4, 3))).float()
    of_all, of_more = (
        Loss(LossRecipe(pool_cells=cells), 3, CPU).terms(logits, targets(batch, (4, 3))).classification
        for cells in (12, 100)
    )
    assert torch.equal(of_all, of_more)


def test_dice_over_the_batch_weighs_images_by_their_defects_area() -> None:
    batch, masks = make_batch(np.random.default_rng(7))
    logits = torch.from_numpy(np.random.default_rng(8).normal(size=(2, 3, 8, 6))).float()
    found = Loss(LossRecipe(dice=1, dice_over="batch"), 3, CPU).terms(logits, targets(batch, (8, 6))).dice
    p = torch.sigmoid(logits).numpy()
    both, sums = (p * masks).sum(axis=(0, 2, 3)), p.sum(axis=(0, 2, 3)) + masks.sum(axis=(0, 2, 3))
    assert found.item() == pytest.approx(np.mean(1 - (2 * both + 1) / (sums + 1)), rel=1e-5)


def test_detection_does_not_care_for_the_name_and_naming_does() -> None:
    batch, masks = make_batch(np.random.default_rng(9))
    truth, right = targets(batch, (8, 6)), torch.from_numpy(np.where(masks, 8.0, -8.0)).float()
    loss = Loss(LossRecipe(detection=1, naming=1), 3, CPU)
    named, misnamed = loss.terms(right, truth), loss.terms(right.roll(1, dims=1), truth)
    assert misnamed.detection.item() == pytest.approx(named.detection.item())
    assert misnamed.naming > 4 * named.naming


def test_naming_counts_a_small_defect_as_much_as_a_large_one() -> None:
    masks = np.zeros((2, 2, 8, 6), dtype=bool)
    masks[0, 0], masks[1, 1, 0, 0] = True, True
    batch = Batch(
        torch.zeros(2, 1, 8, 6),
        torch.from_numpy(np.packbits(masks, axis=1, bitorder="little")),
        torch.from_numpy(masks.any(axis=(2, 3))).float(),
        torch.ones(2, 2),
    )
    logits = torch.zeros(2, 2, 8, 6)
    logits[:, 0] = 3.0  # every cell is called the first class: right in the large defect, wrong in the small one
    found = Loss(LossRecipe(naming=1), 2, CPU).terms(logits, targets(batch, (8, 6))).naming
    assert found.item() == pytest.approx((math.log1p(math.exp(-3)) + math.log1p(math.exp(3))) / 2, rel=1e-5)


@pytest.mark.parametrize("term", ["detection", "naming"])
def test_class_only_images_have_no_masks_in_the_terms_of_all_classes(term: str) -> None:
    batch, _ = make_batch(np.random.default_rng(10))
    logits = torch.from_numpy(np.random.default_rng(11).normal(size=(2, 3, 8, 6))).float()
    batch.outlined[0] = 0
    loss = Loss(LossRecipe(detection=1, naming=1), 3, CPU)
    before = getattr(loss.terms(logits, targets(batch, (8, 6))), term)
    batch.bits[0] = 0
    assert getattr(loss.terms(logits, targets(batch, (8, 6))), term).item() == pytest.approx(before.item())
    batch.bits[1] = 0
    assert getattr(loss.terms(logits, targets(batch, (8, 6))), term).item() != pytest.approx(before.item())


def test_every_class_has_a_share_in_the_gradient_of_detection() -> None:
    batch, _ = make_batch(np.random.default_rng(12))
    logits = torch.zeros(2, 3, 8, 6, requires_grad=True)
    Loss(LossRecipe(detection=1), 3, CPU).terms(logits, targets(batch, (8, 6))).detection.backward()
    assert logits.grad is not None
    assert (logits.grad.abs().sum(dim=(0, 2, 3)) > 0).all()
