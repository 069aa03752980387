"""Compute device and precision, each with the reason for the choice."""

import re
from dataclasses import dataclass
from typing import TypeVar

import torch
from torch import nn

from train.errors import TrainError
from train.network_recipe import Model
from train.recipe import Precision, Recipe

Network = TypeVar("Network", bound=nn.Module)


@dataclass(frozen=True)
class Compute:
    """Device and precision in which a network computes."""

    device: torch.device
    dtype: torch.dtype
    reason: str

    def autocast(self) -> torch.autocast:
        """Autocast context for the forward pass."""
        return torch.autocast(self.device.type, dtype=self.dtype, enabled=self.dtype != torch.float32)

    @property
    def batch(self) -> int:
        """Images of a forward pass without gradients: on a processor few, whose features its cache still holds."""
        return 4 if self.device.type == "cpu" else 16

    def place(self, network: Network) -> Network:
        """Move a network to the device, its weights in the channels-last layout; returns it."""
        placed: Network = network.to(self.device).to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        return placed


DEPTHWISE: tuple[Model, ...] = ("can-lite", "unet-lite", "upernet-lite", "patch-memory")
"""Networks of depthwise convolutions, besides those with `network.separable`. Ten times slower in bfloat16 than in
float32 on processors without AVX512-BF16. With it, torch 2.13 takes 1.3 times the time of float32 for a step with
separable dilated layers, and some of its gradients are NaN."""

_BFLOAT16_CHANNELS = 16
"""On a CPU, torch 2.13 computes NaN weight gradients for dilated bfloat16 convolutions in channels-last layout with 20,
24 or 40 input channels; 16, 32, 48 and 64 are correct."""


def compute_of(device: str, recipe: Recipe) -> Compute:
    """Choose the device and the precision for a recipe; see `choose_compute`."""
    networks = [member.network for member in recipe.network.members] or [recipe.network]
    odd = [network.width for network in networks if network.width % _BFLOAT16_CHANNELS]
    depthwise = any(network.model in DEPTHWISE or network.separable for network in networks)
    return choose_compute(device, recipe.run.precision, odd[0] if odd else networks[0].width, depthwise)


def choose_compute(device: str, precision: Precision, width: int = 64, depthwise: bool = False) -> Compute:
    """Choose the device ("auto", "cpu", "cuda", "cuda:1") and the precision. Raises TrainError if it is not available.

    width: number of channels of the network's layers. depthwise: whether most of its convolutions are depthwise.
    """
    if re.fullmatch(r"auto|cpu|cuda(:\d+)?", device) is None:
        raise TrainError(
            f"--device {device}: found no such device, expected auto, cpu, cuda or cuda:N; correct the option"
        )
    if device == "auto":
        device = "cuda" if torch.cuda.is_available() else "cpu"
    if device.startswith("cuda") and not torch.cuda.is_available():
        raise TrainError(
            f"--device {device}: found no CUDA device that torch can use; use --device cpu, or see nvidia-smi"
        )
    chosen = torch.device(device)
    if precision != "auto":
        return Compute(chosen, getattr(torch, precision), f"{precision} as the recipe says")
    if chosen.type == "cuda":
        if torch.cuda.is_bf16_supported(including_emulation=False):
            return Compute(chosen, torch.bfloat16, "bfloat16: supported by this GPU")
        return Compute(chosen, torch.float16, "float16: this GPU has no bfloat16")
    if depthwise:
        return Compute(chosen, torch.float32, "float32: on processors depthwise convolutions in bfloat16 are slower")
    if not _cpu_has_bfloat16():
        return Compute(chosen, torch.float32, "float32: this processor has no bfloat16")
    if width % _BFLOAT16_CHANNELS:
        return Compute(
            chosen,
            torch.float32,
            f"float32: bfloat16 on a CPU needs a width that is a multiple of {_BFLOAT16_CHANNELS}",
        )
    return Compute(chosen, torch.bfloat16, "bfloat16: supported by this processor")


def _cpu_has_bfloat16() -> bool:
    capabilities = torch.backends.cpu.get_cpu_capability()
    return capabilities.startswith("AVX512") and bool(torch.cpu._is_avx512_bf16_supported())
