"""Small graphs that fulfil the bundle's contract, made by hand, without torch."""

import numpy as np
from onnx import TensorProto, helper, numpy_helper

from bundle import InputSpec, MadeFrom, Manifest, Threshold, write_bundle
from bundle.folder import MODEL
from bundle.golden import encode
from export.bundles.assemble import open_draft
from export.bundles.golden_frames import TOLERANCES, draw_golden
from export.graph.cleanup import tidied, to_bytes
from export.graph.signature import OPSET, check_graph

CLASSES = ("Blowhole", "Break", "Crack", "Fray", "Uneven")
BRIGHTNESS = (60, 100, 140, 180, 220)
"""The grey level by which `levels_model` knows each class; anything below 40 is good."""

POOLING = 4


def levels_model(spec, classes=CLASSES, slope=0.5):
    """A class is where the pooled grey level lies within 8 / slope of its own: p = sigmoid(8 - slope * |x - level|)."""
    count = len(classes)
    weights = {
        "w": np.ones((count, 1, 1, 1), np.float32),
        "b": -np.array(BRIGHTNESS[:count], np.float32),
        "slope": np.float32(-slope),
        "offset": np.float32(8),
    }
    nodes = [
        helper.make_node("Cast", ["frames"], ["x"], to=TensorProto.FLOAT),
        helper.make_node("AveragePool", ["x"], ["pooled"], kernel_shape=[POOLING] * 2, strides=[POOLING] * 2),
        helper.make_node("Conv", ["pooled", "w", "b"], ["away"]),
        helper.make_node("Abs", ["away"], ["distance"]),
        helper.make_node("Mul", ["distance", "slope"], ["fall"]),
        helper.make_node("Add", ["fall", "offset"], ["logits"]),
    ]
    return finished(nodes, weights, spec, count)


DILATIONS = (1, 2, 4, 8, 16, 32, 64, 32, 16, 8, 4, 2, 1)
JOINS = {9: 6, 10: 5, 11: 4, 12: 3, 13: 2}


def can_model(spec, width=8, classes=CLASSES, seed=0, bias=-3.0):
    """The Context Aggregation Network's graph, as `edge-export bundle` writes it, with random weights."""
    rng = np.random.default_rng(seed)
    weights = {"scale": np.full((1, 1, 1, 1), 4 / 255, np.float32), "shift": np.full((1, 1, 1, 1), -2, np.float32)}
    nodes = [
        helper.make_node("Cast", ["frames"], ["cast1"], name="cast1", to=TensorProto.FLOAT),
        helper.make_node("Mul", ["cast1", "scale"], ["mul1"], name="mul1"),
        helper.make_node("Add", ["mul1", "shift"], ["add1"], name="add1"),
        helper.make_node("AveragePool", ["add1"], ["pool"], name="pool", kernel_shape=[4, 4], strides=[4, 4]),
    ]
    outputs, read = ["pool"], spec.channels
    for number, dilation in enumerate(DILATIONS, start=1):
        source = outputs[-1]
        if number in JOINS:
            source, read = f"concat{number}", 2 * width
            nodes.append(helper.make_node("Concat", [outputs[JOINS[number]], outputs[-1]], [source], source, axis=1))
        name, out = f"layers.{number - 1}.0", f"leaky{number}"
        nodes.append(convolution(name, source, dilation))
        nodes.append(helper.make_node("LeakyRelu", [name], [out], out, alpha=0.2))
        weights[f"{name}.weight"] = normal(rng, (width, read, 3, 3), 1.4 / np.sqrt(9 * read))
        weights[f"{name}.bias"] = normal(rng, (width,), 0.1)
        outputs.append(out)
        read = width
    nodes.append(convolution("head", outputs[-1], dilation=None))
    nodes[-1].output[0] = "logits"
    weights["head.weight"] = normal(rng, (len(classes), width, 1, 1), 3 / np.sqrt(width))
    weights["head.bias"] = np.full(len(classes), bias, np.float32)
    return tidied(finished(nodes, weights, spec, len(classes)))


def outlier_model(spec):
    """`levels_model` behind a layer with one channel whose weight, and so its activation, is 3000 times the others'.

    The next layer does not heed that channel, but shares one scale between all its inputs: in INT8 the grey level,
    which is 0 to 1 here, falls between two steps.
    """
    loud = np.array([[[[1 / 255]]], [[[3000 / 255]]]], np.float32)
    count = len(CLASSES)
    weights = {
        "loud.weight": loud,
        "loud.bias": np.array([0, 3000], np.float32),
        "levels.weight": np.tile(np.array([[[255.0]], [[1e-6]]], np.float32), (count, 1, 1, 1)),
        "levels.bias": -np.array(BRIGHTNESS, np.float32),
        "last.weight": np.eye(count, dtype=np.float32)[:, :, None, None] * -0.5,
        "last.bias": np.full(count, 8, np.float32),
    }
    nodes = [
        helper.make_node("Cast", ["frames"], ["x"], "cast1", to=TensorProto.FLOAT),
        helper.make_node("AveragePool", ["x"], ["pool"], "pool", kernel_shape=[POOLING] * 2, strides=[POOLING] * 2),
        convolution("loud", "pool", dilation=None),
        convolution("levels", "loud", dilation=None),
        helper.make_node("Abs", ["levels"], ["away"], "away"),
        convolution("last", "away", dilation=None),
    ]
    nodes[-1].output[0] = "logits"
    return tidied(finished(nodes, weights, spec, count))


def anomaly_model(spec):
    """One class: the logit rises with the distance of the grey level from 120, 0 at a distance of 30."""
    weights = {
        "apart.weight": np.array([[[[1]]], [[[-1]]]], np.float32),
        "apart.bias": np.array([-120, 120], np.float32),
        "sum.weight": np.full((1, 2, 1, 1), 0.1, np.float32),
        "sum.bias": np.full(1, -3, np.float32),
    }
    nodes = [
        helper.make_node("Cast", ["frames"], ["x"], "cast1", to=TensorProto.FLOAT),
        helper.make_node("AveragePool", ["x"], ["pool"], "pool", kernel_shape=[POOLING] * 2, strides=[POOLING] * 2),
        convolution("apart", "pool", dilation=None),
        helper.make_node("Relu", ["apart"], ["away"], "away"),
        convolution("sum", "away", dilation=None),
    ]
    nodes[-1].output[0] = "logits"
    return tidied(finished(nodes, weights, spec, 1))


def convolution(name, source, dilation):
    """A 3x3 convolution with this dilation, or a 1x1 where it is None; its output bears its name."""
    sides = {} if dilation is None else {"dilations": [dilation] * 2, "pads": [dilation] * 4}
    return helper.make_node("Conv", [source, f"{name}.weight", f"{name}.bias"], [name], name, **sides)


def normal(rng, shape, deviation):
    return (deviation * rng.standard_normal(shape)).astype(np.float32)


def finished(nodes, weights, spec, classes):
    """The graph with the outputs of every bundle behind `logits`."""
    weights = {**weights, "full": np.float32(255), "half": np.float32(0.5), "axes": np.array([2, 3], np.int64)}
    nodes = [
        *nodes,
        helper.make_node("Sigmoid", ["logits"], ["p"]),
        helper.make_node("ReduceMax", ["p", "axes"], ["scores"], keepdims=0),
        helper.make_node("Mul", ["p", "full"], ["scaled"]),
        helper.make_node("Add", ["scaled", "half"], ["rounded"]),
        helper.make_node("Floor", ["rounded"], ["floored"]),
        helper.make_node("Cast", ["floored"], ["masks"], to=TensorProto.UINT8),
    ]
    seen = spec.network
    size = [seen.height // POOLING, seen.width // POOLING]
    graph = helper.make_graph(
        nodes,
        "network",
        [helper.make_tensor_value_info("frames", TensorProto.UINT8, ["N", seen.channels, seen.height, seen.width])],
        [
            helper.make_tensor_value_info("scores", TensorProto.FLOAT, ["N", classes]),
            helper.make_tensor_value_info("masks", TensorProto.UINT8, ["N", classes, *size]),
        ],
        [numpy_helper.from_array(np.asarray(array), name) for name, array in weights.items()],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", OPSET)], ir_version=10)


def manifest_of(model, spec, classes=CLASSES, split=None, **changes):
    """A manifest for a graph made here."""
    fields = {
        "name": "tiny",
        "classes": classes,
        "input": spec,
        "masks": check_graph(model, spec, classes),
        "thresholds": {name: Threshold() for name in classes},
        "precision": "fp32",
        "tolerances": dict(TOLERANCES),
        "made_from": MadeFrom(recipe={}, checkpoint_sha256="", split=split or {}, metrics={}, software={}),
        "files": {},
    }
    return Manifest(**fields | changes)


def write_tiny_bundle(folder, model, spec, **changes):
    """Write a bundle with drawn golden frames."""
    manifest = manifest_of(model, spec, **changes)
    content = to_bytes(model)
    golden = draw_golden(spec, open_draft(content, manifest, threads=1).infer)
    write_bundle(folder, manifest, {MODEL: content} | encode(golden))
    return folder


def spec_of(height=64, width=48, channels=1):
    return InputSpec(height=height, width=width, channels=channels)
