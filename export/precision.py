"""How far an engine may lie from a bundle's golden outputs, for each precision."""

from collections.abc import Mapping
from types import MappingProxyType

from bundle import Precision, Tolerance

TOLERANCES: Mapping[Precision, Tolerance] = MappingProxyType(
    {
        # Another order of summation, or TF32's 10 bits in the convolutions: some 0.01 of a logit, a quarter of it in p.
        "fp32": Tolerance(score=0.005, mask=2),
        # 11 bits through 14 layers, accumulated by each engine in its own width.
        "fp16": Tolerance(score=0.02, mask=6),
        # Engines break ties of the rounding differently, which is one step of a layer's scale (1/127 of its range).
        "int8": Tolerance(score=0.06, mask=16),
    }
)
