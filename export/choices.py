"""Values of the command line's options, apart from the modules that load onnx, engines or scikit-learn."""

from typing import Literal

ENGINES = ("onnxruntime", "openvino", "openvino-bf16", "openvino-fp16", "cpu", "tensorrt", "tensorrt_rtx")
"""Names of `edge.engines.registry.ENGINES`, the default first; a test holds them against it."""

MOST_THREADS = 256
"""That of the line's engine."""

Around = Literal["fp32", "fp16"]
"""Precision of a graph's layers that are not INT8."""

Part = Literal["train", "val", "test", "all"]
"""Part of a split; all needs none."""

Method = Literal["min-max", "percentile", "mse", "entropy"]
"""Method of choosing the range of an activation."""
