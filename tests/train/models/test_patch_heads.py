import pytest
import torch

from train.models.can_lite import EIGHTH, QUARTER, SIXTEENTH
from train.models.patch_features import PatchFeatures
from train.models.patch_heads import FindHead, OutlineHead

CHANNELS = {QUARTER: 3, EIGHTH: 4, SIXTEENTH: 5}


@pytest.mark.parametrize(("patches_away", "counts"), [(3, True), (4, False)])
def test_a_patch_is_judged_with_those_around_it(patches_away: int, counts: bool) -> None:
    torch.manual_seed(0)
    head = FindHead(12, 8).eval()
    descriptions = torch.randn(1, 12, 9, 9)
    before = head(descriptions)[0, 0, 4, 4]
    descriptions[:, :, 4, 4 + patches_away] += 1
    assert bool(head(descriptions)[0, 0, 4, 4] != before) is counts


def features(height: int, width: int) -> PatchFeatures:
    sizes = [(height // px, width // px) for px in (4, 8, 16)]
    return PatchFeatures(*(torch.randn(2, count, *size) for count, size in zip(CHANNELS.values(), sizes, strict=True)))


@pytest.mark.parametrize("scale", [0, 1, 2])
def test_an_outline_depends_on_each_scale(scale: int) -> None:
    torch.manual_seed(0)
    head = OutlineHead(CHANNELS, 8).eval()
    seen = features(48, 64)
    logits = head(head.described(seen))
    assert list(logits.shape) == [2, 1, 12, 16]
    seen[scale][0, :, 0, 0] += 2
    changed = (head(head.described(seen)) != logits).flatten(1).any(dim=1)
    assert changed.tolist() == [True, False]


def test_an_untrained_outline_shows_hardly_a_defect() -> None:
    torch.manual_seed(0)
    head = OutlineHead(CHANNELS, 8).eval()
    assert torch.sigmoid(head(head.described(features(48, 64)))).mean() < 0.3
