"""Stored pictures for the page and the reports: with their outlines, also those of earlier versions."""

from pathlib import Path

import cv2
import numpy as np
import pytest

from bundle import encode_drawing, encode_png
from edge.records.stored_pictures import drawn_jpeg, frame_jpeg

NAME = "2026-05-04/reject/123015-1-camera0.png"
FRAME, DRAWN, OLDER = 40, 120, 200
"""Grey levels of the frame, its overlay, and its overlay as earlier versions wrote it: PNG."""


def level_of(content: bytes | None) -> int | None:
    """Mean grey level of a JPEG."""
    if content is None:
        return None
    return round(float(cv2.imdecode(np.frombuffer(content, np.uint8), cv2.IMREAD_GRAYSCALE).mean()))


def plain(level: int) -> np.ndarray:
    return np.full((48, 64, 3), level, np.uint8)


@pytest.mark.parametrize(
    ("stored", "expected"),
    [
        ((FRAME, DRAWN), DRAWN),
        ((FRAME, OLDER), OLDER),
        ((FRAME,), FRAME),
        ((DRAWN,), DRAWN),
        ((), None),
    ],
)
def test_a_picture_is_shown_with_its_outlines(tmp_path: Path, stored: tuple[int, ...], expected: int | None) -> None:
    contents = {
        FRAME: (NAME, encode_png(plain(FRAME))),
        DRAWN: (f"overlays/{NAME}.jpg", cv2.imencode(".jpg", plain(DRAWN))[1].tobytes()),
        OLDER: (f"overlays/{NAME}", encode_drawing(plain(OLDER))),
    }
    for name, content in (contents[level] for level in stored):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_bytes(content)

    assert level_of(drawn_jpeg(tmp_path, NAME, 32)) == expected
    assert level_of(frame_jpeg(tmp_path, NAME, 32)) == (FRAME if FRAME in stored else None)


def test_a_damaged_overlay_gives_way_to_the_frame(tmp_path: Path) -> None:
    for name, content in ((NAME, encode_png(plain(FRAME))), (f"overlays/{NAME}.jpg", b"\xff\xd8\xff\xe0")):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_bytes(content)

    assert level_of(drawn_jpeg(tmp_path, NAME, 32)) == FRAME
