"""This machine's processor, and its peak: multiplications of a matrix product in onnxruntime, bytes of a copy."""

import os
from collections.abc import Callable
from pathlib import Path
from time import process_time

import numpy as np
import onnxruntime as ort
from onnx import TensorProto, helper

from edge.engines.processor import processor_name
from export.benchmark.roofline import Peak
from export.graph.signature import OPSET

SIDE = 768
"""Rows of the square matrices: 7 MB together, half a billion multiplications."""
COPIED_BYTES = 64 << 20
"""Larger than the caches of most processors."""
RUNS = 7


def machine() -> list[str]:
    """Name of the processor, its threads, and whether it has AVX-512 or VNNI."""
    lines = Path("/proc/cpuinfo").read_text(encoding="ascii", errors="replace").splitlines()
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    kinds = [kind for kind in ("avx2", "avx512f", "vnni", "amx_int8") if kind in processor_name()]
    return [*names[:1], f"{os.cpu_count()} threads", *kinds]


def processor_peak(runs: int = RUNS, clock: Callable[[], float] = process_time) -> Peak:
    """Measure one thread's peak in float32: the best of several runs, since other work only takes away.

    clock: processor time, so that waiting for the processor does not count.
    """
    session = _product()
    matrix = np.ones((SIDE, SIDE), np.float32)
    source, target = np.ones(COPIED_BYTES, np.uint8), np.empty(COPIED_BYTES, np.uint8)
    macs_per_s = SIDE**3 / _least_s(lambda: session.run(None, {"a": matrix, "b": matrix}), runs, clock)
    bytes_per_s = 2 * COPIED_BYTES / _least_s(lambda: np.copyto(target, source), runs, clock)
    return Peak(
        {"fp32": macs_per_s, "fp16": macs_per_s, "int8": macs_per_s},
        bytes_per_s,
        f"one thread: product of {SIDE}x{SIDE} matrices {macs_per_s / 1e9:.1f} G multiplications/s, "
        f"copy {bytes_per_s / 1e9:.1f} GB/s",
    )


def _product() -> ort.InferenceSession:
    """Session of one matrix product in one thread."""
    values = [helper.make_tensor_value_info(name, TensorProto.FLOAT, [SIDE, SIDE]) for name in "abc"]
    graph = helper.make_graph([helper.make_node("MatMul", ["a", "b"], ["c"])], "product", values[:2], values[2:])
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
