"""Drawn images of magnetic tiles as of a grey line-scan camera, with the ground truth of their defects.

It replaces a camera and a data set where there is none. A picture depends on its arguments alone: the
surface on (seed, index), the defect on (seed, index, kind), light and sensor noise on (seed, index, exposure). So a
part can be drawn with and without its defect, or once more in another light. numpy 1.26 with OpenCV 4.11 and
numpy 2.4 with OpenCV 5.0 draw identical pixels; other releases may differ in single grey levels.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.random import PCG64, Generator, SeedSequence
from numpy.typing import NDArray

from synthetic.defects import DEFECTS
from synthetic.surfaces import Plane, draw_surface

CLASSES: tuple[str, ...] = tuple(DEFECTS)

_DECK = 50  # with 30 % defective, three of each of the five kinds
_SURFACE, _DEFECT, _CAMERA, _ORDER = range(4)  # what a random stream is for


@dataclass(frozen=True)
class Tile:
    """A drawn part.

    `image` is grey uint8 [H, W]; `masks` is the truth, uint8 [5, H, W] in the order of `CLASSES`, 255 on the defect
    and 0 elsewhere; `kind` is one of `CLASSES`, or None for a good part.
    """

    image: NDArray[np.uint8]
    masks: NDArray[np.uint8]
    kind: str | None


def draw_tile(seed: int, index: int, kind: str | None, *, exposure: int = 0) -> Tile:
    """Draw part number `index` with a defect of this kind, or good where the kind is None.

    `exposure` numbers pictures of the same part in different light. Raises ValueError for an unknown kind.
    """
    surface = draw_surface(_stream(seed, index, _SURFACE))
    reflectance = surface.reflectance
    masks = np.zeros((len(CLASSES), *surface.shape), np.uint8)
    if kind is not None:
        channel = _channel(kind)
        defect = DEFECTS[kind](_stream(seed, index, _DEFECT, channel), surface)
        cover = defect.cover * surface.part
        reflectance += cover * (defect.reflectance - reflectance)
        masks[channel] = np.where(cover >= 0.5, 255, 0)
    return Tile(expose(_stream(seed, index, _CAMERA, exposure), reflectance), masks, kind)


def draw_part(seed: int, index: int, defective_share: float = 0.3) -> Tile:
    """Draw part number `index` of a production in which that share is defective."""
    return draw_tile(seed, index, choose_kind(seed, index, defective_share))


def choose_kind(seed: int, index: int, defective_share: float = 0.3) -> str | None:
    """Draw the kind of part number `index`.

    Kinds come from shuffled blocks of 50 parts that have the share exactly and every class equally often, so that even
    a short production has parts of every class. Raises ValueError for a share outside 0 to 1.
    """
    if not 0 <= defective_share <= 1:
        raise ValueError(f"defective_share is {defective_share}, expected 0 to 1")
    deck, card = divmod(index, _DECK)
    first, last = (round(defective_share * _DECK * number) for number in (deck, deck + 1))
    dealt = first + int(_stream(seed, deck, _ORDER).permutation(_DECK)[card])
    return CLASSES[dealt % len(CLASSES)] if dealt < last else None


def _stream(*key: int) -> Generator:
    return Generator(PCG64(SeedSequence(key)))


def _channel(kind: str) -> int:
    if kind not in CLASSES:
        raise ValueError(f"no defect is called {kind!r}, expected one of {', '.join(CLASSES)}, or None for a good part")
    return CLASSES.index(kind)


def expose(rng: Generator, reflectance: Plane) -> NDArray[np.uint8]:
    """Light the surface, let the lens darken the borders, add sensor noise and read out uint8."""
    signal = reflectance * np.float32(rng.uniform(70, 165))
    for axis, length in enumerate(signal.shape):
        place = np.linspace(-1, 1, length, dtype=np.float32)
        light = 1 + rng.uniform(-0.12, 0.12) * place - rng.uniform(0, 0.06) * place**2
        signal *= np.expand_dims(light, 1 - axis)
    noise = rng.standard_normal(signal.shape, dtype=np.float32)
    noise *= 0.8 + 0.008 * signal  # read-out noise, and a part that grows with the light
    signal += noise
    np.clip(signal, 0, 255, out=signal)
    return np.asarray(np.rint(signal, out=signal), np.uint8)
