import cv2
import numpy as np
import pytest

from train.augment.blobs import RING_PX, Blob, with_margin
from train.augment.warp import warped
from train.recipe import CropsRecipe

ROOM = (200, 200)
FREE = (False,) * 4


def disc(radius: int = 12, edges: tuple[bool, bool, bool, bool] = FREE) -> Blob:
    """A bright disc of level 200 on 100, or its lower half at the top edge."""
    y, x = np.mgrid[-radius : radius + 1, -radius : radius + 1]
    mask = x * x + y * y <= radius * radius
    if edges[0]:
        mask = mask[radius:]
    wide = np.pad(mask, RING_PX)
    if edges[0]:
        wide[:RING_PX] = wide[RING_PX]
    return Blob(np.where(wide, 200, 100).astype(np.uint8)[np.newaxis], mask, 100.0, edges)


def bar() -> Blob:
    return Blob(with_margin(np.full((1, 4, 40), 200, np.uint8)), np.ones((4, 40), bool), 100.0, FREE)


@pytest.mark.parametrize("change", [{"rotate_degrees": 180}, {"blob_scale": 0.5}, {"elastic": 0.2}])
@pytest.mark.parametrize("edges", [FREE, (True, False, False, False)])
def test_mask_follows_the_pixels(change: dict[str, float], edges: tuple[bool, bool, bool, bool]) -> None:
    for seed in range(20):
        blob = warped(disc(edges=edges), CropsRecipe(**change), ROOM, np.random.default_rng(seed))
        assert blob.context.shape == (1, *(length + 2 * RING_PX for length in blob.mask.shape))
        inside, outside = (
            cv2.copyMakeBorder(plane.astype(np.uint8), 1, 1, 1, 1, cv2.BORDER_REPLICATE)
            for plane in (blob.mask, ~blob.mask)
        )
        well_inside, well_outside = (cv2.erode(one, np.ones((3, 3)))[1:-1, 1:-1] > 0 for one in (inside, outside))
        assert blob.pixels[0][well_inside].min() >= 140  # a pixel on the rim may round to the other side
        assert blob.pixels[0][well_outside].max() <= 160


def test_box_is_tight() -> None:
    blob = warped(bar(), CropsRecipe(rotate_degrees=90, elastic=0.2), ROOM, np.random.default_rng(0))
    assert all(blob.mask.any(axis=axis)[[0, -1]].all() for axis in (0, 1))


def test_size_stays_within_its_limits() -> None:
    recipe = CropsRecipe(blob_scale=0.5)
    lengths = [warped(bar(), recipe, ROOM, np.random.default_rng(seed)).mask.shape[1] for seed in range(50)]
    assert 40 / 1.5 - 1 <= min(lengths) < 32
    assert 50 < max(lengths) <= 40 * 1.5 + 1


def test_a_bar_is_bent() -> None:
    """Its middle line leaves the straight one by more than it is thick."""
    lines = []
    for seed in range(20):
        mask = warped(bar(), CropsRecipe(elastic=0.3), ROOM, np.random.default_rng(seed)).mask
        rows = np.arange(len(mask))[:, None]
        lines.append(np.ptp((rows * mask).sum(axis=0)[3:-3] / np.maximum(1, mask.sum(axis=0))[3:-3]))
    assert max(lines) > 4


def test_a_defect_at_an_edge_is_not_turned_and_still_touches_it() -> None:
    recipe = CropsRecipe(rotate_degrees=180, elastic=0.2, blob_scale=0.3)
    for seed in range(20):
        blob = warped(disc(edges=(True, False, False, False)), recipe, ROOM, np.random.default_rng(seed))
        assert blob.edges == (True, False, False, False)
        assert blob.mask[0].sum() > 0.7 * blob.mask.sum(axis=1).max()  # widest at the edge, as it was


def test_one_that_would_not_fit_stays() -> None:
    blob = warped(bar(), CropsRecipe(rotate_degrees=90), (4, 40), np.random.default_rng(1))
    assert blob.mask.shape == (4, 40)
