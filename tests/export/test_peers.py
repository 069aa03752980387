"""Graphs of the peers and of networks on a pretrained encoder.

The same bundle contract, the same answers as torch, and TensorRT's builder takes them.
"""

import importlib.util
import io
from typing import NamedTuple

import numpy as np
import onnx
import pytest

torch = pytest.importorskip("torch", reason="torch is not installed: checkpoints cannot be read here")

from tests.torchvision_operators import declare_torchvision_operators  # noqa: E402

declare_torchvision_operators()
pytest.importorskip("segmentation_models_pytorch", reason="not installed: pip install 'edge-inspect[peers]'")

from bundle import InputSpec, Threshold  # noqa: E402
from edge.engines.tensorrt_.api import BuildRequest, open_tensorrt  # noqa: E402
from edge.engines.tensorrt_.plan_key import BuildOptions  # noqa: E402
from export.bundles.assemble import open_draft  # noqa: E402
from export.graph.cleanup import to_bytes  # noqa: E402
from export.graph.from_checkpoint import BundleNetwork, Source  # noqa: E402
from export.graph.signature import check_graph  # noqa: E402
from tests.export.networks import manifest_of  # noqa: E402
from train.data.splits import Split  # noqa: E402
from train.models.build import make_network  # noqa: E402
from train.models.checkpoint import Meta  # noqa: E402
from train.network_recipe import MemberRecipe, NetworkRecipe  # noqa: E402
from train.recipe import Recipe  # noqa: E402

PADDED = InputSpec(height=72, width=50, channels=1)  # sides that 32 does not divide: padded and cropped in the graph
STRIDED = InputSpec(height=96, width=64, channels=1)
PEERS = {
    "unet-resnet50": PADDED,
    "unet-densenet121": PADDED,
    "hrnet": PADDED,
    "upernet": PADDED,
    "upernet-lite": PADDED,
    "can-lite": STRIDED,
    "unet-lite": STRIDED,
    "patch-classifier": STRIDED,
    "ensemble": STRIDED,
}
DECIDED = tuple(
    MemberRecipe(height=height, width=width, network=NetworkRecipe(model=model, pretrained=False, width=8, pooling=4))
    for model, height, width in (("patch-classifier", 96, 64), ("can", 48, 40))
)
"""Members of an ensemble that a classifier of patches decides."""
CLASSES = ("A", "B", "C")


class Peer(NamedTuple):
    """A peer with random weights, and its graph."""

    source: Source
    graph: onnx.ModelProto


@pytest.fixture(scope="module", params=sorted(PEERS))
def peer(request: pytest.FixtureRequest) -> Peer:
    torch.manual_seed(0)
    spec = PEERS[request.param]
    members = DECIDED if request.param == "ensemble" else ()
    network_recipe = NetworkRecipe(model=request.param, pretrained=False, members=members)
    recipe = Recipe(name="peer", input=spec, network=network_recipe)
    network = make_network(recipe.network, spec.channels, len(CLASSES)).train()
    with torch.no_grad():  # settles the normalisation layers
        network(torch.randint(0, 256, (4, 1, spec.height, spec.width), dtype=torch.uint8))
    thresholds = {name: Threshold() for name in CLASSES}
    split = Split(kind="random", seed=0, images={})
    meta = Meta(recipe=recipe, classes=CLASSES, split=split, thresholds=thresholds, epoch=1)
    source = Source(meta=meta, sha256="", network=BundleNetwork(network.eval()).eval(), input=spec)
    return Peer(source, source.to_onnx())


def test_a_peer_answers_as_torch_does(peer: Peer) -> None:
    spec = peer.source.input
    check_graph(peer.graph, spec, CLASSES)
    frames = np.random.default_rng(0).integers(0, 256, (3, 1, spec.height, spec.width), dtype=np.uint8)
    scores, masks = open_draft(to_bytes(peer.graph), manifest_of(peer.graph, spec, CLASSES), 1).infer(frames)
    expected = peer.source.infer(frames)

    assert np.abs(scores - expected[0]).max() < 1e-4  # other orders of summation in float32
    assert np.abs(masks.astype(int) - expected[1]).max() <= 1


def test_the_builder_takes_a_peer(peer: Peer) -> None:
    if importlib.util.find_spec("tensorrt_rtx") is None:
        pytest.skip("TensorRT for RTX is not installed: pip install tensorrt-rtx-cu13")
    tensorrt = open_tensorrt("tensorrt_rtx")
    manifest = manifest_of(peer.graph, peer.source.input, CLASSES)
    order = BuildRequest(to_bytes(peer.graph), manifest, tensorrt.target("", "8.6"), 1, BuildOptions())
    plan, _, _ = tensorrt.build(order, io.StringIO(), None, lambda phase, done, steps: None)

    assert len(plan) > 10_000
