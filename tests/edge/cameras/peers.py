"""Camera sources available on this machine: pictures, real devices in separate processes, a library's simulator."""

import fcntl
import importlib.util
import shutil
import subprocess
import sys
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import cv2
import numpy as np
import pytest

from edge.cameras.gobject import load
from edge.errors import CameraError

SYSTEM_GI = Path("/usr/lib/python3/dist-packages/gi")
INSTALL = "run tests/install-camera-peers"
READY_S = 10.0

RTSP_SERVER = """
import sys
import gi
gi.require_version("Gst", "1.0")
gi.require_version("GstRtspServer", "1.0")
from gi.repository import GLib, Gst, GstRtspServer
Gst.init(None)
server = GstRtspServer.RTSPServer()
server.set_address("127.0.0.1")
server.set_service(sys.argv[1])
factory = GstRtspServer.RTSPMediaFactory()
factory.set_launch(
    "( videotestsrc is-live=true pattern=snow ! video/x-raw,format=I420,width=64,height=48,framerate=30/1 "
    "! jpegenc ! rtpjpegpay name=pay0 )"
)
factory.set_shared(True)
server.get_mount_points().add_factory("/line", factory)
server.attach(None)
print(server.get_bound_port(), flush=True)
GLib.MainLoop().run()
"""


def write_pictures(folder: Path, count: int) -> list[Path]:
    """Write pictures of one grey level each."""
    files = [folder / f"part{number}.png" for number in range(count)]
    for number, file in enumerate(files):
        cv2.imwrite(str(file), np.full((20, 30), 100 + 10 * number, np.uint8))
    return files


@pytest.fixture(scope="session")
def gi_path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Let this process import the system's PyGObject, without the system's other packages.

    Each conftest that has this fixture gets a folder of its own, for the processes that its tests start.
    """
    folder = tmp_path_factory.mktemp("gi")
    if SYSTEM_GI.is_dir():
        (folder / "gi").symlink_to(SYSTEM_GI)
    if importlib.util.find_spec("gi") is None:
        if not SYSTEM_GI.is_dir():
            pytest.skip(f"found no {SYSTEM_GI}: {INSTALL}")
        sys.path.append(str(folder))
    try:
        import gi  # noqa: F401
    except ImportError as error:
        pytest.skip(f"the system's PyGObject is for another Python than {sys.version.split()[0]} ({error})")
    return folder


def require_gi(*libraries: tuple[str, str]) -> None:
    """Skip the test where one of these libraries has no Python interface."""
    for namespace, version in (("GLib", "2.0"), *libraries):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ImportWarning)  # Debian's PyGObject imports in Python 3.3's way
            try:
                load(namespace, version, f"gir1.2-{namespace.lower()}-{version}", "of this test")
            except CameraError as error:
                pytest.skip(f"{error}; or {INSTALL}")


def mortal(command: list[str]) -> list[str]:
    """Extend a command so that its process ends with ours, also if ours is killed; prctl(2), PR_SET_PDEATHSIG."""
    setpriv = shutil.which("setpriv")
    return command if setpriv is None else [setpriv, "--pdeathsig", "KILL", *command]


class AravisCamera:
    """Aravis' simulated GigE Vision camera on loopback; it needs the standard's port, so one at a time."""

    address = "aravis://127.0.0.1"

    def __init__(self, *arguments: str) -> None:
        self._arguments = arguments
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Switch it on; a client finds it when it answers, a few milliseconds later."""
        command = ["arv-fake-gv-camera-0.8", "-i", "127.0.0.1", "-s", "EDGE", *self._arguments]
        self._process = subprocess.Popen(mortal(command), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)

    def kill(self) -> None:
        """Pull its plug."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None


@contextmanager
def aravis_camera(*arguments: str) -> Iterator[AravisCamera]:
    """Run the simulated GigE Vision camera, waiting for other tests of this machine to end theirs."""
    if shutil.which("arv-fake-gv-camera-0.8") is None:
        pytest.skip(f"found no arv-fake-gv-camera-0.8: {INSTALL}")
    require_gi(("Aravis", "0.8"))
    camera = AravisCamera(*arguments)
    with open("/tmp/edge-inspect-gige-port.lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        camera.start()
        try:
            yield camera
        finally:
            camera.kill()


class RtspServer:
    """A video server on loopback."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._port = "0"
        self._process: subprocess.Popen[str] | None = None

    @property
    def address(self) -> str:
        """Address of its stream."""
        return f"rtsp://127.0.0.1:{self._port}/line"

    def start(self) -> None:
        """Start it, on the same port as before."""
        script = f"import sys; sys.path.append({str(self._folder)!r})\n{RTSP_SERVER}"
        command = [sys.executable, "-c", script, self._port]
        self._process = subprocess.Popen(mortal(command), stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
        assert self._process.stdout is not None
        self._port = self._process.stdout.readline().strip()
        if not self._port:
            self.kill()
            pytest.fail("the RTSP server did not start")

    def kill(self) -> None:
        """Pull its plug."""
        if self._process is not None:
            self._process.kill()
            self._process.communicate()
            self._process = None


@contextmanager
def rtsp_server(folder: Path) -> Iterator[RtspServer]:
    """Run a video server."""
    require_gi(("Gst", "1.0"), ("GstRtspServer", "1.0"))
    server = RtspServer(folder)
    server.start()
    try:
        yield server
    finally:
        server.kill()


def gentl_producer() -> Path:
    """Find the simulated GenTL producer in pip's `genicam`."""
    pytest.importorskip("harvesters", reason="found no harvesters: pip install edge-inspect[genicam]")
    found = importlib.util.find_spec("genicam")
    assert found is not None
    assert found.origin is not None
    return Path(found.origin).parent / "viky.cti"
