import pytest
import torch

from train.models.patch_classifier import DESCRIPTION, FEATURES, ContextHead, described


@pytest.mark.parametrize(("patches_away", "counts"), [(3, True), (4, False)])
def test_a_patch_is_judged_with_those_around_it(patches_away: int, counts: bool) -> None:
    torch.manual_seed(0)
    head = ContextHead(8).eval()
    descriptions = torch.randn(1, DESCRIPTION, 9, 9)
    before = head(descriptions)[0, 0, 4, 4]
    descriptions[:, :, 4, 4 + patches_away] += 1
    assert bool(head(descriptions)[0, 0, 4, 4] != before) is counts


def test_a_description_is_the_features_and_their_difference_from_the_picture() -> None:
    features = torch.randn(1, FEATURES, 4, 4)
    brighter = described(2 * features + 3)
    plain = described(features)
    assert torch.equal(plain[:, :FEATURES], features)
    assert torch.allclose(plain[:, FEATURES:].mean(dim=(2, 3)), torch.zeros(FEATURES), atol=1e-5)
    assert torch.allclose(plain[:, FEATURES:], brighter[:, FEATURES:], atol=0.2)
