"""Small graphs that fulfil the bundle's contract, made by hand, without torch."""

import numpy as np
from onnx import TensorProto, helper, numpy_helper

from bundle import InputSpec, MadeFrom, Manifest, Threshold, write_bundle
from bundle.folder import MODEL
from bundle.golden import encode
from export.assembly import open_draft
from export.contract import OPSET, check_graph
from export.frames import draw_golden
from export.precision import TOLERANCES
from export.tidy import to_bytes

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
    size = [spec.height // POOLING, spec.width // POOLING]
    graph = helper.make_graph(
        nodes,
        "network",
        [helper.make_tensor_value_info("frames", TensorProto.UINT8, ["N", spec.channels, spec.height, spec.width])],
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
