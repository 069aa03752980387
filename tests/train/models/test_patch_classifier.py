import pytest
import torch
from torch import Tensor, nn

from tests.train.models.test_can_lite import small_encoder
from train.models.can_lite import SIXTEENTH
from train.models.patch_classifier import PatchClassifier, _Judgement


class Given(nn.Module):
    """Gives these values, [C, 1, 1] or [C, h, w], for every picture."""

    def __init__(self, values: Tensor):
        super().__init__()
        self.values = values

    def forward(self, x: Tensor) -> Tensor:
        return self.values.expand(len(x), -1, *x.shape[2:])


class Outline(Given):
    """Of the descriptions of three scales."""

    def described(self, features: tuple[Tensor, ...]) -> Tensor:
        return features[0]


def network_of(
    monkeypatch: pytest.MonkeyPatch, find: Tensor, name: Tensor, outline: Tensor | None = None
) -> PatchClassifier:
    """A network whose heads give these logits for the picture alone, of 6x6 patches."""
    network = PatchClassifier(small_encoder(SIXTEENTH + 1), classes=len(name), width=4).eval()
    network.find = Given(find)  # type: ignore[assignment]
    network.name = Given(name)  # type: ignore[assignment]
    network.outline = Outline(torch.zeros(1, 1, 1) if outline is None else outline)  # type: ignore[assignment]
    monkeypatch.setattr("train.models.patch_classifier.VIEWS", ((),))
    return network


SPOT = torch.zeros(1, 6, 6)
SPOT[:, 2:5, 2:5] = 1


def test_the_strongest_class_has_the_logit_of_a_defect(monkeypatch: pytest.MonkeyPatch) -> None:
    named = torch.tensor([1.0, 2.0, 0.0]).view(3, 1, 1)
    network = network_of(monkeypatch, torch.full((1, 1, 1), 5.0), named)
    inside = network(torch.zeros(1, 1, 48, 48))[0, :, 6, 6]
    assert inside.tolist() == pytest.approx([3, 5, 1])


def test_an_image_has_the_name_of_its_most_defective_patches(monkeypatch: pytest.MonkeyPatch) -> None:
    network = network_of(monkeypatch, 6 * SPOT - 3, torch.cat((1 - SPOT, SPOT)))
    logits = network(torch.zeros(1, 1, 48, 48))[0]
    assert (logits[1] > logits[0]).all()
    assert logits[1].max() > 2


def test_the_largest_logit_is_that_of_the_patches_whatever_the_outline(monkeypatch: pytest.MonkeyPatch) -> None:
    outline = torch.full((1, 12, 12), -20.0)
    outline[:, 5:8, 5:8] = 30
    network = network_of(monkeypatch, 6 * SPOT - 3, torch.zeros(1, 1, 1), outline)
    logits = network(torch.zeros(1, 1, 48, 48))[0, 0]
    assert logits.max().item() == pytest.approx(3)  # the middle of nine patches of 3
    assert (logits > 0).nonzero().amin(dim=0).tolist() == [5, 5]
    assert (logits > 0).nonzero().amax(dim=0).tolist() == [7, 7]


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

    def judged(x: Tensor) -> _Judgement:
        defect, names = found[x.shape[2], x.shape[3]]
        eighth, quarter = ((len(x), 1, x.shape[2] // px, x.shape[3] // px) for px in (8, 4))
        return _Judgement(torch.full(eighth, defect), torch.tensor(names).view(1, 2, 1, 1), torch.zeros(quarter))

    monkeypatch.setattr(network, "_judged", judged)
    logits = network(torch.zeros(1, 1, 48, 96))
    assert list(logits.shape) == [1, 2, 12, 24]
    assert torch.allclose(logits[0, 0], torch.tensor(3.0))
    assert torch.allclose(logits[0, 1], torch.tensor(3.0 - 2 * 1.0))
