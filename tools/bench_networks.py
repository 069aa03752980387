"""Networks with random weights that are measured, and their graphs."""

import hashlib
from inspect import getsource
from pathlib import Path

import onnx
import torch

from bundle import InputSpec, Threshold, write_whole
from export.graph.from_checkpoint import BundleNetwork, Source
from train.data.splits import Split
from train.models.build import make_network
from train.models.checkpoint import Meta
from train.network_recipe import NetworkRecipe
from train.recipe import Recipe, load_recipe

OURS: dict[str, dict[str, object]] = {
    f"CAN {width}, pooling {pooling}": {"model": "can", "width": width, "pooling": pooling}
    for pooling in (4, 2)
    for width in (24, 32, 64)
}
OURS |= {
    "CAN fine 24": {"model": "can-fine", "width": 24},
    "CAN fine 32": {"model": "can-fine", "width": 32},
    "CAN fine 32, skips added": {"model": "can-fine", "width": 32, "skip": "add"},
    "CAN fine 32, separable": {"model": "can-fine", "width": 32, "separable": True},
    "CAN fine 64, separable": {"model": "can-fine", "width": 64, "separable": True},
    "CAN fine 64": {"model": "can-fine", "width": 64},
    "CAN lite": {"model": "can-lite", "width": 32},
    "U-Net lite": {"model": "unet-lite", "width": 32},
    "few-defects": load_recipe("few-defects").network.model_dump(exclude_unset=True),
}
"""Values of the recipe's table `network`."""
PEERS: dict[str, dict[str, object]] = {
    name: {"model": name} for name in ("unet-resnet50", "unet-densenet121", "hrnet", "upernet")
}
"""Networks that the document compares its own with."""
ABLATION = {
    "CAN fine 24": (73.0, 32.5),
    "CAN fine 32": (71.6, 41.2),
    "CAN fine 32, skips added": (76.1, 36.3),
    "CAN 32, pooling 4": (69.7, 30.3),
    "CAN 32, pooling 2": (75.0, 27.8),
    "CAN fine 32, separable": (61.3, 35.7),
    "CAN fine 64": (70.0, 31.4),
}
"""Average precision of defect or not and IoU of the union in percent: train/RESULTS.md, "Ablation"."""


def untrained(name: str, spec: InputSpec, classes: tuple[str, ...]) -> Source:
    """Build a network with random weights."""
    torch.manual_seed(0)
    network = NetworkRecipe.model_validate((OURS | PEERS)[name] | {"pretrained": False})
    recipe = Recipe(name="bench", input=spec, network=network)
    body = make_network(network, spec.channels, len(classes)).eval()
    split, thresholds = Split(kind="random", seed=0, images={}), {one: Threshold() for one in classes}
    meta = Meta(recipe=recipe, classes=classes, split=split, thresholds=thresholds, epoch=1)
    return Source(meta=meta, sha256="", network=BundleNetwork(body).eval(), input=spec)


def graph_of(source: Source, name: str, folder: Path) -> onnx.ModelProto:
    """ONNX of a network, kept in a folder under its name, size and the sources that it is made by."""
    root, digest = Path(__file__).resolve().parents[1], hashlib.sha256((getsource(untrained) + str(OURS)).encode())
    for path in (*sorted(root.glob("train/models/*.py")), *sorted(root.glob("export/graph/*.py"))):
        digest.update(path.read_bytes())
    size = f"{source.input.width}x{source.input.height}"
    kept = folder / f"{name.replace(' ', '-').replace(',', '')}-{size}-{digest.hexdigest()[:12]}.onnx"
    if not kept.exists():
        folder.mkdir(parents=True, exist_ok=True)
        write_whole(kept, source.to_onnx().SerializeToString())
    return onnx.load(kept)
