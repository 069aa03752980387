"""Batched inference over many frames, with a progress bar."""

from collections.abc import Callable, Iterator, Sequence
from itertools import groupby

import numpy as np
from rich.console import Console
from rich.progress import Progress

from bundle import Image, InputSpec
from bundle.golden import Infer
from train.data.dataset import Sample
from train.data.image_set import ImageSet, load_images
from train.evaluate.outputs import Outputs

BATCH = 8
"""Frames per inference; more gains little on a CPU."""

CHUNK = 32
"""Labelled images in memory at a time."""


def run(infer: Infer, inputs: Image, advance: Callable[[int], None] = lambda count: None) -> Outputs:
    """Run preprocessed frames, uint8 [N, C, H, W], in batches; `advance` is called with each batch's size."""
    scores, masks = [], []
    for start in range(0, len(inputs), BATCH):
        answer = infer(inputs[start : start + BATCH])
        scores.append(answer[0])
        masks.append(answer[1])
        advance(len(answer[0]))
    return Outputs(np.concatenate(scores), np.concatenate(masks))


def load_in_chunks(samples: Sequence[Sample], spec: InputSpec, classes: int) -> Iterator[ImageSet]:
    """Load labelled images in chunks. Raises DataError for a damaged image, FrameError for one too small to crop."""
    for start in range(0, len(samples), CHUNK):
        yield load_images(samples[start : start + CHUNK], spec, classes)


def chunks_of_parts(samples: Sequence[Sample]) -> Iterator[list[int]]:
    """Indices of the samples in chunks of `CHUNK` or more, all pictures of a part in one of them."""
    chunk: list[int] = []
    by_part = sorted(range(len(samples)), key=lambda at: samples[at].part)
    for _, of_part in groupby(by_part, lambda at: samples[at].part):
        chunk += of_part
        if len(chunk) >= CHUNK:
            yield chunk
            chunk = []
    if chunk:
        yield chunk


class Bar(Progress):
    """Transient progress bar over images, on standard error."""

    def __init__(self, description: str, images: int):
        super().__init__(console=Console(stderr=True), transient=True)
        self._images = self.add_task(description, total=images)

    def step(self, images: int) -> None:
        """Advance by this number of images."""
        self.update(self._images, advance=images)
