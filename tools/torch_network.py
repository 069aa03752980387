"""A bundle's graph run by torch, as a comparison with TensorRT or a substitute for it."""

from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
import onnx
import torch
from onnx import helper, numpy_helper
from torch import Tensor
from torch.nn import functional

from bundle import Bundle, Manifest
from bundle.golden import Infer
from edge.engines.tensorrt_.driver import Memory, Stream
from edge.errors import DeviceError, EngineError
from export.benchmark.acceptance_rivals import first_line

TYPES = {
    onnx.TensorProto.FLOAT: torch.float32,
    onnx.TensorProto.FLOAT16: torch.float16,
    onnx.TensorProto.UINT8: torch.uint8,
}

Given = dict[str, Any]
"""Attributes of an ONNX node."""


def _convolution(given: Given, x: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
    height, width, below, right = given.get("pads", (0, 0, 0, 0))
    assert (height, width) == (below, right), "torch pads both sides alike"
    return functional.conv2d(
        x, weight, bias, given.get("strides", 1), (height, width), given.get("dilations", 1), given.get("group", 1)
    )


def _pooling(given: Given, x: Tensor) -> Tensor:
    assert not any(given.get("pads", ())), "the network's pooling pads nothing"
    return functional.avg_pool2d(x, given["kernel_shape"], given["strides"])


def _largest(given: Given, x: Tensor, axes: Tensor) -> Tensor:
    return x.amax(dim=(2, 3), keepdim=bool(given.get("keepdims", 1)))


OPERATORS: dict[str, Callable[..., Tensor]] = {
    "Add": lambda given, a, b: a + b,
    "AveragePool": _pooling,
    "Cast": lambda given, x: x.to(TYPES[given["to"]]),
    "Concat": lambda given, *several: torch.cat(several, dim=given["axis"]),
    "Conv": _convolution,
    "Floor": lambda given, x: x.floor(),
    "LeakyRelu": lambda given, x: functional.leaky_relu(x, given.get("alpha", 0.01)),
    "Mul": lambda given, a, b: a * b,
    "ReduceMax": _largest,
    "Sigmoid": lambda given, x: x.sigmoid(),
}


class TorchNetwork(torch.nn.Module):
    """Runs a float graph node by node. Raises EngineError for an operator that is not implemented here."""

    def __init__(self, model: onnx.ModelProto, device: str) -> None:
        super().__init__()
        unknown = {node.op_type for node in model.graph.node} - set(OPERATORS)
        if {"QuantizeLinear", "DequantizeLinear"} & unknown:
            raise EngineError(f"torch {torch.__version__}: has no INT8 convolution for a GPU")
        if unknown:
            raise EngineError(
                f"torch {torch.__version__}: found {', '.join(sorted(unknown))}, which is not played here"
            )
        self._constants = {
            tensor.name: _laid_out(torch.from_numpy(numpy_helper.to_array(tensor).copy()).to(device))
            for tensor in model.graph.initializer
        }
        self._steps = [
            (
                partial(OPERATORS[node.op_type], {a.name: helper.get_attribute_value(a) for a in node.attribute}),
                tuple(node.input),
                node.output[0],
            )
            for node in model.graph.node
        ]

    def forward(self, frames: Tensor) -> tuple[Tensor, Tensor]:
        """Scores float32 [N, C] and masks uint8 [N, C, h, w] of frames uint8 [N, C, H, W]."""
        values = dict(self._constants, frames=_laid_out(frames))
        for operator, inputs, output in self._steps:
            values[output] = operator(*(values[name] for name in inputs if name))
        return values["scores"], values["masks"]


def _laid_out(tensor: Tensor) -> Tensor:
    """Channels last, in which torch's convolutions are fastest on a GPU."""
    return tensor.contiguous(memory_format=torch.channels_last) if tensor.ndim == 4 else tensor


def open_torch(bundle: Bundle, compiled: bool = False, device: str = "cuda") -> Infer:
    """Open a bundle with torch: page-locked frames in, outputs in host memory. Raises EngineError if there is no GPU.

    compiled: use torch.compile in the mode reduce-overhead, which captures CUDA graphs.
    """
    if device == "cuda" and not torch.cuda.is_available():
        raise EngineError(f"torch {torch.__version__}: finds no GPU; install the build for its CUDA")
    network: Callable[[Tensor], tuple[Tensor, Tensor]] = TorchNetwork(
        onnx.load_model_from_string(bundle.read_model()), device
    ).eval()
    if compiled:
        network = torch.compile(network, mode="reduce-overhead")

    def infer(inputs: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        frames = torch.from_numpy(np.ascontiguousarray(inputs))
        if device == "cuda":
            frames = frames.pin_memory()
        try:
            with torch.inference_mode():
                scores, masks = network(frames.to(device, non_blocking=True))
                return scores.cpu().numpy(), masks.cpu().numpy()
        except RuntimeError as error:  # errors of torch.compile are RuntimeErrors too
            raise EngineError(f"torch {torch.__version__}: {first_line(error)}") from None

    return infer


class TorchOnStream:
    """Implements `Network` and `Context` of the engine's slots with torch, for a GPU on which TensorRT does not run."""

    def __init__(self, model: onnx.ModelProto, manifest: Manifest, batch: int = 1) -> None:
        self.batch = batch
        self.description = f"torch {torch.__version__} in TensorRT's place"
        spec, cells, classes = manifest.input.network, manifest.network_masks, len(manifest.classes)
        self._shapes: dict[str, tuple[tuple[int, ...], str]] = {
            "frames": ((batch, spec.channels, spec.height, spec.width), "|u1"),
            "scores": ((batch, classes), "<f4"),
            "masks": ((batch, classes, cells.height, cells.width), "|u1"),
        }
        self._model, self._manifest = model, manifest
        self._network = TorchNetwork(model, "cuda").eval()
        self._tensors: dict[str, Tensor] = {}

    def make_context(self) -> "TorchOnStream":
        """Create another context with its own tensors."""
        return TorchOnStream(self._model, self._manifest, self.batch)

    def bind(self, tensor: str, memory: Memory) -> None:
        """Bind a tensor to the slot's memory without a copy."""
        self._tensors[tensor] = torch.as_tensor(_Region(int(memory), *self._shapes[tensor]), device="cuda")

    def enqueue(self, stream: Stream) -> None:
        """Queue one run. Raises DeviceError."""
        try:
            with torch.cuda.stream(torch.cuda.ExternalStream(stream.handle)), torch.inference_mode():
                scores, masks = self._network(self._tensors["frames"])
                self._tensors["scores"].copy_(scores, non_blocking=True)
                self._tensors["masks"].copy_(masks, non_blocking=True)
        except RuntimeError as error:
            raise DeviceError(f"{self.description}: could not queue the network ({first_line(error)})") from None

    def close(self) -> None:
        """Release the tensors."""
        self._tensors.clear()


class _Region:
    """Device memory with the CUDA array interface, version 3."""

    def __init__(self, address: int, shape: tuple[int, ...], dtype: str) -> None:
        self.__cuda_array_interface__ = {
            "version": 3,
            "data": (address, False),
            "shape": shape,
            "typestr": dtype,
        }
