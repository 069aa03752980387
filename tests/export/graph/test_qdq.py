"""Q/DQ graphs, read off the graph itself."""

import numpy as np
import onnx
import onnxruntime as ort
import pytest
from onnx import TensorProto, numpy_helper

from export.bundles.assemble import open_draft
from export.bundles.golden_frames import draw_inputs
from export.errors import GraphError
from export.evaluate.batched_inference import run
from export.evaluate.compare_outputs import compare_outputs
from export.graph.cleanup import to_bytes
from export.graph.fp16 import halved
from export.graph.qdq import activations_of, convolutions, quantisable, quantised, quantised_layers, tied
from export.graph.signature import check_graph
from export.int8.activation_ranges import choose_range
from export.int8.activations import Probe, histograms, signal_to_noise
from tests.export.networks import CLASSES, can_model, manifest_of, outlier_model, spec_of

SPEC = spec_of(64, 64)
INPUTS = draw_inputs(SPEC, 12)


@pytest.fixture(scope="module")
def model():
    return can_model(SPEC)


@pytest.fixture(scope="module")
def ranges(model):
    seen = histograms(Probe(model, activations_of(model, quantisable(model)), 1), INPUTS, lambda count: None)
    return tied(model, {name: choose_range(histogram, "mse") for name, histogram in seen.items()})


@pytest.fixture(scope="module")
def int8(model, ranges):
    return quantised(model, quantisable(model), ranges)


def constants(model):
    return {tensor.name: numpy_helper.to_array(tensor) for tensor in model.graph.initializer}


def makers(model):
    return {output: node for node in model.graph.node for output in node.output}


def answers(model):
    return run(open_draft(to_bytes(model), manifest_of(model, SPEC), threads=1).infer, INPUTS)


def test_all_convolutions_but_those_of_the_outputs_can_be_quantised(model):
    assert quantisable(model) == [f"layers.{number}.0" for number in range(13)]


def test_every_quantised_convolution_reads_bytes(model, int8):
    assert quantised_layers(int8) == quantisable(model)
    values, made_by = constants(int8), makers(int8)
    for node in convolutions(int8):
        if node.name == "head":
            continue
        weight, activation = made_by[node.input[1]], made_by[node.input[0]]
        assert values[weight.input[0]].dtype == np.int8
        assert values[weight.input[1]].shape == (8,)  # one scale per output channel
        assert next(a.i for a in weight.attribute if a.name == "axis") == 0
        assert made_by[activation.input[0]].op_type == "QuantizeLinear"
        assert values[activation.input[1]].shape == ()


def test_every_zero_point_is_zero_and_signed(int8):
    zeros = [value for name, value in constants(int8).items() if name.endswith("_zero_point")]
    assert len(zeros) == 26
    assert all(value.dtype == np.int8 and not value.any() for value in zeros)


@pytest.mark.parametrize(("options", "least", "most"), [((), 60, 64), ((7,), 60, 64), ((8,), 120, 127)])
def test_weights_have_seven_bits_unless_asked_otherwise(model, ranges, options, least, most):
    """Two products of a byte and a weight of 64 fit 16 bits: 2 * 255 * 64 = 32640."""
    made = quantised(model, quantisable(model), ranges, *options)
    weights = [value for value in constants(made).values() if value.dtype == np.int8 and value.ndim == 4]
    assert len(weights) == 13
    assert all(least <= np.abs(weight.astype(int)).max() <= most for weight in weights)


def test_biases_and_the_head_stay_in_float(int8):
    values = constants(int8)
    for node in convolutions(int8):
        assert values[node.input[2]].dtype == np.float32
    assert "head" not in quantised_layers(int8)


def test_nothing_stands_between_convolution_and_activation(int8):
    made_by = makers(int8)
    for node in int8.graph.node:
        if node.op_type == "LeakyRelu":
            assert made_by[node.input[0]].op_type == "Conv"


def test_scales_are_our_ranges(int8, ranges):
    values = constants(int8)
    for name, top in ranges.items():
        assert values[f"{name}_scale"] == pytest.approx(top / 127, rel=1e-6)


def test_joined_tensors_share_a_scale(int8):
    values, made_by = constants(int8), makers(int8)
    joins = [node for node in int8.graph.node if node.op_type == "Concat"]
    assert len(joins) == 5
    for node in joins:
        earlier = made_by[node.input[0]]  # the other input has no Q/DQ of its own
        assert values[earlier.input[1]] == values[f"{node.output[0]}_scale"]


def test_the_source_graph_is_left_alone(model, ranges):
    before = to_bytes(model)
    quantised(model, ["layers.3.0"], ranges)
    assert to_bytes(model) == before


def test_some_layers_can_stay_in_float(model, ranges):
    some = quantised(model, ["layers.2.0", "layers.9.0"], ranges)
    assert quantised_layers(some) == ["layers.2.0", "layers.9.0"]


def test_the_quantised_graph_keeps_the_contract_and_nearly_the_answers(model, int8):
    check_graph(int8, SPEC, CLASSES)
    manifest = manifest_of(model, SPEC)
    gap = compare_outputs(answers(model), answers(int8), manifest.thresholds, SPEC, manifest.tolerances["int8"])
    assert gap.mean_mask_difference < 8  # 13 random layers at some 30 dB each; a wrong scale gives 60 and more
    assert gap.largest_score_difference < 0.25


def test_noise_is_least_in_the_first_layer_and_absent_without_quantisation(model, int8):
    names = [node.output[0] for node in convolutions(model)]
    noise = signal_to_noise(Probe(model, names, 1), Probe(int8, names, 1), INPUTS[:3])
    assert 25 < noise[names[0]] < 60
    assert noise[names[12]] < noise[names[0]]
    exact = signal_to_noise(Probe(model, names, 1), Probe(model, names, 1), INPUTS[:3])
    assert set(exact.values()) == {200.0}


def test_histograms_count_every_value(model):
    tensors = activations_of(model, quantisable(model))
    seen = histograms(Probe(model, tensors, 1), INPUTS, lambda count: None)
    values = np.concatenate([frame[tensors[0]].ravel() for frame in Probe(model, tensors[:1], 1).frames(INPUTS)])
    pooled = seen[tensors[0]]
    assert pooled.counts.sum() == 12 * 16 * 16
    assert pooled.top == pytest.approx(np.abs(values).max())


def test_half_precision_keeps_the_contract_and_nearly_the_answers(model):
    half = halved(model)
    check_graph(half, SPEC, CLASSES)
    kinds = {tensor.data_type for tensor in half.graph.initializer if tensor.name.startswith("layers")}
    assert kinds == {TensorProto.FLOAT16}
    manifest = manifest_of(model, SPEC)
    gap = compare_outputs(answers(model), answers(half), manifest.thresholds, SPEC, manifest.tolerances["fp16"])
    assert gap.largest_score_difference < manifest.tolerances["fp16"].score
    assert gap.largest_mask_difference <= manifest.tolerances["fp16"].mask


@pytest.mark.skipif(
    tuple(map(int, ort.__version__.split(".")[:2])) < (1, 31),
    reason=f"onnxruntime {ort.__version__} computes float16 Q/DQ inexactly on the CPU; 1.31 does not",
)
def test_half_precision_around_int8(model, int8):
    half = halved(int8)
    check_graph(half, SPEC, CLASSES)
    values = constants(half)
    assert all(value.dtype == np.float16 for name, value in values.items() if name.endswith("_scale"))
    assert quantised_layers(half) == quantised_layers(int8)
    exact, coarse, both = (answers(graph).masks.astype(float) for graph in (model, int8, half))
    assert np.abs(both - coarse).mean() < np.abs(exact - coarse).mean()  # it flips ties, and no more than that


def test_a_weight_too_large_for_half_precision_is_refused(model):
    large = onnx.ModelProto()
    large.CopyFrom(model)
    tensor = next(tensor for tensor in large.graph.initializer if tensor.name == "layers.0.0.weight")
    tensor.CopyFrom(numpy_helper.from_array(numpy_helper.to_array(tensor) * 1e6, tensor.name))
    with pytest.raises(GraphError, match=r"layers\.0\.0\.weight: found .*float16 holds up to 65504"):
        halved(large)


def test_a_scale_too_small_for_half_precision_is_refused():
    model = outlier_model(SPEC)
    layers = quantisable(model)
    tiny = quantised(model, layers, dict.fromkeys(activations_of(model, layers), 1e-3))
    with pytest.raises(GraphError, match="found a scale of"):
        halved(tiny)
