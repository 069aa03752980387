import pytest
import torch
from torch import Tensor, nn

from tests.train.models.test_can_lite import small_encoder
from train.models.can_lite import SIXTEENTH
from train.models.patch_classifier import ContextHead, PatchClassifier, described

FEATURES = 2 * 24 + 40 + 112
DESCRIPTION = 2 * FEATURES


@pytest.mark.parametrize(("patches_away", "counts"), [(3, True), (4, False)])
def test_a_patch_is_judged_with_those_around_it(patches_away: int, counts: bool) -> None:
    torch.manual_seed(0)
    head = ContextHead(DESCRIPTION, 8).eval()
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


class Given(nn.Module):
    """Gives these values, [C, 1, 1] or [C, h, w], for every picture."""

    def __init__(self, values: Tensor):
        super().__init__()
        self.values = values

    def forward(self, x: Tensor) -> Tensor:
        return self.values.expand(len(x), -1, *x.shape[2:])


def test_the_strongest_class_has_the_logit_of_a_defect(monkeypatch: pytest.MonkeyPatch) -> None:
    network = PatchClassifier(small_encoder(SIXTEENTH + 1), classes=3, width=4)
    network.find = Given(torch.tensor([5.0]).view(1, 1, 1))  # type: ignore[assignment]
    network.name = Given(torch.tensor([1.0, 2.0, 0.0]).view(3, 1, 1))  # type: ignore[assignment]
    monkeypatch.setattr(network, "describe", lambda x: torch.zeros(len(x), DESCRIPTION, 6, 6))
    inside = network(torch.zeros(1, 1, 48, 48))[0, :, 6, 6]
    assert inside.tolist() == pytest.approx([3, 5, 1])


def test_an_image_has_the_name_of_its_most_defective_patches(monkeypatch: pytest.MonkeyPatch) -> None:
    network = PatchClassifier(small_encoder(SIXTEENTH + 1), classes=2, width=4).eval()
    defective = torch.zeros(1, 6, 6)
    defective[:, 2:5, 2:5] = 1
    network.find = Given(6 * defective - 3)  # type: ignore[assignment]
    network.name = Given(torch.cat((1 - defective, defective)))  # type: ignore[assignment]
    monkeypatch.setattr(network, "describe", lambda x: torch.zeros(len(x), DESCRIPTION, 6, 6))
    monkeypatch.setattr("train.models.patch_classifier.VIEWS", ((),))
    logits = network(torch.zeros(1, 1, 48, 48))[0]
    assert (logits[1] > logits[0]).all()
    assert logits[1].max() > 2


def test_an_image_is_seen_at_each_size_as_shares_of_its_own() -> None:
    network = PatchClassifier(small_encoder(SIXTEENTH + 1), 2, 4, scales=((1, 0.667), (0.667, 1), (0.01, 1))).eval()
    seen = []
    network.encoder.register_forward_hook(lambda _, given, __: seen.append(tuple(given[0].shape[2:])))
    assert network.sizes(384, 432) == [(384, 288), (256, 432), (16, 432)]
    logits = network(torch.zeros(1, 1, 384, 432))
    assert list(logits.shape) == [1, 2, 96, 108]
    assert seen == [(384, 288)] * 3 + [(256, 432)] * 3 + [(16, 432)] * 3


def test_what_is_found_at_each_size_is_averaged(monkeypatch: pytest.MonkeyPatch) -> None:
    network = PatchClassifier(small_encoder(SIXTEENTH + 1), 2, 4, scales=((1, 1), (1, 0.5))).eval()
    found = {(48, 96): (4.0, [0.0, 1.0]), (48, 48): (2.0, [3.0, 0.0])}

    def judged(x: Tensor) -> tuple[Tensor, Tensor]:
        defect, names = found[x.shape[2], x.shape[3]]
        grid = (len(x), 1, x.shape[2] // 8, x.shape[3] // 8)
        return torch.full(grid, defect), torch.tensor(names).view(1, 2, 1, 1)

    monkeypatch.setattr(network, "_judged", judged)
    logits = network(torch.zeros(1, 1, 48, 96))
    assert list(logits.shape) == [1, 2, 12, 24]
    assert torch.allclose(logits[0, 0], torch.tensor(3.0))
    assert torch.allclose(logits[0, 1], torch.tensor(3.0 - 2 * 1.0))
