"""The OpenVINO engine beyond the contract: its cache, its precision, and what it keeps to itself."""

import hashlib
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import numpy_helper

from bundle import Bundle, InputSpec, Tiling, Tolerance, load_bundle
from edge.engines.engine_cache import EngineCache
from edge.engines.fastest import choice_of, hard_inputs
from edge.engines.onnxruntime_cpu import OnnxruntimeEngine
from edge.engines.registry import open_engine
from edge.errors import EngineError, EngineMissing
from tests.conftest import HEIGHT, WIDTH, grey_frame, tiny_outputs

MODELS = Path(__file__).parents[3] / "models"

openvino_cpu = pytest.importorskip(
    "edge.engines.openvino_cpu", reason="OpenVINO is not installed: pip install 'edge-inspect[openvino]'"
)


@pytest.fixture
def bundle(make_bundle: Callable[..., Path], monkeypatch: pytest.MonkeyPatch) -> Bundle:
    monkeypatch.delenv("EDGE_INSPECT_CACHE", raising=False)
    return load_bundle(make_bundle())


def kept(bundle: Bundle) -> list[Path]:
    return sorted(EngineCache.of(bundle).folder.glob("openvino-*.blob"))


def check(bundle: Bundle) -> None:
    """Open the engine on the bundle, with the outputs of the tiny network."""
    engine = openvino_cpu.open_openvino(bundle, 1, 1)
    inputs = np.stack([grey_frame(), grey_frame(spot=255)])[:, np.newaxis]
    try:
        assert np.allclose(engine.infer(inputs)[0], tiny_outputs(inputs)[0], atol=1e-6)
    finally:
        engine.close()


def test_the_compiled_network_is_kept_beside_the_bundle_and_found_again(bundle: Bundle) -> None:
    check(bundle)
    (blob,) = kept(bundle)
    written = blob.stat().st_mtime_ns

    check(bundle)

    assert [blob.stat().st_mtime_ns] == [written]
    assert kept(bundle) == [blob]


def test_another_number_of_threads_is_compiled_apart(bundle: Bundle) -> None:
    for threads in (1, 2, None):
        openvino_cpu.open_openvino(bundle, threads, 1).close()

    assert len(kept(bundle)) == 3


def test_several_frames_at_a_time_come_in_their_order(bundle: Bundle) -> None:
    inputs = np.random.default_rng(5).integers(0, 256, (7, 1, HEIGHT, WIDTH), dtype=np.uint8)
    one_by_one, together = openvino_cpu.open_openvino(bundle, 2, 1), openvino_cpu.open_openvino(bundle, 2, 3)
    try:
        for count in (1, 2, 7):  # with two streams
            expected, found = one_by_one.infer(inputs[:count]), together.infer(inputs[:count])
            assert np.array_equal(found[1], expected[1])
            assert np.allclose(found[0], expected[0], atol=1e-6)
        kept = found[0].copy()
        together.infer(inputs[::-1])
        assert np.array_equal(found[0], kept), "outputs belong to the caller"
    finally:
        one_by_one.close()
        together.close()


@pytest.mark.parametrize(
    ("threads", "batch", "tiles", "streams"),
    [(2, 1, None, 0), (1, 4, None, 0), (2, 4, None, 2), (8, 3, None, 3), (8, 1, 4, 4)],
)
def test_frames_of_several_cameras_and_tiles_share_the_threads(
    make_bundle: Callable[..., Path], threads: int, batch: int, tiles: int | None, streams: int
) -> None:
    changes = {}
    if tiles:
        tiling = Tiling(height=HEIGHT, width=WIDTH, overlap=0, batch=tiles)
        changes = {"input": InputSpec(height=HEIGHT, width=WIDTH, channels=1, tiles=tiling)}
    bundle = load_bundle(make_bundle("other", **changes))

    engine = openvino_cpu.open_openvino(bundle, threads, batch)

    assert len(engine._at_a_time) == streams
    engine.close()


def test_a_failure_among_several_frames_is_an_engine_error(bundle: Bundle) -> None:
    engine = openvino_cpu.open_openvino(bundle, 2, 2)
    engine._at_a_time[1] = FailingRequest()

    with pytest.raises(EngineError, match="inference failed"):
        engine.infer(np.zeros((4, 1, HEIGHT, WIDTH), np.uint8))

    engine.close()


class FailingRequest:
    """A request whose run fails."""

    def start_async(self, *_: object, **__: object) -> None:
        """Start nothing."""

    def wait(self) -> None:
        raise RuntimeError("no memory")


def test_a_damaged_entry_is_compiled_again(bundle: Bundle) -> None:
    check(bundle)
    (blob,) = kept(bundle)
    whole = blob.read_bytes()
    blob.write_bytes(whole[:-1000])

    check(bundle)

    assert len(blob.read_bytes()) > len(whole) - 1000


def test_an_entry_that_openvino_refuses_is_compiled_again(bundle: Bundle, caplog: pytest.LogCaptureFixture) -> None:
    check(bundle)
    (blob,) = kept(bundle)
    blob.write_bytes(hashlib.sha256(b"no network").digest() + b"no network")

    check(bundle)

    assert "compiled again" in caplog.text
    assert len(blob.read_bytes()) > 1000


def test_a_cache_that_cannot_be_written_is_no_obstacle(
    bundle: Bundle, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").write_bytes(b"")
    monkeypatch.setenv("EDGE_INSPECT_CACHE", str(tmp_path / "file"))

    check(bundle)


def test_a_graph_that_openvino_cannot_read_is_one_line(bundle: Bundle) -> None:
    class Other(Bundle):
        """Its graph is no graph."""

        def read_model(self) -> bytes:
            return b"no graph"

    other = Other(bundle.folder, bundle.manifest, bundle.golden)
    with pytest.raises(EngineError, match=r"model\.onnx: OpenVINO cannot load it") as refused:
        openvino_cpu.open_openvino(other, 1, 1)

    assert "\n" not in str(refused.value)


class HalfWeights(Bundle):
    """An INT8 bundle with half of its weights' steps: 7 bits instead of 8, at twice the scale."""

    def read_model(self) -> bytes:
        model = onnx.load_model_from_string(super().read_model())
        tensors = {tensor.name: tensor for tensor in model.graph.initializer}
        for name in [name for name in tensors if name.endswith("weight_quantized")]:
            scale = tensors[name.replace("quantized", "scale")]
            halved = np.rint(numpy_helper.to_array(tensors[name]) / 2).astype(np.int8)
            tensors[name].CopyFrom(numpy_helper.from_array(halved, name))
            scale.CopyFrom(numpy_helper.from_array(2 * numpy_helper.to_array(scale), scale.name))
        return model.SerializeToString()


@pytest.fixture
def eight_bits(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Bundle:
    monkeypatch.setenv("EDGE_INSPECT_CACHE", str(tmp_path))
    return load_bundle(MODELS / "demo-tiles-int8")


def convolutions(engine: openvino_cpu.OpenVinoEngine) -> list[str]:
    """Kinds of the convolutions as OpenVINO runs them, such as `jit_avx2_i8`."""
    layers = [layer.get_rt_info() for layer in engine._request.get_compiled_model().get_runtime_model().get_ops()]
    return [
        layer["primitiveType"].astype(str).lower()
        for layer in layers
        if layer["layerType"].astype(str) == "Convolution"
    ]


def test_int8_agrees_with_onnxruntime_also_after_a_concatenation(eight_bits: Bundle) -> None:
    bundle = HalfWeights(eight_bits.folder, eight_bits.manifest, eight_bits.golden)
    inputs = np.stack([*map(bundle.prepare, bundle.golden.frames), *hard_inputs(bundle)])

    scores, masks = OnnxruntimeEngine(bundle, 1).infer(inputs)
    engine = openvino_cpu.OpenVinoEngine(bundle, 1, "avx2")
    found = engine.infer(inputs)

    assert [kind.endswith("i8") for kind in convolutions(engine)].count(False) == 1  # the last one
    assert np.abs(found[0] - scores).max() <= 0.02  # layers after a concatenation differed by 0.8
    assert np.abs(found[1].astype(int) - masks).mean() <= 0.1


def test_int8_weights_that_saturate_are_refused(eight_bits: Bundle) -> None:
    with pytest.raises(
        EngineError, match="found INT8 weights up to 127, expected at most 64 on a processor without VNNI"
    ):
        openvino_cpu.OpenVinoEngine(eight_bits, 1, "x86_64; AMD EPYC; avx avx2 fma")


def test_weights_of_eight_bits_are_taken_where_sums_have_32_bits(eight_bits: Bundle) -> None:
    openvino_cpu.OpenVinoEngine(eight_bits, 1, "x86_64; avx2 avx_vnni").close()


def test_the_import_reports_nothing_to_anybody() -> None:
    listing = "import sys, edge.engines.openvino_cpu; print([name for name in sys.modules if 'telemetry' in name])"

    found = subprocess.run([sys.executable, "-c", listing], capture_output=True, text=True, check=True, timeout=600)

    assert found.stdout.strip() == "[]"


@pytest.mark.parametrize(("floats", "capability"), [("bf16", "BF16"), ("f16", "FP16")])
def test_another_type_needs_a_processor_that_computes_it(bundle: Bundle, floats: str, capability: str) -> None:
    refusal = f"engine openvino-{capability.lower()}: found a processor with FP32, INT8, expected {capability}; take"
    with pytest.raises(EngineMissing, match=refusal):
        openvino_cpu.OpenVinoEngine(bundle, 1, floats=floats, capabilities=["FP32", "INT8"])

    engine = openvino_cpu.OpenVinoEngine(bundle, 1, floats=floats, capabilities=["FP32", capability])
    inputs = np.stack([grey_frame(), grey_frame(spot=255)])[:, np.newaxis]
    assert np.allclose(engine.infer(inputs)[0], tiny_outputs(inputs)[0], atol=0.01)  # 8 bits of precision
    assert engine.description.endswith(f"fp32, layers in {floats}")
    engine.close()


TOLERANCES = {
    "fp32": Tolerance(score=0.01, mask=4),
    "fp16": Tolerance(score=0.02, mask=8),
    "int8": Tolerance(score=0.07, mask=34),
}


@pytest.mark.parametrize(
    ("floats", "precision", "held_to"),
    [
        ("f32", "fp32", "fp32"),
        ("f16", "fp32", "fp16"),
        ("bf16", "fp32", "int8"),
        ("bf16", "fp16", "int8"),
        ("f16", "int8", "int8"),
    ],
)
def test_layers_in_another_type_are_held_to_the_tolerance_of_its_precision(
    make_bundle: Callable[..., Path], floats: str, precision: str, held_to: str
) -> None:
    bundle = load_bundle(make_bundle("other", precision=precision, tolerances=TOLERANCES))

    engine = openvino_cpu.OpenVinoEngine(bundle, 1, floats=floats, capabilities=["FP32", "BF16", "FP16"])

    assert engine.tolerance == TOLERANCES[held_to]
    engine.close()


@pytest.mark.parametrize(
    ("floats", "precision", "coarser"),
    [
        ("f32", "fp32", False),
        ("f32", "int8", False),
        ("f16", "fp16", False),
        ("f16", "fp32", True),
        ("f16", "int8", True),
        ("bf16", "fp16", True),
        ("bf16", "int8", True),
    ],
)
def test_layers_in_fewer_bits_than_the_graph_are_coarser_whatever_they_are_held_to(
    make_bundle: Callable[..., Path], floats: str, precision: str, coarser: bool
) -> None:
    bundle = load_bundle(make_bundle("other", precision=precision, tolerances=TOLERANCES))

    engine = openvino_cpu.OpenVinoEngine(bundle, 1, floats=floats, capabilities=["FP32", "BF16", "FP16"])

    assert engine.coarser == coarser
    engine.close()


def test_without_a_tolerance_of_the_type_that_of_the_bundle_holds(bundle: Bundle) -> None:
    engine = openvino_cpu.OpenVinoEngine(bundle, 1, floats="bf16", capabilities=["FP32", "BF16"])

    assert engine.tolerance == bundle.manifest.tolerances["fp32"]
    engine.close()


@pytest.mark.parametrize("name", ["magnetic-tile", "demo-tiles"])
def test_shipped_float_bundles_go_on_line_in_bfloat16(name: str) -> None:
    bundle = load_bundle(MODELS / name)
    try:
        open_engine("openvino-bf16", bundle, threads=1).close()
    except EngineMissing as error:
        pytest.skip(f"does not run here: {error}")


@pytest.mark.parametrize(("name", "capability"), [("openvino-bf16", "BF16"), ("openvino-fp16", "FP16")])
def test_the_choice_says_why_a_type_is_not_used(bundle: Bundle, name: str, capability: str) -> None:
    if capability in openvino_cpu.shared_core().get_property("CPU", "OPTIMIZATION_CAPABILITIES"):
        pytest.skip(f"this processor computes {capability}")

    trials = {trial.engine: trial for trial in choice_of(bundle, 1).trials}

    assert trials[name].frame_ms is None
    assert f"expected {capability}" in trials[name].objection


RELEASED_ELSEWHERE = """
import gc, os, signal, sys, threading
from pathlib import Path
from bundle import Bundle, load_bundle
from edge.engines.openvino_cpu import OpenVinoEngine
from edge.errors import EngineError

class Unreadable(Bundle):
    def read_model(self):
        return b"no graph"

signal.signal(signal.SIGHUP, lambda *_: print("handled", flush=True))
refused = []
try:
    bundle = load_bundle(Path(sys.argv[1]))
    OpenVinoEngine(Unreadable(bundle.folder, bundle.manifest, bundle.golden))
except EngineError as error:
    refused.append(error)  # its traceback holds what the engine had opened
other = threading.Thread(target=lambda: (refused.clear(), gc.collect()))
other.start()
other.join()
os.kill(os.getpid(), signal.SIGHUP)
"""


def test_a_signal_is_handled_after_another_thread_has_released_the_engine(bundle: Bundle) -> None:
    command = [sys.executable, "-c", RELEASED_ELSEWHERE, str(bundle.folder)]

    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=120)

    assert (done.returncode, done.stdout) == (0, "handled\n"), done.stderr
