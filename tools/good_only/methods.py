"""Methods that are compared with the memory of patches, on the same features of the same frozen encoder.

Each has a method `fit` of good pictures and gives one score per picture, the higher the less it looks like them.
"""

import math
from itertools import pairwise
from typing import cast

import torch
from torch import Tensor, nn
from torch.nn import functional

from train.models.network import NormalisedNetwork, image_scores
from train.models.patch_memory import PatchMemory

BATCH = 8
"""Pictures of an optimiser step."""
_LEARNING_RATE = 1e-3


class StudentTeacher(nn.Module):
    """A student that imitates the encoder's features on good parts, and does not on others.

    Batzner, Heckler, König: EfficientAD (WACV 2024), equations 1 and 2, without the autoencoder and without the
    penalty on other pictures, of which there are none here. The score of a patch is the squared difference of its
    features, each in the mean of held-out good parts. The student sees 127 pixels around a patch.
    """

    usual: Tensor

    def __init__(self, teacher: NormalisedNetwork, channels: int, width: int = 96):
        super().__init__()
        self.teacher = teacher
        sides = (channels, width // 4, width // 2, width)
        self.shrink = nn.ModuleList(
            nn.Conv2d(read, made, kernel_size=3, stride=2, padding=1) for read, made in pairwise(sides)
        )
        self.context = nn.ModuleList(
            nn.Conv2d(width, width, kernel_size=3, padding=step, dilation=step) for step in (1, 2, 4)
        )
        self.imitate = nn.Conv2d(width, feature_count(teacher), kernel_size=1)
        self.register_buffer("usual", torch.ones(1, feature_count(teacher), 1, 1))

    def forward(self, frames: Tensor) -> Tensor:
        """Scores [B] of frames, uint8 [B, channels, H, W]."""
        errors = (self._imitated(frames) - features(self.teacher, frames)).square() / self.usual
        return image_scores(errors.mean(dim=1, keepdim=True))[:, 0]

    def fit(self, good: Tensor, held_out: Tensor, steps: int, generator: torch.Generator) -> None:
        """Train the student with good pictures; take the mean error of held-out ones, uint8 [N, channels, H, W]."""
        wanted = torch.cat([features(self.teacher, some) for some in torch.split(good, BATCH)])
        weights = [*self.shrink.parameters(), *self.context.parameters(), *self.imitate.parameters()]
        optimiser, curve = _optimiser(weights, steps)
        for _ in range(steps):
            rows = torch.randint(len(good), (BATCH,), generator=generator)
            errors = (self._imitated(good[rows]) - wanted[rows]).square()
            hardest = errors.flatten().topk(errors.numel() // 1000).values  # p_hard = 0.999
            _step(errors.mean() + hardest.mean(), optimiser, curve)
        with torch.no_grad():
            means = [
                (self._imitated(some) - features(self.teacher, some)).square().mean(dim=(2, 3))
                for some in torch.split(held_out, BATCH)
            ]
        self.usual = torch.cat(means).mean(dim=0).view(1, -1, 1, 1)

    def _imitated(self, frames: Tensor) -> Tensor:
        x = self.teacher.prepared(frames)
        for layer in self.shrink:
            x = functional.relu(layer(x))
        for layer in self.context:
            x = x + functional.relu(layer(x))
        imitated: Tensor = self.imitate(x)
        return imitated


class NoiseDiscriminator(nn.Module):
    """Two heads that tell features from features with noise in some regions.

    Rolih, Fučka, Skočaj: SuperSimpleNet (ICPR 2024), section 3: feature adaptor, noise in regions of Perlin noise,
    segmentation head, classification head with gradients of its own. The classification head has 3x3 kernels and 64
    channels in the place of 5x5 and 128, for a processor.
    """

    def __init__(self, encoder: NormalisedNetwork, noise: float, width: int = 1024, context: int = 64):
        """noise: deviation of the added noise, in deviations of the features of good parts."""
        super().__init__()
        self.encoder, self.noise = encoder, noise
        count = feature_count(encoder)
        self.adapt = nn.Conv2d(count, count, kernel_size=1, bias=False)
        self.segment = nn.Sequential(
            nn.Conv2d(count, width, kernel_size=1), nn.BatchNorm2d(width), nn.ReLU(), nn.Conv2d(width, 1, 1)
        )
        self.gather = nn.Sequential(
            nn.Conv2d(count + 1, context, kernel_size=3, padding=1), nn.BatchNorm2d(context), nn.ReLU()
        )
        self.classify = nn.Linear(2 * context + 2, 1)

    def forward(self, frames: Tensor) -> Tensor:
        """Scores [B] of frames, uint8 [B, channels, H, W]."""
        return self._logits(self.adapt(features(self.encoder, frames)))[1]

    def fit(self, good: Tensor, held_out: Tensor, steps: int, generator: torch.Generator) -> None:
        """Train both heads on features of good pictures, uint8 [N, channels, H, W]; held-out ones are not needed."""
        known = torch.cat([features(self.encoder, some) for some in torch.split(good, BATCH)])
        own = [*self.adapt.parameters(), *self.segment.parameters(), *self.gather.parameters()]
        optimiser, curve = _optimiser([*own, *self.classify.parameters()], steps)
        self.train()
        self.encoder.eval()
        for _ in range(steps):
            rows = torch.randint(len(known), (BATCH,), generator=generator)
            adapted = self.adapt(known[rows]).repeat(2, 1, 1, 1)  # without and with noise
            regions = noise_regions(2 * BATCH, adapted.shape[2], adapted.shape[3], generator)
            regions[:BATCH] = 0
            noise = self.noise * torch.randn(adapted.shape, generator=generator)
            maps, scores = self._logits(adapted + regions * noise)
            loss = _truncated(maps, regions) + _focal(maps, regions)
            _step(loss + _focal(scores, regions.amax(dim=(1, 2, 3))), optimiser, curve)
        self.eval()

    def _logits(self, adapted: Tensor) -> tuple[Tensor, Tensor]:
        """Logits of patches [B, 1, h, w] and of pictures [B]."""
        maps = self.segment(adapted)
        gathered = self.gather(torch.cat((adapted, maps), dim=1).detach())
        pooled = [values for x in (maps.detach(), gathered) for values in (x.amax(dim=(2, 3)), x.mean(dim=(2, 3)))]
        return maps, self.classify(torch.cat(pooled, dim=1))[:, 0]


@torch.no_grad()
def features(network: NormalisedNetwork, frames: Tensor) -> Tensor:
    """Features of patches in deviations of the good ones, [B, F, H / 8, W / 8], of a filled `PatchMemory`."""
    memory = cast(PatchMemory, network.body)
    return memory.limited(memory.features(network.prepared(frames))) * math.sqrt(feature_count(network))


def feature_count(network: NormalisedNetwork) -> int:
    """Number of features of a patch."""
    return cast(PatchMemory, network.body).shift.shape[1]


def noise_regions(count: int, height: int, width: int, generator: torch.Generator) -> Tensor:
    """Random smooth regions, 0 or 1, float [count, 1, height, width]: a fifth of each, of two scales.

    Interpolated lattices of random numbers, as in the noise of Perlin (SIGGRAPH 1985).
    """
    field = torch.zeros(count, 1, height, width)
    for cells in (3, 6):
        lattice = torch.randn(count, 1, cells, cells, generator=generator)
        field += functional.interpolate(lattice, (height, width), mode="bicubic", align_corners=True) * 3 / cells
    return (field > torch.quantile(field.flatten(1), 0.8, dim=1).view(-1, 1, 1, 1)).float()


def _truncated(logits: Tensor, truth: Tensor, margin: float = 0.5) -> Tensor:
    """Truncated L1 loss; SimpleNet (Liu et al., CVPR 2023), equation 7."""
    distance = functional.relu(margin - logits * (2 * truth - 1))
    return (distance * truth).sum() / truth.sum() + (distance * (1 - truth)).sum() / (1 - truth).sum()


def _focal(logits: Tensor, truth: Tensor, gamma: float = 4.0) -> Tensor:
    """Focal loss (Lin et al., ICCV 2017)."""
    losses = functional.binary_cross_entropy_with_logits(logits, truth, reduction="none")
    return ((1 - torch.exp(-losses)) ** gamma * losses).mean()


def _optimiser(
    weights: list[nn.Parameter], steps: int
) -> tuple[torch.optim.Optimizer, torch.optim.lr_scheduler.OneCycleLR]:
    optimiser = torch.optim.AdamW(weights, _LEARNING_RATE, weight_decay=1e-5)
    return optimiser, torch.optim.lr_scheduler.OneCycleLR(optimiser, _LEARNING_RATE, steps)


def _step(loss: Tensor, optimiser: torch.optim.Optimizer, curve: torch.optim.lr_scheduler.OneCycleLR) -> None:
    optimiser.zero_grad()
    loss.backward()  # type: ignore[no-untyped-call]
    optimiser.step()
    curve.step()
