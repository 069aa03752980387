"""Page of doubtful labels: the pictures of each part side by side, with label and prediction."""

from collections.abc import Iterator, Sequence
from itertools import groupby

import cv2
import numpy as np

from bundle.outlines import draw_outlines, outlines_of
from train.data.dataset import Image, Masks
from train.evaluate.suspects import Suspect
from train.report.page import heading, page, paragraph, thumbnail

_HEIGHT_PX = 320
_OUTLINE = (0, 170, 0)
"""BGR, of the label's mask."""


def suspects_page(suspects: Sequence[Suspect], title: str) -> str:
    """The page as HTML; reads the pictures one after another."""
    return page(title, _parts(suspects))


def _parts(suspects: Sequence[Suspect]) -> Iterator[str]:
    yield paragraph(f"{len(suspects)} pictures. Green: outline of the label.")
    for part, pictures in groupby(suspects, key=lambda one: one.sample.part):
        yield heading(part)
        for one in pictures:
            image = one.sample.load_image()
            png = _outlined(image, one.sample.load_masks(*image.shape[:2]))
            said = f"label {one.label}, prediction {one.opinion} ({one.score:.2f})"
            yield thumbnail(png, f"{one.sample.path.name}: {said}; {one.reason}")


def _outlined(image: Image, truth: Masks) -> bytes:
    """PNG of a picture, uint8 [H, W] or RGB [H, W, 3], with its truth [C, H, W] outlined, `_HEIGHT_PX` high."""
    height, width = image.shape[:2]
    picture = np.ascontiguousarray(np.broadcast_to(image.reshape(height, width, -1), (height, width, 3))[..., ::-1])
    for mask in truth:
        draw_outlines(picture, outlines_of(mask), _OUTLINE)
    size = max(1, round(width * _HEIGHT_PX / height)), _HEIGHT_PX
    _, png = cv2.imencode(".png", cv2.resize(picture, size, interpolation=cv2.INTER_AREA))
    return png.tobytes()
