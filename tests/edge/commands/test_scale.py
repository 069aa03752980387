"""The scale of a picture is right to a part in a thousand, and doubtful pictures are told from good ones."""

from pathlib import Path

import cv2
import numpy as np
import pytest

from bundle import Image
from edge.cli import main
from edge.commands.scale import BEND_LIMIT_PX, TILT_LIMIT, measure_scale
from edge.errors import ScaleError

COLUMNS, ROWS = 9, 6
SIDE = 160
"""Pixels of a square as it is drawn, much finer than it is seen."""
SQUARE_MM = 5.0


def board(side_px: float, size: tuple[int, int] = (640, 480), tilt: float = 0.0, turn: float = 0.0) -> Image:
    """Draw a board as a camera sees it whose squares are `side_px` wide in the middle of the picture."""
    fine = np.full(((ROWS + 3) * SIDE, (COLUMNS + 3) * SIDE), 235, np.uint8)
    for row in range(ROWS + 1):
        for column in range(row % 2, COLUMNS + 1, 2):
            fine[(row + 1) * SIDE : (row + 2) * SIDE, (column + 1) * SIDE : (column + 2) * SIDE] = 25
    height, width = fine.shape
    centre = np.array([[1, 0, -width / 2 + 0.5], [0, 1, -height / 2 + 0.5], [0, 0, 1]])
    cos, sin = np.cos(turn) * side_px / SIDE, np.sin(turn) * side_px / SIDE
    turned = np.array([[cos, -sin, 0], [sin, cos, 0], [tilt / width, 0, 1]])
    back = np.array([[1, 0, size[0] / 2], [0, 1, size[1] / 2], [0, 0, 1]])
    seen = cv2.warpPerspective(
        cv2.GaussianBlur(fine, (0, 0), 0.5 * SIDE / side_px), back @ turned @ centre, size,
        flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_CONSTANT, borderValue=235,
    )  # fmt: skip
    return np.asarray(seen, np.uint8)


def noisy(image: Image, seed: int = 1) -> Image:
    return np.asarray(np.clip(image + np.random.default_rng(seed).normal(0, 4, image.shape), 0, 255), np.uint8)


@pytest.mark.parametrize("side_px", [12.0, 33.3, 47.0])
@pytest.mark.parametrize("turn", [0.0, 0.2, np.pi / 2])
def test_the_scale_is_right_to_a_part_in_a_thousand(side_px: float, turn: float) -> None:
    scale = measure_scale(noisy(board(side_px, turn=turn, size=(640, 640))), (COLUMNS, ROWS), SQUARE_MM)

    assert scale.mm_per_px == pytest.approx(SQUARE_MM / side_px, rel=1e-3)
    assert scale.least <= scale.mm_per_px <= scale.greatest
    assert scale.tilt < TILT_LIMIT
    assert scale.bend_px < BEND_LIMIT_PX


def test_a_good_picture_has_no_warning() -> None:
    assert measure_scale(noisy(board(45)), (COLUMNS, ROWS), SQUARE_MM).warnings == []


def test_a_colour_picture_is_measured_too() -> None:
    colour = np.dstack([board(45)] * 3)

    assert measure_scale(colour, (COLUMNS, ROWS), SQUARE_MM).mm_per_px == pytest.approx(SQUARE_MM / 45, rel=1e-3)


def test_a_tilted_board_is_told() -> None:
    scale = measure_scale(noisy(board(40, tilt=0.1)), (COLUMNS, ROWS), SQUARE_MM)

    assert scale.tilt > TILT_LIMIT
    assert scale.bend_px < BEND_LIMIT_PX  # it is flat all the same
    assert "set the camera square to the parts" in " ".join(scale.warnings)


def test_a_lens_that_distorts_is_told() -> None:
    straight = board(45)
    height, width = straight.shape
    y, x = np.mgrid[:height, :width].astype(np.float32)
    u, v = (x - width / 2) / width, (y - height / 2) / width
    barrel = 1 + 0.2 * (u**2 + v**2)
    bent = cv2.remap(straight, u * barrel * width + width / 2, v * barrel * width + height / 2, cv2.INTER_LINEAR)
    scale = measure_scale(np.asarray(bent, np.uint8), (COLUMNS, ROWS), SQUARE_MM)

    assert scale.bend_px > BEND_LIMIT_PX
    assert "the lens distorts" in " ".join(scale.warnings)


def test_a_small_board_says_little_of_the_rest() -> None:
    scale = measure_scale(board(14), (COLUMNS, ROWS), SQUARE_MM)

    assert "use a larger one" in " ".join(scale.warnings)


@pytest.mark.parametrize(
    ("picture", "pattern", "problem"),
    [
        (np.full((480, 640), 128, np.uint8), (9, 6), "found no chessboard of 9x6 inner corners"),
        (board(45), (8, 7), "found no chessboard of 8x7 inner corners"),
        (board(80), (9, 6), "expected all of it"),  # larger than the picture
    ],
)
def test_a_picture_without_the_board_is_refused(picture: Image, pattern: tuple[int, int], problem: str) -> None:
    with pytest.raises(ScaleError, match=problem):
        measure_scale(picture, pattern, SQUARE_MM)


def test_the_command_offers_the_line_for_the_file(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    picture = tmp_path / "board.png"
    cv2.imwrite(str(picture), board(40))

    with pytest.raises(SystemExit) as ended:
        main(["calibrate-scale", str(picture), "--pattern", "9x6", "--square-mm", "5"])
    assert ended.value.code in (0, None)
    assert "mm_per_px = 0.125" in capsys.readouterr().out
    assert [path.name for path in tmp_path.iterdir()] == ["board.png"]


def test_the_command_takes_a_picture_with_a_camera_of_the_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "pictures").mkdir()
    cv2.imwrite(str(tmp_path / "pictures" / "1.png"), board(40))
    cameras = "".join(
        f'[[camera]]\nname = "{name}"\naddress = "file://{tmp_path}/pictures"\n' for name in ("top", "left")
    )
    (tmp_path / "line.toml").write_text(f'bundle = "b"\nplc = "serial:///dev/x"\n{cameras}')

    with pytest.raises(SystemExit) as ended:
        main(["calibrate-scale", str(tmp_path / "line.toml"), "--camera", "left", "--square-mm", "5"])
    assert ended.value.code in (0, None)
    assert "mm_per_px = 0.125" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "problem"),
    [
        (["none.png"], "none.png"),
        (["line.toml", "--camera", "right"], "found no camera 'right', expected one of camera"),
        (["board.png", "--pattern", "9"], "found '9', expected"),
        (["board.png", "--pattern", "9x1"], "found '9x1', expected"),
    ],
)
def test_what_is_wrong_is_said_in_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, arguments: list[str], problem: str
) -> None:
    monkeypatch.chdir(tmp_path)
    cv2.imwrite("board.png", board(40))
    Path("line.toml").write_text('bundle = "b"\nplc = "serial:///dev/x"\n[[camera]]\naddress = "file:///none"\n')

    with pytest.raises(SystemExit) as ended:
        main(["calibrate-scale", *arguments, "--square-mm", "5"])
    assert problem in str(ended.value.code)
    assert "\n" not in str(ended.value.code)
