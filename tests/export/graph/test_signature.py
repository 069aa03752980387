"""Required inputs and outputs of a bundle's graph."""

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from export.bundles.assemble import open_draft
from export.errors import GraphError
from export.graph.cleanup import tidied, to_bytes
from export.graph.signature import check_graph
from tests.export.networks import CLASSES, finished, levels_model, manifest_of, spec_of

SPEC = spec_of()


def test_a_proper_graph_passes():
    size = check_graph(levels_model(SPEC), SPEC, CLASSES)
    assert (size.height, size.width) == (16, 12)


def renamed_input(model):
    model.graph.input[0].name = "images"
    model.graph.node[0].input[0] = "images"


def fixed_batch(model):
    model.graph.input[0].type.tensor_type.shape.dim[0].dim_value = 1


def exchanged_outputs(model):
    scores, masks = model.graph.output
    model.graph.ClearField("output")
    model.graph.output.extend([masks, scores])


def float_masks(model):
    model.graph.node[-1].attribute[0].i = TensorProto.FLOAT
    model.graph.output[1].type.tensor_type.elem_type = TensorProto.FLOAT


def another_opset(model):
    model.opset_import[0].version = 20


def left_batch_normalisation(model):
    for name in ("s", "o", "m", "v"):
        model.graph.initializer.append(numpy_helper.from_array(np.ones(5, np.float32), name))
    model.graph.node.insert(3, helper.make_node("BatchNormalization", ["away", "s", "o", "m", "v"], ["normal"]))
    model.graph.node[4].input[0] = "normal"


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (renamed_input, "inputs: found .*images"),
        (fixed_batch, "inputs: found"),
        (exchanged_outputs, "outputs: found .*masks.*scores.* expected .*scores.*masks"),
        (float_masks, "outputs: found .*FLOAT"),
        (another_opset, "opsets: found {'': 20}"),
        (left_batch_normalisation, "BatchNormalization: found 1, expected 0"),
    ],
)
def test_anything_else_is_refused(change, said):
    model = levels_model(SPEC)
    change(model)
    with pytest.raises(GraphError, match=said):
        check_graph(model, SPEC, CLASSES)


def test_another_number_of_classes_is_refused():
    with pytest.raises(GraphError, match="outputs"):
        check_graph(levels_model(SPEC), SPEC, CLASSES[:3])


def test_masks_are_rounded_half_up():
    """p * 255 = 0.5 becomes 1 and 1.5 becomes 2, where rounding to even would give 0 and 2."""
    halves = np.array([0.5, 1.5, 254.5, 254.4999, 0.4999])
    logits = np.log(halves / (255 - halves)).astype(np.float32)
    nodes = [
        helper.make_node("Cast", ["frames"], ["x"], to=TensorProto.FLOAT),
        helper.make_node("AveragePool", ["x"], ["pooled"], kernel_shape=[4, 4], strides=[4, 4]),
        helper.make_node("Conv", ["pooled", "zero", "values"], ["logits"]),
    ]
    model = finished(nodes, {"zero": np.zeros((5, 1, 1, 1), np.float32), "values": logits}, SPEC, 5)
    engine = open_draft(to_bytes(model), manifest_of(model, SPEC), threads=1)
    scores, masks = engine.infer(np.zeros((1, 1, 64, 48), np.uint8))
    rounded = np.floor(scores[0].astype(np.float32) * np.float32(255) + np.float32(0.5))
    assert (masks[0, :, 0, 0] == rounded).all()
    assert masks[0, 3:, 0, 0].tolist() == [254, 0]


def test_tidying_changes_no_output():
    model = levels_model(SPEC)
    model.graph.node[0].doc_string = "/home/somebody/file.py"
    tidy = tidied(model)
    frames = np.random.default_rng(1).integers(0, 256, (2, 1, 64, 48), dtype=np.uint8)
    answers = [open_draft(to_bytes(one), manifest_of(one, SPEC), threads=1).infer(frames) for one in (model, tidy)]
    assert (answers[0][0] == answers[1][0]).all()
    assert (answers[0][1] == answers[1][1]).all()
    assert b"somebody" not in to_bytes(tidy)


def test_a_normalisation_that_was_not_folded_becomes_plain():
    rng = np.random.default_rng(3)
    model = levels_model(SPEC)
    for name in ("s", "o", "m", "v"):
        values = rng.uniform(0.5, 2, 5).astype(np.float32)
        model.graph.initializer.append(numpy_helper.from_array(values, name))
    model.graph.node.insert(3, helper.make_node("BatchNormalization", ["away", "s", "o", "m", "v"], ["normal"]))
    model.graph.node[4].input[0] = "normal"
    tidy = tidied(model)
    check_graph(tidy, SPEC, CLASSES)
    frames = rng.integers(0, 256, (2, 1, 64, 48), dtype=np.uint8)
    manifest = manifest_of(levels_model(SPEC), SPEC)
    answers = [open_draft(to_bytes(one), manifest, threads=1).infer(frames)[0] for one in (model, tidy)]
    assert np.abs(answers[0] - answers[1]).max() < 1e-4  # float32, another order of the same operations


def test_tidy_names_are_unique_and_stable():
    names = [node.name for node in tidied(levels_model(SPEC)).graph.node]
    assert len(set(names)) == len(names)
    assert to_bytes(tidied(tidied(levels_model(SPEC)))) == to_bytes(tidied(levels_model(SPEC)))
    onnx.checker.check_model(tidied(levels_model(SPEC)), full_check=True)


def test_convolutions_that_share_weights_have_names_of_their_own():
    shape = ["N", 1, 8, 6]
    nodes = [
        helper.make_node("Conv", ["frames", "layer.weight"], ["first"]),
        helper.make_node("Conv", ["first", "layer.weight"], ["masks"]),
    ]
    graph = helper.make_graph(
        nodes,
        "shared",
        [helper.make_tensor_value_info("frames", TensorProto.FLOAT, shape)],
        [helper.make_tensor_value_info("masks", TensorProto.FLOAT, shape)],
        [numpy_helper.from_array(np.ones((1, 1, 1, 1), np.float32), "layer.weight")],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)])
    assert [node.name for node in tidied(model).graph.node] == ["layer", "layer.2"]
