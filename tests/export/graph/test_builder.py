"""TensorRT's builder takes the graphs, through the code that builds them on a board. No GPU is needed."""

import io
import re

import pytest

from edge.engines.tensorrt_.api import BuildRequest, open_tensorrt
from edge.engines.tensorrt_.plan_key import BuildOptions
from export.graph.fp16 import halved
from export.graph.qdq import activations_of, quantisable, quantised, quantised_layers, tied
from tests.export.networks import can_model, manifest_of, spec_of

SPEC = spec_of(64, 64)
pytest.importorskip("tensorrt_rtx", reason="TensorRT for RTX is not installed: pip install tensorrt-rtx-cu13")


@pytest.fixture(scope="module")
def model():
    return can_model(SPEC, width=32)  # the width of the shipped networks: tensor cores want multiples of 32


@pytest.fixture(scope="module")
def int8(model):
    layers = quantisable(model)
    return quantised(model, layers, tied(model, dict.fromkeys(activations_of(model, layers), 4.0)))


def layers_of(graph):
    """Build for compute capability 8.6; the layer list's lines by layer, as the builder tells them."""
    tensorrt, words = open_tensorrt("tensorrt_rtx"), io.StringIO()
    manifest = manifest_of(graph, SPEC)
    order = BuildRequest(graph.SerializeToString(), manifest, tensorrt.target("", "8.6"), 1, BuildOptions())
    plan, _, _ = tensorrt.build(order, words, None, lambda phase, done, steps: None)
    assert len(plan) > 10_000
    lines = words.getvalue().partition("Layers:")[2].splitlines()
    return [line for line in lines if line.startswith("Name:")]


def input_types(line):
    return re.findall(r"Datatype: (\w+)", line.partition("Outputs:")[0])


def convolutions_in(lines):
    """Data type of the first input, by the name of the convolution that the line's kernel computes."""
    named = [(re.match(r"Name: (layers\.\d+\.0|head)", line), line) for line in lines]
    return {match[1]: input_types(line)[0] for match, line in named if match}


def test_every_quantised_convolution_becomes_an_int8_kernel(int8):
    built = convolutions_in(layers_of(int8))
    assert built == dict.fromkeys(quantised_layers(int8), "Int8") | {"head": "Float"}


def test_with_the_rest_in_half_precision_as_well(int8):
    built = convolutions_in(layers_of(halved(int8)))
    assert built == dict.fromkeys(quantised_layers(int8), "Int8") | {"head": "Half"}


def test_a_float_graph_fuses_convolution_and_activation(model):
    fused = [line for line in layers_of(model) if re.match(r"Name: __myl_CorrMulMax", line)]
    assert len(fused) == 13
    assert {kind for line in fused for kind in input_types(line)} == {"Float"}


def test_a_half_precision_graph_computes_in_half(model):
    fused = [line for line in layers_of(halved(model)) if re.match(r"Name: __myl_Corr", line)]
    assert len(fused) == 13
    assert "Half" in {kind for line in fused for kind in input_types(line)}
