"""The systemd unit names what the line needs, and systemd takes it."""

import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from contextlib import ExitStack
from ctypes.util import find_library
from pathlib import Path

import pytest

from edge.cli import main
from edge.commands.systemd_unit import unit_text
from edge.errors import LineConfigError
from tests.edge.cameras.peers import aravis_camera, gentl_producer, gi_path, require_gi, rtsp_server, write_pictures

__all__ = ["gi_path"]
TRIAL = Path(__file__).with_name("seccomp_trial.py")
ROOT = Path(__file__).resolve().parents[3]
MOST_EXPOSED = 2.5
"""Of `systemd-analyze security`: 1.7 with known devices, 2.0 where a driver decides."""

LINE = """
bundle = "bundle"
plc = "serial:///dev/ttyTHS1"
records = "{records}"
[[camera]]
address = "synthetic://"
[pictures]
folder = "kept pictures"
[page]
title = "Line 3"
"""


def written(folder: Path, records: str = "records.sqlite") -> Path:
    path = folder / "line 3.toml"
    path.write_text(LINE.format(records=records))
    return path


def test_it_runs_the_line_as_its_user_and_writes_where_the_line_does(tmp_path: Path) -> None:
    lines = unit_text(written(tmp_path), "inspector").splitlines()

    program = Path(sys.executable).with_name("edge-inspect")
    assert f'ExecStart="{program}" run "{tmp_path}/line 3.toml"' in lines
    assert "User=inspector" in lines
    assert "Description=edge-inspect: Line 3" in lines
    assert [line for line in lines if line.startswith("ReadWrite")] == [
        f'ReadWritePaths="-{tmp_path}"',
        f'ReadWritePaths="-{tmp_path}/kept pictures"',
    ]


def test_what_systemd_makes_is_not_asked_for_again(tmp_path: Path) -> None:
    text = unit_text(written(tmp_path, "/var/lib/edge-inspect/r.sqlite"), "inspector")

    assert f'ReadWritePaths="-{tmp_path}"\n' not in text


@pytest.mark.parametrize("name", ["a\nExecStartPre=evil", "tab\there", "next\x85line"])
def test_no_name_writes_a_line_of_its_own(tmp_path: Path, name: str) -> None:
    (tmp_path / name).mkdir()
    with pytest.raises(LineConfigError, match="expected one line"):
        unit_text(written(tmp_path / name), "inspector")
    with pytest.raises(LineConfigError, match="expected one line"):
        unit_text(written(tmp_path), name)


def test_percent_quotes_and_variables_are_literal(tmp_path: Path) -> None:
    folder = tmp_path / '100%h "$HOME"'
    folder.mkdir()
    text = unit_text(written(folder), "inspector")

    assert f'run "{tmp_path}/100%%h \\"$$HOME\\"/line 3.toml"' in text
    assert "%h" not in text.replace("%%h", "")


@pytest.mark.parametrize("user", ["root", "0"])
def test_root_is_refused(tmp_path: Path, user: str) -> None:
    with pytest.raises(LineConfigError, match="found root, expected a user of the station's own"):
        unit_text(written(tmp_path), user)


def test_the_command_prints_it(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["unit", str(written(tmp_path))])

    assert ended.value.code in (0, None)
    assert "Type=notify" in capsys.readouterr().out


def test_systemd_finds_nothing_wrong_with_it(tmp_path: Path) -> None:
    systemd_analyze()
    path = tmp_path / "edge-inspect.service"
    path.write_text(unit_text(written(tmp_path), "daemon"))

    verified = subprocess.run(["systemd-analyze", "verify", "--man=no", path], capture_output=True, text=True)

    assert [said for said in verified.stderr.splitlines() if path.name in said] == []
    assert verified.returncode == 0


def unit_of(folder: Path, camera: str = "synthetic://", plc: str = "serial:///dev/ttyS0", more: str = "") -> str:
    path = folder / "line.toml"
    path.write_text(f'plc = "{plc}"\nbundle = "b"\n{more}\n[[camera]]\naddress = """{camera}"""\n')
    return unit_text(path, "inspector")


@pytest.mark.parametrize(
    ("camera", "plc", "more", "expected"),
    [
        ("synthetic://", "modbus-tcp://10.0.0.1:5020?role=client", "", ["PrivateDevices=yes", "DevicePolicy=closed"]),
        (
            "v4l2:///dev/video0",
            "serial:///dev/ttyTHS1",
            "[ejector]\noutput='gpio:///dev/gpiochip0?line=1'\ndelay_ms=1\nlength_ms=1",
            [
                "DevicePolicy=closed",
                "DeviceAllow=char-gpiochip rw",
                "DeviceAllow=char-media rw",
                "DeviceAllow=char-tty* rw",
                "DeviceAllow=char-video4linux rw",
            ],
        ),
        ("synthetic://", "io-gpio:///dev/gpiochip0", "", ["DevicePolicy=closed", "DeviceAllow=char-gpiochip rw"]),
        ("synthetic://", "io-modbus-tcp://10.0.0.1:502", "", ["PrivateDevices=yes", "DevicePolicy=closed"]),
        ("csi://0", "serial:///dev/ttyTHS1", "", []),
        ("synthetic://", "serial:///dev/ttyTHS1", "engine = 'tensorrt'", []),
    ],
)
def test_a_line_gets_the_devices_of_its_kinds(
    tmp_path: Path, camera: str, plc: str, more: str, expected: list[str]
) -> None:
    lines = unit_of(tmp_path, camera, plc, more).splitlines()

    assert [line for line in lines if line.startswith(("PrivateDevices", "Device"))] == expected
    assert ("MemoryDenyWriteExecute=yes" in lines) == bool(expected)


@pytest.mark.parametrize(
    ("plc", "more", "expected"),
    [
        ("modbus-tcp://0.0.0.0:502?allow=10.0.0.1", "", "CAP_NET_BIND_SERVICE"),
        ("modbus-tcp://10.0.0.1:502?role=client", "", ""),
        ("modbus-tcp://0.0.0.0:5020?allow=10.0.0.1", "", ""),
        ("serial:///dev/ttyS0", "page = {listen = '127.0.0.1:80'}", "CAP_NET_BIND_SERVICE"),
        ("serial:///dev/ttyS0", "page = {}", ""),
    ],
)
def test_a_port_below_1024_can_be_listened_to(tmp_path: Path, plc: str, more: str, expected: str) -> None:
    lines = unit_of(tmp_path, plc=plc, more=more).splitlines()

    assert f"CapabilityBoundingSet={expected}" in lines
    assert (f"AmbientCapabilities={expected}" in lines) == bool(expected)


def systemd_analyze() -> str:
    found = shutil.which("systemd-analyze")
    if found is None:
        pytest.skip("systemd-analyze is not installed")
    return found


@pytest.mark.parametrize("camera", ["synthetic://", "v4l2:///dev/video0", "csi://0", "genicam://1?cti=/x.cti"])
def test_the_exposure_of_the_service_stays_low(tmp_path: Path, camera: str) -> None:
    unit = tmp_path / "edge-inspect.service"
    unit.write_text(unit_of(tmp_path, camera, plc="modbus-tcp://0.0.0.0:502?allow=10.0.0.1"))
    command = [systemd_analyze(), "security", "--offline=yes", "--no-pager", unit]
    said = subprocess.run(command, capture_output=True, text=True, check=False)
    found = re.search(r"exposure level for .*: ([\d.]+)", said.stdout)
    if found is None:
        pytest.skip(f"this systemd cannot rate a unit that is not installed: {said.stderr.strip()}")

    assert float(found[1]) <= MOST_EXPOSED


def restricted(folder: Path, unit: str, source: str) -> "subprocess.CompletedProcess[str]":
    """Run Python source in a process of its own under the unit's system call filters."""
    systemd_analyze()
    if find_library("seccomp") is None:
        pytest.skip("libseccomp is not installed")
    (folder / "trial.service").write_text(unit)
    command = [
        sys.executable,
        str(TRIAL),
        str(folder / "trial.service"),
        f"import sys; sys.path[:0] = [{str(ROOT)!r}]\n{source}",
    ]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)


def test_the_filters_refuse_what_the_unit_does_not_allow(tmp_path: Path) -> None:
    source = """
import errno, mmap, os, socket
for attempt in (
    lambda: os.chroot("/"),
    lambda: socket.socket(socket.AF_PACKET, socket.SOCK_RAW),
    lambda: mmap.mmap(-1, 4096, prot=mmap.PROT_READ | mmap.PROT_WRITE | mmap.PROT_EXEC),
):
    try:
        attempt()
    except OSError as error:
        print(errno.errorcode[error.errno])
"""
    ended = restricted(tmp_path, unit_of(tmp_path), source)

    assert ended.stdout.split() == ["EPERM", "EAFNOSUPPORT", "EPERM"], ended.stderr


def test_a_station_runs_within_the_filters(tmp_path: Path) -> None:
    source = "from edge.cli import main; main(['demo', '--parts', '6'])"
    ended = restricted(tmp_path, unit_of(tmp_path), source)

    assert ended.returncode == 0, ended.stderr
    assert "false rejects" in ended.stdout


def folder_address(_request: pytest.FixtureRequest, _stack: ExitStack, folder: Path) -> str:
    write_pictures(folder, 2)
    return f"file://{folder}"


def gst_address(request: pytest.FixtureRequest, _stack: ExitStack, _folder: Path) -> str:
    request.getfixturevalue("gi_path")
    require_gi(("Gst", "1.0"))
    return "gst://videotestsrc is-live=true pattern=snow ! video/x-raw,width=32,height=16,framerate=50/1?latency_ms=20"


def rtsp_address(request: pytest.FixtureRequest, stack: ExitStack, _folder: Path) -> str:
    server = stack.enter_context(rtsp_server(request.getfixturevalue("gi_path")))
    return f"{server.address}?latency_ms=50"


def aravis_address(request: pytest.FixtureRequest, stack: ExitStack, _folder: Path) -> str:
    request.getfixturevalue("gi_path")
    return f"{stack.enter_context(aravis_camera()).address}?latency_ms=50"


ADDRESSES: dict[str, Callable[[pytest.FixtureRequest, ExitStack, Path], str]] = {
    "file": folder_address,
    "synthetic": lambda *_: "synthetic://",
    "gst": gst_address,
    "rtsp": rtsp_address,
    "genicam": lambda *_: f"genicam://1?cti={gentl_producer()}&latency_ms=50&saturated=1",
    "aravis": aravis_address,
}


@pytest.mark.parametrize("kind", ADDRESSES)
def test_a_camera_runs_within_the_filters(request: pytest.FixtureRequest, tmp_path: Path, kind: str) -> None:
    """All kinds that run without a device; device files, mounts and the user are not restricted here."""
    with ExitStack() as stack:
        address = ADDRESSES[kind](request, stack, tmp_path)
        extra = request.getfixturevalue("gi_path") if kind in ("gst", "aravis") else tmp_path
        source = f"""
import time
sys.path.append({str(extra)!r})
from edge.cameras.registry import open_camera
from edge.errors import FrameDamaged
camera = open_camera({address!r})
end = time.monotonic() + 60
while time.monotonic() < end:  # on a busy machine packets of many frames in a row are lost
    camera.expose()
    try:
        print("found", camera.grab(10.0).pixels.shape)
        break
    except FrameDamaged as error:
        print(error, file=sys.stderr)
camera.close()
"""
        ended = restricted(tmp_path, unit_of(tmp_path, address), source)

    assert "found (" in ended.stdout, ended.stderr
