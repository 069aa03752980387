"""Golden frames and expected outputs of a hostile bundle."""

import io
import struct
import zipfile
import zlib

import cv2
import numpy as np
import pytest

from bundle.golden import EXPECTED
from tests.bundle.hostile_bundles import Make, hostile, memory_limit, refusal


def npz(**members: bytes) -> bytes:
    """An archive with members of any content."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in members.items():
            archive.writestr(f"{name}.npy", content)
    return buffer.getvalue()


def npy(array: np.ndarray) -> bytes:
    buffer = io.BytesIO()
    np.save(buffer, array)
    return buffer.getvalue()


SCORES = npy(np.zeros((2, 2), np.float32))
MASKS = npy(np.zeros((2, 2, 8, 6), np.uint8))
CLAIMS = b"\x93NUMPY\x01\x00\x76\x00{'descr': '<f4', 'fortran_order': False, 'shape': (1000000, 1000000), }"


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        (b"", "File is not a zip file"),
        (npz(scores=SCORES), "1 members"),
        (npz(scores=SCORES, masks=MASKS, more=b"x"), "3 members"),
        (npz(scores=bytes(300 * 2**20), masks=MASKS), "scores.npy of 314572800 bytes"),
        (npz(scores=SCORES, masks=npy(np.zeros((2, 2, 8, 7), np.uint8))), "masks.npy of"),
        (npz(scores=npy(np.zeros((2, 2), np.int32)), masks=MASKS), "scores.npy of <i4"),
        (npz(scores=npy(np.full((2, 2), np.nan, np.float32)), masks=MASKS), "scores outside 0 to 1"),
        (npz(scores=CLAIMS.ljust(144, b"\n"), masks=MASKS), "scores.npy of <f4 (1000000, 1000000)"),
        (npz(scores=bytes(144), masks=MASKS), "without a header"),
        (npz(scores=npy(np.array([None] * 4)), masks=MASKS), "scores.npy"),
    ],
    ids=["none", "one", "three", "bomb", "shape", "type", "nan", "claim", "zeros", "pickle"],
)
def test_odd_expected_outputs_are_refused(make_bundle: Make, content: bytes, problem: str) -> None:
    folder = hostile(make_bundle(), {EXPECTED: content})

    with memory_limit(200 * 2**20):
        assert problem in refusal(folder)


def test_a_bomb_behind_a_false_size_is_refused(make_bundle: Make) -> None:
    archive = bytearray(npz(scores=bytes(300 * 2**20), masks=MASKS))
    entry = archive.index(b"PK\x01\x02")
    archive[entry + 24 : entry + 28] = struct.pack("<I", len(SCORES))  # uncompressed size in the central directory
    folder = hostile(make_bundle(), {EXPECTED: bytes(archive)})

    with memory_limit(200 * 2**20):
        refusal(folder)


def test_a_golden_frame_smaller_than_the_crop_is_refused(make_bundle: Make) -> None:
    crop = {"x": 0, "y": 0, "width": 500, "height": 500}
    spec = {"height": 16, "width": 12, "channels": 1, "crop": crop}

    assert "expected at least 500x500" in refusal(hostile(make_bundle(), **{"input": spec}))


def test_a_golden_frame_that_is_no_png_is_refused(make_bundle: Make) -> None:
    jpeg = cv2.imencode(".jpg", np.zeros((16, 12), np.uint8))[1].tobytes()

    assert "expected one" in refusal(hostile(make_bundle(), {"golden/frame0.png": jpeg}))


def test_a_golden_frame_of_a_billion_pixels_is_refused(make_bundle: Make) -> None:
    png = bytearray(cv2.imencode(".png", np.zeros((16, 12), np.uint8))[1].tobytes())
    png[16:24] = struct.pack(">II", 40_000, 40_000)
    png[29:33] = struct.pack(">I", zlib.crc32(png[12:29]))
    folder = hostile(make_bundle(), {"golden/frame0.png": bytes(png)})

    with memory_limit(200 * 2**20):
        assert "40000x40000 pixels" in refusal(folder)


# the graph
