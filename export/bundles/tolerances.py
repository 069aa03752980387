"""How far an engine may lie from a bundle's golden outputs, for each precision.

Measured on the network of the demo (width 32, pooling 4) with onnxruntime on the CPU, 48 drawn and 60 test frames.
"""

from collections.abc import Mapping
from types import MappingProxyType

from bundle import Precision, Tolerance

TOLERANCES: Mapping[Precision, Tolerance] = MappingProxyType(
    {
        # Another order of summation gives 1e-6. TF32, which a GPU may use, rounds as float16 does, but sums in float32.
        "fp32": Tolerance(score=0.01, mask=4),
        # float16 against float32: 0.008 and 4. Engines sum in widths of their own.
        "fp16": Tolerance(score=0.02, mask=8),
        # The same INT8 layers with the rest in float16 instead of float32, which flips ties of the rounding as another
        # engine does: 0.034 and 17.
        "int8": Tolerance(score=0.07, mask=34),
    }
)
