"""The child of `tools/bench --rivals`: one network of another package with random weights, measured on request.

Runs in the environment of that package. Reads numbers of frames from standard input; writes a line "ready", then for
each number one line of JSON: the milliseconds of each frame, and the processor's milliseconds per frame.
"""

import json
import os
import sys
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from time import perf_counter, process_time
from typing import IO

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from tests.torchvision_operators import declare_torchvision_operators

declare_torchvision_operators()

import torch
from torch import Tensor

Run = Callable[[Tensor], object]
PATCHES = 10_000
"""Entries of PatchCore's memory: about a tenth of the patches of 60 pictures at 384x288, its default share."""
CLASSES = 5


def patchcore() -> Run:
    """PatchCore with anomalib's default backbone, a memory of random patches."""
    from anomalib.models.image.patchcore.torch_model import PatchcoreModel

    model = PatchcoreModel(layers=("layer2", "layer3"), pre_trained=False).eval()
    model.memory_bank = torch.rand(PATCHES, 1536)  # channels of layer2 and layer3 of wide_resnet50_2
    return model


def efficient_ad() -> Run:
    """EfficientAD with anomalib's default size."""
    from anomalib.models.image.efficient_ad.torch_model import EfficientAdModel

    model = EfficientAdModel().eval()
    with torch.no_grad():
        for value in (*model.mean_std.values(), *model.quantiles.values()):
            value.fill_(1.0)
    return model


def super_simple_net() -> Run:
    """SuperSimpleNet with anomalib's default backbone; built of a module, because of a name it loads the weights."""
    from anomalib.models.image.supersimplenet.torch_model import SupersimplenetModel
    from timm import create_model

    return SupersimplenetModel(backbone=create_model("wide_resnet50_2", pretrained=False)).eval()


def yolo() -> Run:
    """The smallest segmentation network of ultralytics."""
    from ultralytics.nn.tasks import SegmentationModel

    return SegmentationModel("yolo11n-seg.yaml", ch=3, nc=CLASSES, verbose=False).eval()


NETWORKS = {
    "patchcore": patchcore,
    "efficient-ad": efficient_ad,
    "supersimplenet": super_simple_net,
    "yolo11n-seg": yolo,
}


def answer_stream() -> IO[str]:
    """Return standard output for the answers alone; what the packages print or log goes to standard error."""
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    return answers


def main() -> None:
    """Build the network, then measure until the end of the input."""
    name, height, width, threads = sys.argv[1], *map(int, sys.argv[2:])
    answers = answer_stream()
    torch.set_num_threads(threads)
    torch.manual_seed(0)
    run, frame = NETWORKS[name](), torch.rand(1, 3, height, width)
    print("ready", file=answers, flush=True)
    with torch.inference_mode():
        for line in sys.stdin:
            stamps, before = [perf_counter()], process_time()
            for _ in range(int(line)):
                run(frame)
                stamps.append(perf_counter())
            times = [1e3 * (end - begin) for begin, end in pairwise(stamps)]
            print(json.dumps([times, 1e3 * (process_time() - before) / len(times)]), file=answers, flush=True)


if __name__ == "__main__":
    main()
