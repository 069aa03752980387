"""Other engines on the same networks and GPU, for comparison."""

from collections.abc import Callable
from time import perf_counter
from typing import Any, cast

import numpy as np
import onnx
import onnxruntime as ort

from bundle import Bundle, FrozenModel, Image
from bundle.golden import Infer
from edge.engines.engine import Outputs
from edge.errors import EngineError
from export.benchmark.benchmark import RUNS, Speed, speed_of
from export.benchmark.op_counts import count_work
from export.benchmark.roofline import Peak, roofline
from export.errors import ExportError
from export.graph.signature import FRAMES, MASKS, SCORES

Open = Callable[[Bundle], Infer]
"""Opens a bundle's network in another engine; raises EngineError."""


class EngineFigures(FrozenModel):
    """Latency, throughput and roofline shares of one engine on one network."""

    engine: str
    precision: str
    p50_ms: float | None = None
    p99_ms: float | None = None
    frames_per_s: float | None = None
    layered_share: float | None = None
    """Roofline time with every kernel reading and writing memory, over the time of a frame; None if unknown."""
    fused_share: float | None = None
    """Likewise with all activations kept on the chip."""
    score_gap: float | None = None
    """Largest difference of a golden frame's score from onnxruntime on the CPU."""
    missing: str = ""
    """Reason why there are no figures."""


def row(engine: str, bundle: Bundle, speed: Speed, peak: Peak | None, score_gap: float | None = None) -> EngineFigures:
    """Figures of an engine, with its shares of the roofline."""
    shares: dict[str, Any] = {}
    if peak is not None:
        shortest = roofline(count_work(onnx.load_model_from_string(bundle.read_model())), peak)
        shares = {
            "layered_share": shortest.layered_s * speed.frames_per_s,
            "fused_share": shortest.fused_s * speed.frames_per_s,
        }
    return EngineFigures(
        engine=engine,
        precision=bundle.manifest.precision,
        p50_ms=speed.p50_ms,
        p99_ms=speed.p99_ms,
        frames_per_s=speed.frames_per_s,
        score_gap=score_gap,
        **shares,
    )


def missing(engine: str, bundle: Bundle, reason: str) -> EngineFigures:
    """Row of an engine that could not be measured."""
    return EngineFigures(engine=engine, precision=bundle.manifest.precision, missing=reason)


def rival_row(
    engine: str,
    open_one: Open,
    bundle: Bundle,
    peak: Peak | None,
    runs: int = RUNS,
    clock: Callable[[], float] = perf_counter,
) -> EngineFigures:
    """Measure another engine on preprocessed frames, one at a time; a row without figures if it cannot be opened."""
    inputs = [bundle.prepare(frame)[np.newaxis] for frame in bundle.golden.frames]
    try:
        infer = open_one(bundle)
        answers = np.concatenate([infer(frame)[0] for frame in inputs])
        speed = speed_of(bundle, lambda number: infer(inputs[number % len(inputs)]), runs, clock)
    except (EngineError, ExportError) as error:
        return missing(engine, bundle, str(error))
    return row(engine, bundle, speed, peak, float(np.abs(answers - bundle.golden.scores).max()))


def onnxruntime_cuda(bundle: Bundle) -> Infer:
    """Open onnxruntime's CUDA provider, alone. Raises EngineError if it is not there."""
    offered = ort.get_available_providers()
    if "CUDAExecutionProvider" not in offered:
        raise EngineError(
            f"onnxruntime {ort.__version__}: found the providers {', '.join(offered)}, expected CUDAExecutionProvider; "
            "pip install onnxruntime-gpu in its place"
        )
    settings = ort.SessionOptions()
    settings.log_severity_level = 3
    try:
        session = ort.InferenceSession(bundle.read_model(), settings, providers=["CUDAExecutionProvider"])
    except Exception as error:  # onnxruntime's own errors have no public base class
        raise EngineError(f"onnxruntime {ort.__version__}: {first_line(error)}") from None
    if session.get_providers()[0] != "CUDAExecutionProvider":
        raise EngineError(f"onnxruntime {ort.__version__}: the CUDA provider did not start; see its CUDA and cuDNN")

    def infer(inputs: Image) -> Outputs:
        try:
            return cast(Outputs, tuple(session.run([SCORES, MASKS], {FRAMES: inputs})))
        except Exception as error:  # as above
            raise EngineError(f"onnxruntime {ort.__version__}: {first_line(error)}") from None

    return infer


def first_line(error: Exception) -> str:
    """First line of an error of another library, at most 200 characters."""
    return str(error).splitlines()[0][:200] if str(error) else type(error).__name__
