"""This machine's processor, and its peak: multiplications of a matrix product in onnxruntime, bytes of a copy."""

import os
from collections.abc import Callable
from pathlib import Path
from time import process_time

import numpy as np
import onnxruntime as ort
from onnx import GraphProto, TensorProto, helper

from edge.engines.processor import processor_name
from export.benchmark.roofline import Peak
from export.graph.signature import OPSET

SIDE = 768
"""Rows of the square matrices: 7 MB together, half a billion multiplications."""
FLOATS = "MatMul", TensorProto.FLOAT, TensorProto.FLOAT, TensorProto.FLOAT
INTEGERS = "MatMulInteger", TensorProto.UINT8, TensorProto.INT8, TensorProto.INT32
INSTRUCTIONS = "avx2", "avx512f", "vnni", "avx512_bf16", "amx_int8", "amx_bf16"
COPIED_BYTES = 64 << 20
"""Larger than the caches of most processors."""
RUNS = 7


def machine() -> list[str]:
    """Name of the processor, its threads, and what it has of AVX-512, VNNI, bfloat16 and AMX."""
    lines = Path("/proc/cpuinfo").read_text(encoding="ascii", errors="replace").splitlines()
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    kinds = [kind for kind in INSTRUCTIONS if kind in processor_name()]
    return [*names[:1], f"{os.cpu_count()} threads", *kinds]


def processor_peak(runs: int = RUNS, clock: Callable[[], float] = process_time) -> Peak:
    """Measure one thread's peak in float32 and INT8: the best of several runs, since other work only takes away.

    That of fp16 is float32's, in which onnxruntime computes it. clock: processor time, so that waiting for the
    processor does not count.
    """
    floats, integers = (_product_s(types, runs, clock) for types in (FLOATS, INTEGERS))
    source, target = np.ones(COPIED_BYTES, np.uint8), np.empty(COPIED_BYTES, np.uint8)
    bytes_per_s = 2 * COPIED_BYTES / _least_s(lambda: np.copyto(target, source), runs, clock)
    return Peak(
        {"fp32": SIDE**3 / floats, "fp16": SIDE**3 / floats, "int8": SIDE**3 / integers},
        bytes_per_s,
        f"one thread: product of {SIDE}x{SIDE} matrices {SIDE**3 / floats / 1e9:.1f} G multiplications/s in float32, "
        f"{SIDE**3 / integers / 1e9:.1f} in INT8, copy {bytes_per_s / 1e9:.1f} GB/s",
    )


def _product_s(types: tuple[str, int, int, int], runs: int, clock: Callable[[], float]) -> float:
    """Seconds of one matrix product in one thread; types: its operator, then ONNX's types of factors and product."""
    operator, *kinds = types
    values = [helper.make_tensor_value_info(name, kind, [SIDE, SIDE]) for name, kind in zip("abc", kinds, strict=True)]
    factors = {
        name: np.ones((SIDE, SIDE), helper.tensor_dtype_to_np_dtype(kind))
        for name, kind in zip("ab", kinds[:2], strict=True)
    }
    session = _session(helper.make_graph([helper.make_node(operator, ["a", "b"], ["c"])], "", values[:2], values[2:]))
    return _least_s(lambda: session.run(None, factors), runs, clock)


def _session(graph: GraphProto) -> ort.InferenceSession:
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", OPSET)], ir_version=9)
    settings = ort.SessionOptions()
    settings.intra_op_num_threads = 1
    return ort.InferenceSession(model.SerializeToString(), settings, providers=["CPUExecutionProvider"])


def _least_s(work: Callable[[], object], runs: int, clock: Callable[[], float]) -> float:
    times = []
    for _ in range(runs):
        start = clock()
        work()
        times.append(clock() - start)
    return max(min(times), 1e-9)
