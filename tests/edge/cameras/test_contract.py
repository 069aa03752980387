"""One contract over every kind of camera that can run here, each with the defaults that docs/cameras.md documents."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from time import monotonic
from typing import Any

import numpy as np
import pytest

from bundle import check_frame
from edge.cameras.camera import Camera
from edge.cameras.live import LiveCamera
from edge.cameras.registry import FILES, open_camera
from edge.errors import CameraTimeout
from tests.edge.cameras.doubles import FakeCapture, live, v4l2_device
from tests.edge.cameras.peers import aravis_camera, gentl_producer, require_gi, rtsp_server, write_pictures

GRAB_S = 5.0
"""Generous: how long a frame takes is not what is claimed here."""

Open = Callable[[pytest.FixtureRequest, ExitStack, Path], Camera]


def open_folder(_request: pytest.FixtureRequest, _stack: ExitStack, folder: Path) -> Camera:
    write_pictures(folder, 9)
    return open_camera(f"file://{folder}")


def open_list(_request: pytest.FixtureRequest, _stack: ExitStack, folder: Path) -> Camera:
    names = [f"{file.name}\n" for file in write_pictures(folder, 9)]
    (folder / "list.txt").write_text("".join(names))
    return open_camera(f"file://{folder}/list.txt")


def open_synthetic(_request: pytest.FixtureRequest, _stack: ExitStack, _folder: Path) -> Camera:
    return open_camera("synthetic://")


def open_v4l2(_request: pytest.FixtureRequest, _stack: ExitStack, _folder: Path) -> Camera:
    return live(lambda: v4l2_device(FakeCapture()))


def open_gst(request: pytest.FixtureRequest, _stack: ExitStack, _folder: Path) -> Camera:
    request.getfixturevalue("gi_path")
    require_gi(("Gst", "1.0"))
    source = "videotestsrc is-live=true pattern=snow ! video/x-raw,format=GRAY8,width=30,height=20,framerate=50/1"
    return open_camera(f"gst://{source}")


def open_rtsp(request: pytest.FixtureRequest, stack: ExitStack, _folder: Path) -> Camera:
    server = stack.enter_context(rtsp_server(request.getfixturevalue("gi_path")))
    return open_camera(server.address)


def open_genicam(_request: pytest.FixtureRequest, _stack: ExitStack, _folder: Path) -> Camera:
    return open_camera(f"genicam://1?cti={gentl_producer()}&saturated=1")  # its pictures are white


def open_aravis(request: pytest.FixtureRequest, stack: ExitStack, _folder: Path) -> Camera:
    request.getfixturevalue("gi_path")
    camera = stack.enter_context(aravis_camera())
    return open_camera(camera.address)


def open_aravis_triggered(request: pytest.FixtureRequest, stack: ExitStack, _folder: Path) -> Camera:
    request.getfixturevalue("gi_path")
    camera = stack.enter_context(aravis_camera())
    return open_camera(f"{camera.address}?trigger=software&window_ms=1000")


KINDS: dict[str, Open] = {
    "file (folder)": open_folder,
    "file (list)": open_list,
    "synthetic": open_synthetic,
    "v4l2 (double)": open_v4l2,
    "gst": open_gst,
    "rtsp": open_rtsp,
    "genicam": open_genicam,
    "aravis": open_aravis,
    "aravis (triggered)": open_aravis_triggered,
}


"""By kind of address, and what is particular in brackets."""
NOT_HERE = {"csi": "its source is on a Jetson only; the rest of it is gst"}
"""Kinds that cannot run on any computer without their hardware, with the reason."""


def test_every_kind_of_camera_has_a_case() -> None:
    assert {name.split(" ")[0] for name in KINDS} | set(NOT_HERE) == set(FILES)


ABORTABLE = ("gst", "rtsp", "genicam", "aravis", "aravis (triggered)")
"""Kinds whose library may end the process that loads it."""


def param(kind: str) -> Any:
    """The parameter of a kind, in a process of its own where its library may end it."""
    return pytest.param(kind, marks=[pytest.mark.own_process] if kind in ABORTABLE else [])


@pytest.fixture(params=[param(kind) for kind in KINDS])
def camera(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Camera]:
    with ExitStack() as stack:
        opened = KINDS[request.param](request, stack, tmp_path)
        stack.callback(opened.close)
        yield opened


def test_a_camera_keeps_its_contract(camera: Camera) -> None:
    """One test for all claims, because opening a real device takes longer than all of them."""
    start = monotonic()
    numbers, frames = [], []
    for _ in range(3):  # one after the other: a camera in free run gives no frame begun after the next part came
        numbers.append(camera.expose())
        frames.append(camera.grab(GRAB_S))

    assert numbers == [frame.exposure for frame in frames] == [1, 2, 3]
    assert len({frame.source for frame in frames}) == 3
    assert [frame.arrived for frame in frames] == sorted(frame.arrived for frame in frames)
    assert start < frames[0].arrived
    assert frames[2].arrived < monotonic()

    for frame in frames:
        check_frame(frame.pixels)
        assert frame.pixels.flags.writeable

    before = frames[0].pixels.copy()
    camera.expose()
    camera.grab(GRAB_S).pixels[:] = 0
    assert np.array_equal(frames[0].pixels, before)

    start = monotonic()
    with pytest.raises(CameraTimeout, match=r"within 0\.010 s"):
        camera.grab(0.01)
    assert monotonic() - start < 1.0

    assert camera.health.frames == 4
    assert camera.health.damaged == camera.health.lost == 0
    assert camera.health.connected


def test_a_closed_camera_leaves_no_thread(camera: Camera) -> None:
    camera.expose()
    camera.grab(GRAB_S)
    camera.close()

    assert not isinstance(camera, LiveCamera) or not camera.running
