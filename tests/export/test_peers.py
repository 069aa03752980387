"""A peer's network becomes a bundle as the CAN does, padded and cropped inside its graph."""

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="torch is not installed: reading a checkpoint needs it")

from bundle import InputSpec, Threshold  # noqa: E402
from export.assembly import open_draft  # noqa: E402
from export.contract import check_graph  # noqa: E402
from export.graph import BundleNetwork, Source  # noqa: E402
from export.tidy import to_bytes  # noqa: E402
from tests.export.networks import manifest_of  # noqa: E402
from tests.torchvision_operators import declare_torchvision_operators  # noqa: E402
from train.checkpoint import Meta  # noqa: E402
from train.errors import TrainError  # noqa: E402
from train.models import make_network  # noqa: E402
from train.recipe import NetworkRecipe, Recipe  # noqa: E402
from train.splits import Split  # noqa: E402

CLASSES = ("dent", "scratch")
SPEC = InputSpec(height=40, width=34, channels=1)


@pytest.fixture(scope="module")
def source():
    """The document's first peer with random weights."""
    declare_torchvision_operators()
    torch.manual_seed(3)
    torch.set_num_threads(1)
    recipe = Recipe(name="peer", input=SPEC, network=NetworkRecipe(model="unet-resnet50", pretrained=False))
    try:
        network = make_network(recipe.network, 1, len(CLASSES)).eval()
    except TrainError as error:
        pytest.skip(str(error))
    split = Split(kind="by-part", seed=0, images={})
    thresholds = {name: Threshold() for name in CLASSES}
    meta = Meta(recipe=recipe, classes=CLASSES, split=split, thresholds=thresholds, epoch=1)
    return Source(meta, "", BundleNetwork(network).eval(), SPEC)


def test_sides_that_32_does_not_divide(source):
    model = source.to_onnx()
    size = check_graph(model, SPEC, CLASSES)
    assert (size.height, size.width) == (40, 34)
    frames = np.random.default_rng(0).integers(0, 256, (3, 1, 40, 34), dtype=np.uint8)
    scores, masks = open_draft(to_bytes(model), manifest_of(model, SPEC, CLASSES), threads=1).infer(frames)
    expected_scores, expected_masks = source.infer(frames)
    assert np.abs(scores - expected_scores).max() < 1e-5  # float32, another order of summation
    assert np.abs(masks.astype(int) - expected_masks).max() <= 1  # a value within that of a half
