"""Decodes the run lengths of Label Studio's brush.

Bit stream as in label-studio-sdk, converter/brush.py: 32 bits number of values, 5 bits word size - 1, four times 4 bits
run size - 1; then per run one bit (1: repeated), two bits that choose the run size, the run's length - 1, and one value
or as many as the length says. The values are RGBA pixels, of which alpha is the mask.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np

from train.data.dataset import Masks
from train.errors import DataError

_CHANNELS = 4
_DRAWN = 127
"""Alpha above which a pixel is drawn."""


def brush_mask(runs: Sequence[Any], height: int, width: int, where: str) -> Masks:
    """The mask, bool [height, width]. Raises DataError unless the runs fill it exactly, with a drawn pixel."""
    if any(isinstance(one, bool) or not isinstance(one, int) or not 0 <= one < 256 for one in runs):
        raise _error(where, "values that are no bytes", "numbers from 0 to 255")
    size = height * width * _CHANNELS
    stream = _Bits(np.unpackbits(np.array(runs, np.uint8)).tolist(), where)
    stated, word = stream.read(32), stream.read(5) + 1
    if stated != size:
        raise _error(where, f"{stated} values", f"{size}, four for each of {width}x{height} pixels")
    lengths = [stream.read(4) + 1 for _ in range(4)]
    values = np.zeros(size, np.int64)
    done = 0
    while done < size:
        repeated = stream.read(1)
        end = done + 1 + stream.read(lengths[stream.read(2)])
        if end > size:
            raise _error(where, f"a run up to value {end}", f"at most {size}")
        values[done:end] = stream.read(word) if repeated else [stream.read(word) for _ in range(end - done)]
        done = end
    mask = values.reshape(height, width, _CHANNELS)[..., 3] > _DRAWN
    if not mask.any():
        raise _error(where, "a brush mask without a pixel", "at least one")
    return np.asarray(mask)


class _Bits:
    """Whole numbers read from bits, the highest bit first."""

    def __init__(self, bits: list[int], where: str):
        self._bits, self._where, self._at = bits, where, 0

    def read(self, count: int) -> int:
        """The next number of `count` bits. Raises DataError at the end."""
        bits = self._bits[self._at : self._at + count]
        if len(bits) < count:
            raise _error(self._where, "run lengths that are cut off", "their end")
        self._at += count
        return sum(bit << (count - 1 - place) for place, bit in enumerate(bits))


def _error(where: str, found: str, expected: str) -> DataError:
    return DataError(f"{where}: found {found}, expected {expected}; export the annotations again")
