import torch
from torch import nn

from train.models.can_lite import LAST, SIXTEENTH, LiteContext, LiteEncoder, LiteUNet

STRIDES = {0: 1, 1: 2, 2: 2, 3: 2, 4: 1, 5: 2, 6: 1}
"""Of the stages behind the stem, as EfficientNet-Lite0 has them."""
CHANNELS = {0: 16, 1: 24, 2: 40, 4: 112, 6: 320}
WIDTHS = CHANNELS | {3: 80, 5: 192}


def small_encoder(stages: int) -> LiteEncoder:
    """An encoder of single convolutions with the strides and channels of the real one."""
    read, made = 32, []
    for number in range(stages):
        made.append(nn.Conv2d(read, WIDTHS[number], 3, stride=STRIDES[number], padding=1))
        read = WIDTHS[number]
    return LiteEncoder(nn.Conv2d(1, 32, 3, stride=2, padding=1), made, CHANNELS)


def test_features_come_at_the_scales_that_the_decoder_joins() -> None:
    features = small_encoder(LAST + 1)(torch.zeros(1, 1, 64, 32))
    assert {number: tuple(x.shape[1:]) for number, x in features.items()} == {
        0: (16, 32, 16),
        1: (24, 16, 8),
        2: (40, 8, 4),
        4: (112, 4, 2),
        6: (320, 2, 1),
    }


def test_logits_come_at_half_the_input_size() -> None:
    context = LiteContext(small_encoder(SIXTEENTH + 1), classes=3, width=8, prior=0.02)
    plain = LiteUNet(small_encoder(LAST + 1), classes=3, width=8, prior=0.02)
    assert context(torch.zeros(2, 1, 48, 32)).shape == (2, 3, 24, 16)
    assert plain(torch.zeros(2, 1, 64, 32)).shape == (2, 3, 32, 16)


def test_context_reaches_across_the_image() -> None:
    """A convolution on the finest features sees its neighbours; the dilated layers see the far corner."""
    torch.manual_seed(0)
    network = LiteContext(small_encoder(SIXTEENTH + 1), classes=1, width=8).eval().double()
    frames = torch.zeros(1, 1, 256, 32, dtype=torch.float64)
    changed = frames.clone()
    changed[..., :16, :] = 100
    with torch.inference_mode():
        difference = (network(changed) - network(frames)).abs()[0, 0].amax(dim=1)
    assert difference[-1] > 0


def test_separable_context_layers() -> None:
    network = LiteContext(small_encoder(SIXTEENTH + 1), classes=1, width=8, separable=True)
    assert [layer[0].groups for layer in network.context.layers] == [16, *[8] * 7, *[16] * 5]
    assert network(torch.zeros(1, 1, 48, 32)).shape == (1, 1, 24, 16)


def test_freezing_takes_the_stem_along() -> None:
    encoder = small_encoder(SIXTEENTH + 1)
    assert encoder.first(0) == []
    assert encoder.first(2) == [encoder.stem, encoder.stages[0], encoder.stages[1]]
