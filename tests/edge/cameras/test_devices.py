"""Device-specific behaviour of each camera kind: settings, damaged frames, loss and reconnection."""

import queue
import shutil
import subprocess
import sys
import threading
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from time import monotonic

import cv2
import numpy as np
import pytest

from edge.cameras.camera import Camera
from edge.cameras.csi import CsiOptions, describe_pipeline
from edge.cameras.device import Device
from edge.cameras.genicam_standard import FORMATS, announced_shape, to_image
from edge.cameras.gstreamer import unpad
from edge.cameras.live import LiveCamera
from edge.cameras.registry import open_camera
from edge.cameras.rtsp import stream_of
from edge.errors import CameraError, CameraLost, FrameDamaged
from tests.edge.cameras.doubles import FakeCapture, live, v4l2_device
from tests.edge.cameras.peers import aravis_camera, gentl_producer, require_gi, rtsp_server

GRAB_S = 5.0
ROOT = Path(__file__).resolve().parents[3]


def wait_until(condition: Callable[[], bool]) -> float:
    """Wait until a peer, which is another process, has done something; returns how long it took."""
    start = monotonic()
    while not condition():
        assert monotonic() - start < 2 * GRAB_S, "it never came true"
        threading.Event().wait(0.01)
    return monotonic() - start


def unplug(camera: Camera, kill: Callable[[], None], plug_in: Callable[[], None]) -> float:
    """Cut a camera off, look what it says, bring it back; returns how long it took to notice."""
    camera.expose()
    camera.grab(GRAB_S)
    kill()
    noticed_s = wait_until(lambda: not camera.health.connected)
    lost = camera.expose()
    with pytest.raises(CameraLost, match=f"is lost, exposure {lost} with it"):
        camera.grab(GRAB_S)
    plug_in()
    wait_until(lambda: camera.health.connected)
    back = camera.expose()
    assert camera.grab(GRAB_S).exposure == back
    assert camera.health.lost == camera.health.reopened == 1
    return noticed_s


def test_a_peer_ends_with_the_tests_that_are_killed() -> None:
    if shutil.which("setpriv") is None:
        pytest.skip("setpriv is not installed (util-linux)")
    script = f"""
import os, signal, subprocess, sys
sys.path[:0] = [{str(ROOT)!r}]
from tests.edge.cameras.peers import mortal
peer = subprocess.Popen(mortal(["sleep", "60"]))
print(peer.pid, flush=True)
os.kill(os.getpid(), signal.SIGKILL)
"""
    ended = subprocess.run([sys.executable, "-c", script], stdout=subprocess.PIPE, text=True, check=False)
    peer = Path(f"/proc/{ended.stdout.strip()}/stat")

    wait_until(lambda: not peer.exists() or peer.read_text().rpartition(") ")[2][0] == "Z")


# Aravis


@pytest.mark.own_process
@pytest.mark.usefixtures("gi_path")
def test_a_gige_camera_takes_over_its_settings() -> None:
    with aravis_camera() as peer:
        settings = "width=64&height=48&exposure_us=2000&gain_db=3&format=RGB8&fps=50&saturated=1&frozen=0&latency_ms=50"
        with closing(open_camera(f"{peer.address}?{settings}")) as camera:
            camera.expose()
            frame = camera.grab(GRAB_S)

        assert frame.pixels.shape == (48, 64, 3)
        for settings, problem in (
            ("width=70000", "option width: found '70000', expected: .* less than or equal to 65536"),
            ("format=Mono16", "found the pixel format Mono16, expected one of Mono8"),
            ("format=Purple", "'Purple' not an entry"),
            ("trigger=hardware&line=Line7", "'Line7' not an entry"),
        ):
            with pytest.raises(CameraError, match=problem):
                open_camera(f"{peer.address}?{settings}")


@pytest.mark.own_process
@pytest.mark.usefixtures("gi_path")
def test_a_gige_frame_that_lost_packets_is_damaged() -> None:
    with aravis_camera("-r", "50") as peer, closing(open_camera(f"{peer.address}?latency_ms=50&width=512")) as camera:
        camera.expose()
        with pytest.raises(FrameDamaged, match=r"exposure 1: found it incomplete \(missing-packets\)"):
            camera.grab(GRAB_S)


@pytest.mark.own_process
@pytest.mark.usefixtures("gi_path")
def test_a_gige_camera_that_was_unplugged_comes_back() -> None:
    with aravis_camera() as peer:
        with closing(open_camera(f"{peer.address}?latency_ms=50&silence_ms=1000")) as camera:
            noticed_s = unplug(camera, peer.kill, peer.start)

        assert noticed_s < 3.0  # silence_ms and a busy machine; the heartbeat alone takes 5.4 s


# RTSP


@pytest.mark.own_process
def test_a_network_camera_that_was_unplugged_comes_back(gi_path: Path) -> None:
    with rtsp_server(gi_path) as server:
        with closing(open_camera(f"{server.address}?latency_ms=50&silence_ms=1000")) as camera:
            noticed_s = unplug(camera, server.kill, server.start)

        assert noticed_s < 3.0


def test_an_address_without_a_video_is_refused_without_its_password() -> None:
    with pytest.raises(CameraError, match=r"camera rtsp://127.0.0.1:1/line.*: found no picture") as caught:
        open_camera("rtsp://operator:secret@127.0.0.1:1/line?open_timeout_ms=500")

    assert "secret" not in str(caught.value)


def test_a_network_camera_s_own_question_mark_is_kept() -> None:
    assert stream_of("rtsp://u:p%40@host/cam%3Fchannel=1?latency_ms=50") == "rtsp://u:p%40@host/cam?channel=1"


# GStreamer


@pytest.mark.own_process
@pytest.mark.usefixtures("gi_path")
def test_a_pipeline_that_ends_is_lost_and_started_again() -> None:
    require_gi(("Gst", "1.0"))
    source = "videotestsrc is-live=true num-buffers=8 pattern=snow ! video/x-raw,width=31,height=20,framerate=50/1"
    camera = open_camera(f"gst://{source}?latency_ms=0")
    wait_until(lambda: camera.health.reopened == 1)
    camera.close()

    assert camera.health.lost >= 1


@pytest.mark.own_process
@pytest.mark.usefixtures("gi_path")
@pytest.mark.parametrize(
    ("address", "problem"),
    [
        ("gst://nosuchsource", 'no element "nosuchsource"'),
        ("gst://fakesrc is-live=true", "expected a running pipeline"),
        ("gst://videotestsrc num-buffers=0", "found the end of the stream"),
        ("csi://0", 'no element "nvarguscamerasrc"'),
    ],
)
def test_a_pipeline_that_cannot_run_is_refused(address: str, problem: str) -> None:
    require_gi(("Gst", "1.0"))
    with pytest.raises(CameraError, match=problem):
        open_camera(address)


def test_rows_lose_their_padding() -> None:
    padded = np.arange(2 * 32, dtype=np.uint8)

    assert unpad(padded, 2, 30, "GRAY8").tolist() == [list(range(30)), list(range(32, 62))]
    assert unpad(padded, 2, 10, "RGB")[1, 0].tolist() == [32, 33, 34]
    with pytest.raises(ValueError, match="found 64 bytes, expected 3 rows"):
        unpad(padded, 3, 30, "GRAY8")


def test_the_pipeline_of_a_jetson_s_camera() -> None:
    options = CsiOptions(width=1280, height=720, fps=60, exposure_us=500, gain=2, grey=True)

    assert describe_pipeline(1, options) == (
        'nvarguscamerasrc sensor-id=1 exposuretimerange="500000 500000" gainrange="2.0 2.0" '
        'ispdigitalgainrange="1 1" aelock=true ! video/x-raw(memory:NVMM),width=1280,height=720,framerate=60/1 '
        "! nvvidconv ! video/x-raw,format=GRAY8"
    )


def test_a_jetson_s_camera_is_named_by_its_number() -> None:
    with pytest.raises(CameraError, match="expected the sensor's number"):
        open_camera("csi://front")


# GenTL


@pytest.mark.own_process
@pytest.mark.parametrize(
    ("options", "problem"),
    [
        ("9?cti={cti}", "expected '9' by id, serial number or user's name"),
        ("1?cti={cti}&trigger=software", "found no feature TriggerSelector"),
        ("1?cti={cti}&exposure_us=100", "found no feature ExposureTime"),
        ("1?cti={cti}&format=Purple", "cannot be used: .*"),
        ("1?cti=/no/such.cti", "found no file /no/such.cti"),
        ("1", "option cti: missing"),
    ],
)
def test_a_gentl_camera_that_cannot_do_it_is_refused(options: str, problem: str) -> None:
    with pytest.raises(CameraError, match=problem):
        open_camera(f"genicam://{options.format(cti=gentl_producer())}")


@pytest.mark.own_process
def test_a_gentl_camera_is_found_by_its_id() -> None:
    camera = open_camera(f"genicam://VikyTL_DEV_green?cti={gentl_producer()}&width=200&saturated=1&latency_ms=50")
    camera.expose()
    frame = camera.grab(GRAB_S)
    camera.close()

    assert frame.pixels.shape == (400, 200, 3)


def test_gstreamer_and_a_gentl_producer_live_in_one_process(gi_path: Path) -> None:
    """GStreamer brings another way to unwind C++ exceptions; see `introspection`. The order of loading is the point."""
    require_gi(("Gst", "1.0"))
    script = f"""
import sys
sys.path.append({str(gi_path)!r})
import genicam.genapi
from edge.cameras.registry import open_camera
for address in (
    "gst://videotestsrc is-live=true ! video/x-raw,width=32,height=16",
    "genicam://1?cti={gentl_producer()}",
):
    open_camera(address).close()
"""
    ended = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, cwd=ROOT, check=False)

    assert ended.returncode == 0, ended.stderr


@pytest.mark.parametrize("name", FORMATS)
def test_every_pixel_format_becomes_grey_or_rgb(name: str) -> None:
    """A uniform colour, written as the format's name says; Bayer mosaics by their 2x2 tile."""
    red, green, blue = 10, 100, 200
    if name.startswith("Bayer"):
        tile = [
            {"R": red, "G": green, "B": blue}[letter]
            for letter in {"RG": "RGGB", "GR": "GRBG", "GB": "GBRG", "BG": "BGGR"}[name[5:7]]
        ]
        data = np.tile(np.array(tile, np.uint8).reshape(2, 2), (4, 4))
    else:
        order = {"M": [green], "R": [red, green, blue], "B": [blue, green, red]}[name[0]] + [255] * ("a8" in name)
        data = np.tile(np.array(order, np.uint8), (64, 1))
    image = to_image(data.reshape(-1), name, 8, 8)

    assert image.shape == announced_shape("test", name, 8, 8)
    assert image[4, 4].tolist() == (green if name == "Mono8" else [red, green, blue])
    assert image.flags.owndata or image.base is not data
    with pytest.raises(ValueError, match="found 3 bytes"):
        to_image(np.zeros(3, np.uint8), name, 8, 8)


# V4L2, on a double of OpenCV's capture: there is no video device on the machines where the tests run


def test_a_v4l2_camera_takes_over_its_settings() -> None:
    capture = FakeCapture()
    device = v4l2_device(capture, width=32, height=24, fps=60, exposure_us=2000, gain=7, fourcc="YUYV")

    assert device.shape == (24, 32, 3)
    assert sorted(capture.properties.values()) == sorted([32, 24, 60, 20, 1, 7, 0x56595559])


def test_a_v4l2_frame_is_rgb_and_stamped() -> None:
    capture = FakeCapture()
    received = v4l2_device(capture).receive(GRAB_S)

    assert received is not None
    assert received.pixels is not None
    assert received.pixels[5, 5, 2] == 200  # blue comes last
    assert received.stamp == pytest.approx(monotonic(), abs=GRAB_S)


def test_a_grey_v4l2_camera_sends_grey_frames() -> None:
    device = v4l2_device(FakeCapture(), fourcc="GREY")
    received = device.receive(GRAB_S)

    assert received is not None
    assert received.pixels is not None
    assert received.pixels.shape == device.shape == (48, 64)


@pytest.mark.parametrize(
    ("options", "problem"),
    [
        ({"width": 4096}, "option width: found 640 in the camera, expected 4096"),
        ({"exposure_us": 20_000}, "option exposure_us: found 5000 in the camera, expected 20000"),
    ],
)
def test_a_setting_that_a_v4l2_camera_does_not_take_is_refused(options: dict[str, int], problem: str) -> None:
    capture = FakeCapture(limits={cv2.CAP_PROP_FRAME_WIDTH: 640, cv2.CAP_PROP_EXPOSURE: 50})
    with pytest.raises(CameraError, match=problem):
        v4l2_device(capture, **options)
    assert capture.released


def test_a_v4l2_camera_that_is_not_there_is_refused() -> None:
    with pytest.raises(CameraError, match=r"v4l2:///dev/video99\?width=640: cannot be opened"):
        open_camera("v4l2:///dev/video99?width=640")


def test_a_v4l2_frame_that_cannot_be_decoded_is_damaged() -> None:
    capture = FakeCapture()
    capture.damaged = True
    camera: LiveCamera = live(lambda: v4l2_device(capture))
    camera.expose()
    with pytest.raises(FrameDamaged, match="cannot be decoded"):
        camera.grab(GRAB_S)
    camera.close()

    assert capture.released


def test_a_v4l2_camera_that_was_unplugged_comes_back() -> None:
    sockets: queue.SimpleQueue[FakeCapture] = queue.SimpleQueue()
    captures = [FakeCapture(), FakeCapture()]

    def connect() -> Device:
        return v4l2_device(FakeCapture(opened=False) if sockets.empty() else sockets.get())

    sockets.put(captures[0])
    camera = live(connect)
    unplug(camera, lambda: setattr(captures[0], "unplugged", True), lambda: sockets.put(captures[1]))
    camera.close()

    assert all(capture.released for capture in captures)
