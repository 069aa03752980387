"""Which device computes, and in which precision, each with its reason."""

from dataclasses import dataclass
from typing import TypeVar

import torch
from torch import nn

from train.errors import TrainError
from train.recipe import Precision

Network = TypeVar("Network", bound=nn.Module)


@dataclass(frozen=True)
class Compute:
    """Where and how the network computes."""

    device: torch.device
    dtype: torch.dtype
    reason: str

    def autocast(self) -> torch.autocast:
        """The context in which the network runs."""
        return torch.autocast(self.device.type, dtype=self.dtype, enabled=self.dtype != torch.float32)

    def place(self, network: Network) -> Network:
        """Move a network to the device, its weights in the channels-last layout; returns it."""
        placed: Network = network.to(self.device).to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        return placed


_BFLOAT16_CHANNELS = 16
"""On a processor torch 2.13 computes weight gradients that are no numbers for dilated bfloat16 convolutions, channels
last, that read 20, 24 or 40 channels; 16, 32, 48 and 64 are right."""


def choose_compute(device: str, precision: Precision, width: int = 64) -> Compute:
    """Choose the device ("auto", "cpu", "cuda", "cuda:1") and the precision. Raises TrainError if it is not there.

    width: channels of the network's layers.
    """
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
            return Compute(chosen, torch.bfloat16, "bfloat16: this GPU computes in it")
        return Compute(chosen, torch.float16, "float16: this GPU has no bfloat16")
    if width % _BFLOAT16_CHANNELS:
        return Compute(chosen, torch.float32, f"float32: bfloat16 wants a width in steps of {_BFLOAT16_CHANNELS} here")
    if _cpu_has_bfloat16():
        return Compute(chosen, torch.bfloat16, "bfloat16: this processor computes in it")
    return Compute(chosen, torch.float32, "float32: this processor has no bfloat16")


def _cpu_has_bfloat16() -> bool:
    capabilities = torch.backends.cpu.get_cpu_capability()
    return capabilities.startswith("AVX512") and bool(torch.cpu._is_avx512_bf16_supported())
