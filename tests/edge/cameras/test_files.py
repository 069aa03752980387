"""Cameras that play files or draw parts, and addresses that lead nowhere."""

import os
from pathlib import Path

import cv2
import numpy as np
import pytest

from edge.cameras.registry import open_camera
from edge.cameras.synthetic import SyntheticCamera
from edge.errors import CameraError, CameraFinished, FrameDamaged
from synthetic.tiles import choose_kind
from tests.edge.cameras.peers import write_pictures


def test_a_folder_comes_to_its_end(tmp_path: Path) -> None:
    write_pictures(tmp_path, 2)
    camera = open_camera(f"file://{tmp_path}")
    levels = []
    for _ in range(2):
        assert not camera.exhausted
        camera.expose()
        levels.append(int(camera.grab(1.0).pixels[0, 0]))
    camera.expose()

    assert levels == [100, 110]
    assert camera.exhausted
    with pytest.raises(CameraFinished, match="all 2 pictures"):
        camera.grab(1.0)


def test_a_folder_can_be_played_again(tmp_path: Path) -> None:
    write_pictures(tmp_path, 2)
    camera = open_camera(f"file://{tmp_path}?loop=1")
    for _ in range(5):
        camera.expose()

    assert [int(camera.grab(1.0).pixels[0, 0]) for _ in range(5)] == [100, 110, 100, 110, 100]
    assert not camera.exhausted


def test_a_colour_picture_is_rgb(tmp_path: Path) -> None:
    red = np.zeros((4, 4, 3), np.uint8)
    red[..., 2] = 255  # OpenCV writes BGR
    cv2.imwrite(str(tmp_path / "red.png"), red)
    camera = open_camera(f"file://{tmp_path}")
    camera.expose()

    assert camera.grab(1.0).pixels[0, 0].tolist() == [255, 0, 0]


@pytest.mark.parametrize("suffix", [".jpg", ".png"])
def test_a_truncated_picture_is_one_damaged_frame(tmp_path: Path, suffix: str) -> None:
    picture = np.random.default_rng(1).integers(0, 256, (200, 200), dtype=np.uint8)
    for name in ("a", "b"):
        cv2.imwrite(str(tmp_path / f"{name}{suffix}"), picture)
    broken = tmp_path / f"a{suffix}"
    broken.write_bytes(broken.read_bytes()[:-2000])
    camera = open_camera(f"file://{tmp_path}")
    camera.expose()
    camera.expose()

    with pytest.raises(FrameDamaged, match="truncated"):
        camera.grab(1.0)
    assert camera.grab(1.0).exposure == 2


def test_a_picture_that_has_gone_is_one_damaged_frame(tmp_path: Path) -> None:
    (first, _) = write_pictures(tmp_path, 2)
    camera = open_camera(f"file://{tmp_path}")
    first.unlink()
    camera.expose()

    with pytest.raises(FrameDamaged, match="cannot be read"):
        camera.grab(1.0)


@pytest.mark.parametrize(
    ("level", "options", "problem"),
    [
        (5, "", "pixels brighter than 16"),
        (255, "", "100% of the pixels saturated"),
        (90, "?frozen=1", "a frame identical to the one before"),
    ],
)
def test_a_picture_of_a_broken_camera_is_one_damaged_frame(
    tmp_path: Path, level: int, options: str, problem: str
) -> None:
    for name in ("a.png", "b.png"):
        cv2.imwrite(str(tmp_path / name), np.full((20, 30), level, np.uint8))
    camera = open_camera(f"file://{tmp_path}{options}")
    camera.expose()
    camera.expose()
    if options:  # the first picture has none before it
        camera.grab(1.0)

    with pytest.raises(FrameDamaged, match=problem):
        camera.grab(1.0)


def test_16_bit_pictures_are_read_by_the_depth_that_the_address_states(tmp_path: Path) -> None:
    cv2.imwrite(str(tmp_path / "a.png"), np.full((20, 30), 1600, np.uint16))
    camera = open_camera(f"file://{tmp_path}?bits=12")
    camera.expose()

    assert (camera.grab(1.0).pixels == 100).all()


def test_16_bit_pictures_of_unknown_depth_are_damaged_frames(tmp_path: Path) -> None:
    cv2.imwrite(str(tmp_path / "a.png"), np.full((20, 30), 1600, np.uint16))
    camera = open_camera(f"file://{tmp_path}")
    camera.expose()

    with pytest.raises(FrameDamaged, match="16-bit file with values up to 1600"):
        camera.grab(1.0)


@pytest.mark.parametrize(
    ("name", "problem"), [(b"b.webp", "of a kind that is not read, first 'b.webp'"), (b"b\xff.png", "printable UTF-8")]
)
def test_a_picture_that_would_be_passed_over_is_named(tmp_path: Path, name: bytes, problem: str) -> None:
    write_pictures(tmp_path, 1)
    (tmp_path / os.fsdecode(name)).write_bytes(b"")

    with pytest.raises(CameraError, match=problem):
        open_camera(f"file://{tmp_path}")


def test_a_list_that_is_not_utf_8_is_one_error(tmp_path: Path) -> None:
    (tmp_path / "list.txt").write_bytes(b"caf\xe9.png\n")

    with pytest.raises(CameraError, match=r"list\.txt: cannot be read .* expected a list of paths in UTF-8"):
        open_camera(f"file://{tmp_path}/list.txt")


def test_the_virtual_camera_knows_the_truth() -> None:
    camera = open_camera("synthetic://?seed=3&defective=0.5")
    assert isinstance(camera, SyntheticCamera)
    for exposure in range(1, 6):
        camera.expose()
        frame = camera.grab(1.0)

        assert np.array_equal(frame.pixels, camera.part(exposure).image)
        assert camera.part(exposure).kind == choose_kind(3, exposure, 0.5)


@pytest.mark.parametrize(
    ("address", "problem"),
    [
        ("file:///no/such/folder", "no such folder"),
        ("synthetic://?sed=3", "option sed: unknown key; the options are: seed, defective"),
        ("synthetic://?seed=x", "option seed: found 'x', expected: .* a valid integer"),
        ("synthetic://?defective=2", "option defective: found '2', expected: .* less than or equal to 1"),
        ("synthetic://?seed=1&seed=2", "option seed: found twice, expected once"),
        ("usb://0", "found the kind 'usb'"),
        ("nonsense", "found the kind 'none'"),
    ],
)
def test_an_address_that_leads_nowhere_is_refused(address: str, problem: str) -> None:
    with pytest.raises(CameraError, match=problem):
        open_camera(address)


def test_an_empty_folder_is_refused(tmp_path: Path) -> None:
    with pytest.raises(CameraError, match="found no picture"):
        open_camera(f"file://{tmp_path}")
