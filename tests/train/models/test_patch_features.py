import pytest
import torch

from tests.train.models.test_can_lite import small_encoder
from train.models.can_lite import SIXTEENTH
from train.models.patch_features import Descriptions, PatchFeatures, described

FEATURES = 7


def test_a_description_is_the_features_and_their_difference_from_the_picture() -> None:
    features = torch.randn(1, FEATURES, 4, 4)
    brighter = described(2 * features + 3)
    plain = described(features)
    assert torch.equal(plain[:, :FEATURES], features)
    assert torch.allclose(plain[:, FEATURES:].mean(dim=(2, 3)), torch.zeros(FEATURES), atol=1e-5)
    assert torch.allclose(plain[:, FEATURES:], brighter[:, FEATURES:], atol=0.2)


def test_descriptions_of_good_pictures_are_normalised() -> None:
    torch.manual_seed(0)
    sizes = [5 + 3 * torch.randn(8, FEATURES, 6, width) for width in (4, 9)]
    descriptions = Descriptions(FEATURES)
    descriptions.fit(sizes)
    values = torch.cat([descriptions(one).transpose(0, 1).flatten(1) for one in sizes], dim=1)
    assert torch.allclose(values.mean(dim=1), torch.zeros(2 * FEATURES), atol=1e-4)
    assert values.std(dim=1).tolist() == pytest.approx([1] * 2 * FEATURES, abs=0.01)


def test_patches_hold_the_features_of_three_scales() -> None:
    features = PatchFeatures.of(small_encoder(SIXTEENTH + 1).eval(), torch.randn(2, 1, 48, 32))
    assert [tuple(scale.shape[2:]) for scale in features] == [(12, 8), (6, 4), (3, 2)]
    patches = features.patches()
    assert list(patches.shape) == [2, 2 * 24 + 40 + 112, 6, 4]
    assert torch.allclose(patches[:, 24:48], features.quarter.unfold(2, 2, 2).unfold(3, 2, 2).amax(dim=(4, 5)))
