"""Operations and bytes of a network, counted by hand beside the counter; the shortest time that a device needs."""

import re
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from export.benchmark.op_counts import KernelWork, Work, count_work
from export.benchmark.roofline import RATES, Peak, peak_of, roofline
from export.errors import GraphError
from export.graph.fp16 import halved
from export.graph.signature import OPSET

ROOT = Path(__file__).resolve().parents[3]
MODELS = ROOT / "models"


def weights(name: str, *shape: int, dtype: type = np.float32) -> onnx.TensorProto:
    return numpy_helper.from_array(np.ones(shape, dtype), name)


def convolution(name: str, source: str, pads: int = 1, weight: str | None = None) -> onnx.NodeProto:
    return helper.make_node("Conv", [source, weight or f"{name}.w", f"{name}.b"], [name], name=name, pads=[pads] * 4)


def small(nodes: list[onnx.NodeProto], initializers: list[onnx.TensorProto]) -> onnx.ModelProto:
    """A graph of frames uint8 [N, 1, 8, 6] with scores [N, 2]."""
    frames = helper.make_tensor_value_info("frames", TensorProto.UINT8, ["N", 1, 8, 6])
    scores = helper.make_tensor_value_info("scores", TensorProto.FLOAT, ["N", 2])
    axes = numpy_helper.from_array(np.array([2, 3]), "axes")
    graph = helper.make_graph(
        [
            helper.make_node("Cast", ["frames"], ["x"], name="cast", to=TensorProto.FLOAT),
            *nodes,
            helper.make_node("Sigmoid", ["head"], ["p"], name="sigmoid"),
            helper.make_node("ReduceMax", ["p", "axes"], ["scores"], name="max", keepdims=0),
        ],
        "small",
        [frames],
        [scores],
        [*initializers, axes],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", OPSET)], ir_version=9)


def float_network() -> onnx.ModelProto:
    """Stem 1 -> 4, second layer 4 -> 4, head on both joined 8 -> 2."""
    return small(
        [
            convolution("stem", "x"),
            helper.make_node("LeakyRelu", ["stem"], ["s"], name="leaky"),
            convolution("second", "s"),
            helper.make_node("Concat", ["s", "second"], ["both"], name="join", axis=1),
            convolution("head", "both", pads=0),
        ],
        [
            *(weights("stem.w", 4, 1, 3, 3), weights("stem.b", 4), weights("second.w", 4, 4, 3, 3)),
            *(weights("second.b", 4), weights("head.w", 2, 8, 1, 1), weights("head.b", 2)),
        ],
    )


PIXELS = 8 * 6


def test_operations_and_bytes_of_a_small_network() -> None:
    work = count_work(float_network())

    by_name = {kernel.name: kernel for kernel in work.kernels}
    assert list(by_name) == ["cast", "stem", "second", "head", "max"]
    assert {name: kernel.macs for name, kernel in by_name.items()} == {
        "cast": 0,
        "stem": PIXELS * 4 * 1 * 9,
        "second": PIXELS * 4 * 4 * 9,
        "head": PIXELS * 2 * 8 * 1,
        "max": 0,
    }
    assert {name: kernel.nbytes for name, kernel in by_name.items()} == {
        "cast": PIXELS * (1 + 4),  # uint8 read, float written
        "stem": PIXELS * 4 * (1 + 4) + 4 * (4 * 9 + 4),
        "second": PIXELS * 4 * (4 + 4) + 4 * (4 * 4 * 9 + 4),
        "head": PIXELS * 4 * (8 + 2) + 4 * (2 * 8 + 2),  # reads both of what is joined, writes the probabilities
        "max": PIXELS * 4 * 2 + 2 * 8 + 2 * 4,  # probabilities, two axes of 8 bytes, two scores
    }
    assert {kernel.precision for kernel in work.kernels} == {"fp32"}
    assert work.fused_nbytes == PIXELS + 4 * (40 + 148 + 18) + 2 * 8 + 2 * 4


@pytest.mark.parametrize(
    ("stride", "dilation", "pads", "groups"),
    [
        (1, 1, [1, 1, 1, 1], 1),
        (1, 2, [2, 2, 2, 2], 1),
        (2, 1, [0, 1, 1, 0], 1),
        (1, 4, [4, 4, 4, 4], 4),
        (1, 64, [64] * 4, 1),
    ],
)
def test_multiplications_with_the_padding_are_left_out_on_a_processor(
    stride: int, dilation: int, pads: list[int], groups: int
) -> None:
    """Of ones with ones, the sum of a convolution's output is their number."""
    torch = pytest.importorskip("torch", reason="torch is not installed: its convolution counts the ones")
    attributes = {"strides": [stride] * 2, "dilations": [dilation] * 2, "pads": pads, "group": groups}
    network = small(
        [
            convolution("stem", "x"),
            helper.make_node("Conv", ["stem", "w"], ["second"], name="second", **attributes),
            convolution("head", "second", pads=0),
        ],
        [
            *(weights("stem.w", 4, 1, 3, 3), weights("stem.b", 4), weights("w", 8, 4 // groups, 3, 3)),
            *(weights("head.w", 2, 8, 1, 1), weights("head.b", 2)),
        ],
    )
    ones = torch.nn.functional.conv2d(
        torch.nn.functional.pad(torch.ones(1, 4, 8, 6), (pads[1], pads[3], pads[0], pads[2])),
        torch.ones(8, 4 // groups, 3, 3), stride=stride, dilation=dilation, groups=groups,
    )  # fmt: skip

    counted = {kernel.name: kernel.macs for kernel in count_work(network, padding=False).kernels}

    assert counted["second"] == int(ones.sum())
    assert counted["stem"] == 4 * (8 * 3 - 2) * (6 * 3 - 2)
    assert counted["head"] == count_work(network).kernels[-2].macs


def test_a_batch_multiplies_everything_but_the_weights() -> None:
    one, three = count_work(float_network()), count_work(float_network(), batch=3)

    assert three.macs == 3 * one.macs
    assert three.fused_nbytes - one.fused_nbytes == 2 * (PIXELS + 2 * 4)


def test_float16_halves_what_is_between() -> None:
    half = {kernel.name: kernel for kernel in count_work(halved(float_network())).kernels}

    assert half["second"].nbytes == PIXELS * 2 * (4 + 4) + 2 * (4 * 4 * 9 + 4)
    assert half["second"].precision == "fp16"


def test_quantised_layers_count_in_int8() -> None:
    quantised = [
        helper.make_node("QuantizeLinear", ["s", "scale", "zero"], ["s.q"], name="q"),
        helper.make_node("DequantizeLinear", ["s.q", "scale", "zero"], ["s.dq"], name="dq"),
        helper.make_node("DequantizeLinear", ["second.w8", "scale", "zero"], ["second.w"], name="dqw"),
    ]
    network = small(
        [
            convolution("stem", "x"),
            helper.make_node("LeakyRelu", ["stem"], ["s"], name="leaky"),
            *quantised,
            convolution("second", "s.dq"),
            convolution("head", "second", pads=0),
        ],
        [
            *(weights("stem.w", 4, 1, 3, 3), weights("stem.b", 4), weights("second.w8", 4, 4, 3, 3, dtype=np.int8)),
            *(weights("second.b", 4), weights("head.w", 2, 4, 1, 1), weights("head.b", 2)),
            *(weights("scale"), numpy_helper.from_array(np.int8(0), "zero")),
        ],
    )

    by_name = {kernel.name: kernel for kernel in count_work(network).kernels}

    assert {name: kernel.precision for name, kernel in by_name.items()}["second"] == "int8"
    assert by_name["stem"].nbytes == PIXELS * (4 * 1 + 1 * 4) + 4 * (4 * 9 + 4)  # writes int8
    assert by_name["second"].nbytes == PIXELS * (1 * 4 + 4 * 4) + 4 * 4 * 9 + 4 * 4  # reads int8, writes float


def test_other_multiplications_are_refused() -> None:
    network = small(
        [convolution("head", "x", pads=0), helper.make_node("MatMul", ["x", "m"], ["y"], name="product")],
        [weights("head.w", 2, 1, 1, 1), weights("head.b", 2), weights("m", 6, 6)],
    )

    with pytest.raises(GraphError, match="found a MatMul, expected convolutions"):
        count_work(network)


@pytest.mark.parametrize(("pooling", "giga"), [(1, 75.0), (2, 18.8), (4, 4.7)])
def test_the_context_aggregation_network_has_the_operations_worked_out_for_it(pooling: int, giga: float) -> None:
    """Width 64 at 300x400: a shipped graph of width 32, widened; what pooling leaves is its size."""
    network = onnx.load(MODELS / "demo-tiles" / "model.onnx")
    widen(network)
    resize(network, 300 // pooling, 400 // pooling)

    assert count_work(network).macs / 1e9 == pytest.approx(giga, rel=0.01)


def widen(network: onnx.ModelProto) -> None:
    """Let each of its 32 channels become 64, and take the pooling out."""
    for tensor in network.graph.initializer:
        if tensor.name.startswith(("layers.", "head")):
            sides = [2 * side if side in (32, 64) else side for side in tensor.dims]
            tensor.CopyFrom(weights(tensor.name, *sides))
    pool = next(node for node in network.graph.node if node.op_type == "AveragePool")
    for attribute in pool.attribute:
        if attribute.name in ("kernel_shape", "strides"):
            attribute.ints[:] = [1, 1]


def resize(network: onnx.ModelProto, height: int, width: int) -> None:
    for value in (network.graph.input[0], network.graph.output[1]):
        sides = value.type.tensor_type.shape.dim
        sides[2].dim_value, sides[3].dim_value = height, width


def test_the_shortest_time_is_the_sum_over_kernels_or_that_of_the_whole() -> None:
    peak = Peak({"fp32": 100.0, "fp16": 200.0, "int8": 400.0}, bytes_per_s=10.0, source="")
    work = Work((KernelWork("a", 1000, "fp32", 50), KernelWork("b", 400, "int8", 40)), fused_nbytes=20)

    found = roofline(work, peak)

    assert found.layered_s == pytest.approx(max(10, 5) + max(1, 4))
    assert found.fused_s == pytest.approx(10 + 1)  # more than the 2 s of its bytes


@pytest.mark.parametrize(
    ("compute_capability", "device", "tera_macs", "giga_bytes"),
    [  # multiprocessors, clock and memory clock in kHz, bus; peaks by the data sheets, FP16 without sparsity
        ("9.0", (132, 1_830_000, 3_201_000, 6144), 989 / 2, 4917),  # H200: 4.8 TB/s
        ("8.9", (128, 2_520_000, 10_501_000, 384), 330 / 2, 1008),  # RTX 4090
        ("8.6", (82, 1_695_000, 9_751_000, 384), 142 / 2, 936),  # RTX 3090
        ("12.0", (170, 2_407_000, 14_001_000, 512), 419 / 2, 1792),  # RTX 5090
    ],
)
def test_peaks_are_those_of_the_data_sheets(
    compute_capability: str, device: tuple[int, int, int, int], tera_macs: float, giga_bytes: float
) -> None:
    peak = peak_of(compute_capability, *device)

    assert peak is not None
    assert peak.macs_per_s["fp16"] / 1e12 == pytest.approx(tera_macs, rel=0.01)
    assert peak.macs_per_s["int8"] == 2 * peak.macs_per_s["fp16"]
    assert peak.bytes_per_s / 1e9 == pytest.approx(giga_bytes, rel=0.01)


def test_a_jetson_s_bandwidth_comes_from_its_data_sheet() -> None:
    peak = peak_of("8.7", 16, 1_300_000, 1_300_000, 256, bytes_per_s=204.8e9)

    assert peak is not None
    assert peak.macs_per_s["int8"] / 1e12 == pytest.approx(85 / 2, rel=0.01)
    assert peak.bytes_per_s == 204.8e9
    assert "by the data sheet" in peak.source


def test_what_is_not_known_is_not_guessed() -> None:
    assert peak_of("7.5", 40, 1_590_000, 5_001_000, 256) is None
    assert peak_of("9.0", 132, 1_980_000, 0, 0) is None
    assert {"8.6", "8.7", "8.9", "9.0", "11.0", "12.0"} <= set(RATES)


def test_the_table_of_the_document_is_what_its_code_prints(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    document = (ROOT / "docs" / "tensorrt.md").read_text(encoding="utf-8")
    (code,) = re.findall(r"```python\n(.*?)```", document, flags=re.DOTALL)
    monkeypatch.chdir(ROOT)
    exec(code, {})

    rows = capsys.readouterr().out.splitlines()
    assert rows == re.findall(r"^\| pooling \d, .*$", document, flags=re.MULTILINE)
    assert len(rows) == 6
