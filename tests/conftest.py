"""Shared fixtures: a bundle small enough to compute its outputs by hand."""

import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper

from bundle import Golden, InputSpec, MadeFrom, Manifest, MaskSize, Threshold, Tolerance, write_bundle
from bundle.golden import encode

HEIGHT, WIDTH = 16, 12
CLASSES = ("Bright", "Dark")


def tiny_model(height: int = HEIGHT, width: int = WIDTH) -> bytes:
    """Make an ONNX graph with the bundle's contract: Bright is the brightness of 2x2 cells, Dark what is missing."""
    nodes = [
        helper.make_node("Cast", ["frames"], ["levels"], to=TensorProto.FLOAT),
        helper.make_node("Div", ["levels", "full"], ["x"]),
        helper.make_node("AveragePool", ["x"], ["bright"], kernel_shape=[2, 2], strides=[2, 2]),
        helper.make_node("Sub", ["one", "bright"], ["dark"]),
        helper.make_node("Concat", ["bright", "dark"], ["p"], axis=1),
        helper.make_node("ReduceMax", ["p", "axes"], ["scores"], keepdims=0),
        helper.make_node("Mul", ["p", "full"], ["scaled"]),
        helper.make_node("Add", ["scaled", "half"], ["shifted"]),
        helper.make_node("Floor", ["shifted"], ["floored"]),
        helper.make_node("Cast", ["floored"], ["masks"], to=TensorProto.UINT8),
    ]
    constants = {"full": 255.0, "one": 1.0, "half": 0.5}
    weights = [helper.make_tensor(name, TensorProto.FLOAT, [], [value]) for name, value in constants.items()]
    weights.append(helper.make_tensor("axes", TensorProto.INT64, [2], [2, 3]))
    cells = [height // 2, width // 2]
    graph = helper.make_graph(
        nodes,
        "tiny",
        [helper.make_tensor_value_info("frames", TensorProto.UINT8, ["N", 1, height, width])],
        [
            helper.make_tensor_value_info("scores", TensorProto.FLOAT, ["N", 2]),
            helper.make_tensor_value_info("masks", TensorProto.UINT8, ["N", 2, *cells]),
        ],
        weights,
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9)
    onnx.checker.check_model(model)
    return model.SerializeToString()


def tiny_outputs(inputs: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Compute in numpy what the tiny model computes."""
    count, _, height, width = inputs.shape
    bright = inputs.reshape(count, height // 2, 2, width // 2, 2).mean(axis=(2, 4)) / 255
    p = np.stack([bright, 1 - bright], axis=1).astype(np.float32)  # [N, 2, h, w]
    return p.max(axis=(2, 3)), np.floor(p * 255 + 0.5).astype(np.uint8)


def grey_frame(spot: int | None = None) -> np.ndarray:
    """Make a mid-grey frame; with a spot, a block of 4x4 pixels of that level at row 4, column 2."""
    frame = np.full((HEIGHT, WIDTH), 128, np.uint8)
    if spot is not None:
        frame[4:8, 2:6] = spot
    return frame


def tiny_manifest(**changes: object) -> Manifest:
    """Make the tiny bundle's manifest."""
    content = {
        "name": "tiny",
        "classes": CLASSES,
        "input": InputSpec(height=HEIGHT, width=WIDTH, channels=1),
        "masks": MaskSize(height=HEIGHT // 2, width=WIDTH // 2),
        "thresholds": {name: Threshold(score=0.9, level=200, min_area_px=8) for name in CLASSES},
        "precision": "fp32",
        "tolerances": {"fp32": Tolerance(score=1e-5, mask=1)},
        "made_from": MadeFrom(recipe={}, checkpoint_sha256="", split={}, metrics={}, software={}),
        "files": {},
    }
    return Manifest(**{**content, **changes})


def tiny_files() -> dict[str, bytes]:
    """Make the tiny bundle's files."""
    frames = (grey_frame(), grey_frame(spot=255))
    scores, masks = tiny_outputs(np.stack(frames)[:, np.newaxis])
    return {"model.onnx": tiny_model(), **encode(Golden(frames, scores, masks))}


@pytest.fixture
def make_bundle(tmp_path: Path) -> Callable[..., Path]:
    """Write a tiny bundle; keywords change its manifest."""

    def make(name: str = "tiny", **changes: object) -> Path:
        write_bundle(tmp_path / name, tiny_manifest(**changes), tiny_files())
        return tmp_path / name

    return make


ANYIO_WORKER = "AnyIO worker thread"
"""Of FastAPI and asyncua, which ends by itself soon after its event loop."""


@pytest.fixture(autouse=True)
def no_thread_left() -> Iterator[None]:
    """Fail a test that leaves one of our threads running."""
    before = set(threading.enumerate())
    yield
    new = [thread for thread in threading.enumerate() if thread not in before and not thread.daemon]
    for thread in new:
        if thread.name == ANYIO_WORKER:
            thread.join(10)
    left = [thread.name for thread in new if thread.is_alive()]
    assert not left, f"threads left running: {left}"
