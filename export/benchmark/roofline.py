"""Roofline model: lower bound of a network's time by a GPU's arithmetic and memory bandwidth."""

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

from bundle import Precision
from export.benchmark.op_counts import KernelWork, Work

Rates = tuple[int, int, int]
"""Dense multiplications with addition that one multiprocessor does a clock: TF32, FP16, INT8."""

RATES: Mapping[str, Rates] = MappingProxyType(
    {
        # Peak of the named document divided by (2 x multiprocessors x clock).
        "8.0": (512, 1024, 2048),  # A100 whitepaper: 312 TFLOPS FP16, 624 TOPS INT8, 108 at 1.41 GHz
        "8.6": (128, 512, 1024),  # GA102 whitepaper, RTX 3090: 142 TFLOPS FP16 (FP16 sums), 284 TOPS, 82 at 1.695 GHz
        "8.7": (512, 1024, 2048),  # AGX Orin technical brief: 170 TOPS sparse INT8, 85 dense, 16 at 1.3 GHz
        "8.9": (128, 512, 1024),  # Ada whitepaper, RTX 4090: 330 TFLOPS FP16 (FP16 sums), 661 TOPS, 128 at 2.52 GHz
        "9.0": (1024, 2048, 4096),  # H100 whitepaper, SXM5: 989 TFLOPS FP16, 1979 TOPS, 132 at 1.83 GHz
        "11.0": (2048, 4096, 8192),  # Jetson Thor: 2070 TFLOPS sparse FP4, an eighth of it FP16, 20 at 1.575 GHz
        "12.0": (128, 512, 1024),  # RTX Blackwell whitepaper, RTX 5090: 419 TFLOPS FP16, 838 TOPS, 170 at 2.407 GHz
    }
)
"""By compute capability. TF32 stands for fp32: TensorRT uses it unless it is told not to."""

PLACES: Mapping[Precision, int] = MappingProxyType({"fp32": 0, "fp16": 1, "int8": 2})


BOARDS: Mapping[str, tuple[str, tuple[int, int], float]] = MappingProxyType(
    {
        # Compute capability, multiprocessors and clock in kHz, memory in bytes/s.
        # NVIDIA data sheet DS-11105-001: 1024 CUDA cores, at most 625 MHz; 128 bit LPDDR5; 20 dense INT8 TOPS.
        "Orin Nano 8GB": ("8.7", (8, 625_000), 68e9),
        # As its users quote the data sheet of December 2024: 1.02 GHz, 102 GB/s, 67 sparse INT8 TOPS, so 33.5 dense.
        "Orin Nano 8GB Super": ("8.7", (8, 1_020_000), 102e9),
        # deviceQuery on a module: 8 multiprocessors, 918 MHz. Memory assumed: 128 bit LPDDR5 at 6400 MT/s.
        "Orin NX 16GB": ("8.7", (8, 918_000), 102.4e9),
        # AGX Orin technical brief: 170 sparse INT8 TOPS of the GPU at 1.3 GHz. Memory assumed: 256 bit at 6400 MT/s.
        "AGX Orin 64GB": ("8.7", (16, 1_300_000), 204.8e9),
        # CUDA reports 20 multiprocessors (NVIDIA forum, topic 356355); the clock follows from 2070 sparse FP4 TFLOPS.
        "Thor T5000": ("11.0", (20, 1_575_000), 273e9),
    }
)
"""Jetson modules at their highest clocks, for projections; the source of each in its comment."""


@dataclass(frozen=True)
class Peak:
    """Peak rates of one GPU at the clocks that CUDA reports."""

    macs_per_s: Mapping[Precision, float]
    bytes_per_s: float
    source: str
    """Device attributes behind the rates, for the report."""


@dataclass(frozen=True)
class Roofline:
    """Lower bounds of the time for one run of a network."""

    layered_s: float
    """Sum over the kernels of max(macs / peak, bytes / bandwidth): every kernel reads and writes memory."""
    fused_s: float
    """max(sum of macs / peak, bytes of frames, weights and outputs / bandwidth): activations stay on the chip."""


def peak_of(
    compute_capability: str,
    multiprocessors: int,
    clock_khz: int,
    memory_clock_khz: int,
    bus_bits: int,
    bytes_per_s: float | None = None,
) -> Peak | None:
    """Peak rates of a device from its CUDA attributes; None for an unknown compute capability.

    bytes_per_s: the memory's bandwidth by the data sheet; without it 2 * clock * bus width / 8, as of memory with two
    transfers a clock. A Jetson reports another clock than its memory's, so it must be given there.
    """
    rates = RATES.get(compute_capability)
    bandwidth = bytes_per_s or 2 * memory_clock_khz * 1e3 * bus_bits / 8
    if rates is None or not bandwidth:
        return None
    per_s = {precision: rates[place] * multiprocessors * clock_khz * 1e3 for precision, place in PLACES.items()}
    memory = "by the data sheet" if bytes_per_s else f"= 2 x {memory_clock_khz / 1e3:.0f} MHz x {bus_bits} bit"
    source = (
        f"{multiprocessors} multiprocessors at {clock_khz / 1e3:.0f} MHz, {rates[0]}, {rates[1]}, {rates[2]} "
        f"multiplications each a clock in TF32, FP16, INT8; memory {bandwidth / 1e9:.0f} GB/s {memory}"
    )
    return Peak(per_s, bandwidth, source)


def roofline(work: Work, peak: Peak) -> Roofline:
    """Lower bounds of a network's time on a device (S. Williams et al., Roofline, CACM 52(4), 2009)."""
    layered = sum(shortest_s(kernel, peak) for kernel in work.kernels)
    compute = sum(_compute_s(kernel, peak) for kernel in work.kernels)
    return Roofline(layered, max(compute, work.fused_nbytes / peak.bytes_per_s))


def shortest_s(kernel: KernelWork, peak: Peak) -> float:
    """Lower bound of the time of one kernel that reads and writes memory."""
    return max(_compute_s(kernel, peak), kernel.nbytes / peak.bytes_per_s)


def _compute_s(kernel: KernelWork, peak: Peak) -> float:
    return kernel.macs / peak.macs_per_s[kernel.precision]
