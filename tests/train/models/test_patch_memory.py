import math

import pytest
import torch
from torch import Tensor, nn

from train.models.can_lite import EIGHTH, SIXTEENTH, LiteEncoder
from train.models.patch_memory import PatchMemory, farthest_first


class Scaled(nn.Module):
    """A stage that halves the size and repeats its first channel, each time with another factor."""

    def __init__(self, channels: int, halves: bool):
        super().__init__()
        self.channels, self.halves = channels, halves

    def forward(self, x: Tensor) -> Tensor:
        x = nn.functional.avg_pool2d(x, 2) if self.halves else x
        factors = torch.linspace(0.5, 1.5, self.channels).view(1, -1, 1, 1)
        return x[:, :1] * factors


FEATURES = 40 + 112


def encoder() -> LiteEncoder:
    stages = [Scaled(16, False), Scaled(24, True), Scaled(40, True), Scaled(80, True), Scaled(112, False)]
    return LiteEncoder(Scaled(32, True), stages, {EIGHTH: 40, SIXTEENTH: 112})


def seeded() -> torch.Generator:
    return torch.Generator().manual_seed(5)


def filled(patches: int = 40) -> tuple[PatchMemory, Tensor]:
    memory = PatchMemory(encoder(), patches).eval()
    good = torch.randn(6, 1, 64, 32, generator=seeded())
    rows = memory.features(good).permute(0, 2, 3, 1).flatten(0, 2)
    memory.remember(rows, seeded())
    return memory, good


def test_distances_are_those_to_the_nearest_entry() -> None:
    memory, _ = filled()
    x = torch.randn(2, 1, 64, 32, generator=seeded()) * 2
    patches = memory.limited(memory.features(x)).permute(0, 2, 3, 1).flatten(0, 2)
    entries = -memory.memory[:, :, 0, 0] / 2
    nearest = torch.cdist(patches, entries).amin(dim=1).view(2, 1, 8, 4)
    expected = nn.functional.interpolate(nearest, scale_factor=2.0, mode="bilinear", align_corners=False)
    assert torch.allclose(memory.distances(x), expected, atol=1e-3)


def test_a_picture_in_a_memory_of_all_its_patches_has_distance_0() -> None:
    memory, good = filled(patches=6 * 8 * 4)
    assert float(memory.distances(good).max()) < 0.03  # the root of what float32 loses of a sum of squares near 100


def test_a_strange_picture_is_farther_than_a_good_one() -> None:
    memory, good = filled()
    strange = good.clone()
    strange[:, :, 16:32, 8:16] += 6
    assert float(memory.distances(strange).amax()) > 2 * float(memory.distances(good).amax())


def test_features_far_from_all_are_limited() -> None:
    memory, good = filled()
    assert float(memory.distances(good + 1e6).max()) <= 2 * 8.0 + 1e-3


def test_few_patches_fill_a_larger_memory() -> None:
    chosen = farthest_first(torch.tensor([[0.0], [4.0], [1.0]]), 5, seeded())
    assert set(chosen.tolist()) == {0, 1, 2}


def test_the_farthest_patch_is_taken_next() -> None:
    chosen = farthest_first(torch.tensor([[0.0], [0.1], [0.2], [9.0], [5.0]]), 3, seeded()).tolist()
    assert 3 in chosen[:2]
    assert chosen[2] in {0, 1, 2, 4}
    assert len(set(chosen)) == 3


@pytest.mark.parametrize(("share", "rejected"), [(0.0, 0), (0.02, 2), (0.1, 10)])
def test_score_one_half_rejects_the_share_of_held_out_parts(share: float, rejected: int) -> None:
    memory, _ = filled()
    distances = torch.linspace(1.0, 2.0, 100)
    memory.calibrate(distances, share)
    scores = torch.sigmoid(memory.slope * (distances - memory.middle))
    assert int((scores >= 0.5).sum()) == rejected
    assert math.isclose(float(scores.median()), 0.1, abs_tol=0.02)


def test_equal_held_out_distances_give_a_finite_slope() -> None:
    memory, _ = filled()
    memory.calibrate(torch.full((4,), 1.5), 0.02)
    assert math.isfinite(float(memory.slope))


def test_logits_have_a_quarter_of_the_sides() -> None:
    memory, good = filled()
    assert memory(good).shape == (6, 1, 16, 8)
    assert memory.memory.shape[1] == FEATURES
