"""The doctor finds what is wrong, says what to do, and changes nothing."""

import os
import re
import socket
import time
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import cv2
import numpy as np
import pytest

from bundle import Crop, FrameError, Golden, InputSpec, load_bundle, preprocess, write_bundle
from bundle.golden import encode
from edge.access.passwords import hashed
from edge.access.users import UserFile, add_user
from edge.cli import main
from edge.commands.doctor import (
    check_camera,
    check_engine,
    check_opcua,
    check_page,
    check_permissions,
    check_plc,
    check_unsure_margin,
    check_versions,
    examine,
    find,
)
from edge.commands.doctor_checks import check_commits
from edge.config.line import Line
from edge.config.opcua import OpcUaSettings
from edge.config.page import PageSettings
from edge.config.schema import CameraSettings
from edge.errors import CheckFailed
from edge.pipeline.inspector import remarks
from edge.servers.feed import listening
from firmware_bridge.messages import Hello, Role
from firmware_bridge.simulator.plc import PlcSimulator
from firmware_bridge.simulator.pseudo_terminal import PseudoTerminal
from firmware_bridge.wiring import LinkKind
from tests.conftest import tiny_files, tiny_manifest, tiny_outputs
from tests.tiled import write_staged

Make = Callable[..., Path]

LINE = """
bundle = "{bundle}"
plc = "{plc}"
deadline_ms = 60000
record_wait_ms = 1000
[[camera]]
name = "top"
address = "synthetic://"
[pictures]
leave_free_gib = 0
"""


def written(folder: Path, bundle: Path, plc: str, before: str = "", after: str = "") -> Path:
    path = folder / "line.toml"
    path.write_text(LINE.format(bundle=bundle, plc=plc).replace(before, after))
    return path


def content(folder: Path) -> dict[str, bytes]:
    return {str(path): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_a_line_that_is_well_is_fine_and_stays_as_it_is(make_bundle: Make, tmp_path: Path) -> None:
    with PlcSimulator(1) as plc:
        path = written(tmp_path, make_bundle(), plc.address)
        before = content(tmp_path)
        findings = list(examine(path))

    assert [finding.words for finding in findings if not finding.fine] == []
    assert [finding.name for finding in findings] == [
        "versions", "clock", "configuration", "bundle", "engine", "camera top", "PLC", "wall clock", "permissions",
        "disk", "records", "commits",
    ]  # fmt: skip
    words = {finding.name: finding.words for finding in findings}
    assert "plc-simulator answers as PLC" in words["PLC"]
    assert "golden frames agree" in words["engine"]
    assert content(tmp_path) == before


def test_the_first_stage_of_a_bundle_is_named(tmp_path: Path) -> None:
    with PlcSimulator(1) as plc:
        findings = list(examine(written(tmp_path, write_staged(tmp_path / "staged"), plc.address)))

    words = {finding.name: finding.words for finding in findings}
    assert re.match(r"tiny \w{12} with the first stage tiny \w{12}, the hashes of its 8 files agree", words["bundle"])
    assert "first stage tiny, onnxruntime" in words["engine"]
    assert "the deadline must cover `edge-inspect bench-tiles`" in words["engine"]


EJECTOR = '[ejector]\noutput = "serial:///dev/none"\ndelay_ms = 5\nlength_ms = 5\n'


@pytest.mark.parametrize(
    ("before", "after", "name", "words"),
    [
        ("deadline_ms", "deadline", "configuration", "deadline: unknown key"),
        ('/tiny"', '/none"', "bundle", "none/manifest.json: found no such file"),
        ('"synthetic://"', '"film://"', "camera top", "found the kind 'film'"),
        ("deadline_ms", 'engine = "abacus"\ndeadline_ms', "engine", "found 'abacus'"),
        ("[pictures]", '[recipes]\n2 = "none"\n[pictures]', "recipe 2", "none/manifest.json: found no such file"),
        (
            "[pictures]",
            "[challenge]\nexpected = 'Rust'\n[pictures]",
            "challenge",
            "found 'Rust', expected one of Bright",
        ),
        (
            '"synthetic://"',
            '"rtsp://127.0.0.1:1/x"',
            "configuration",
            "set grab_timeout_ms = 1300 and deadline_ms = 1600",
        ),
        (
            '"synthetic://"',
            '"rtsp://127.0.0.1:1/x?frame_timeout_ms=900"',
            "configuration",
            "set frame_timeout_ms above it",
        ),
        ("[pictures]", f"{EJECTOR}[pictures]", "ejector", "could not open port /dev/none"),
    ],
)
def test_what_is_wrong_is_found(
    make_bundle: Make, tmp_path: Path, before: str, after: str, name: str, words: str
) -> None:
    path = written(tmp_path, make_bundle(), "serial:///dev/does-not-exist", before, after)

    wrong = {finding.name: finding.words for finding in examine(path) if not finding.fine}

    assert words in wrong[name]
    assert name == "configuration" or "/dev/does-not-exist" in wrong["PLC"]


def test_a_frame_that_is_smaller_than_the_crop_is_wrong(tmp_path: Path) -> None:
    spec = InputSpec(height=16, width=12, channels=1, crop=Crop(x=0, y=0, width=4000, height=20))
    frames = (np.full((20, 4000), 128, np.uint8), np.full((20, 4000), 255, np.uint8))
    golden = encode(Golden(frames, *tiny_outputs(np.stack([preprocess(frame, spec) for frame in frames]))))
    write_bundle(tmp_path / "cropping", tiny_manifest(input=spec), tiny_files() | golden)
    path = written(tmp_path, tmp_path / "cropping", "serial:///dev/does-not-exist")

    wrong = {finding.name: finding.words for finding in examine(path) if not finding.fine}

    assert "expected at least 4000x20" in wrong["camera top"]


def test_a_taken_port_of_the_page_is_wrong(make_bundle: Make, tmp_path: Path) -> None:
    with closing(listening("127.0.0.1", 0, "page")) as taken:
        address = "127.0.0.1:{1}".format(*taken.getsockname())
        page = f"[page]\nlisten = '{address}'\n[pictures]"
        path = written(tmp_path, make_bundle(), "serial:///dev/does-not-exist", "[pictures]", page)
        wrong = {finding.name: finding.words for finding in examine(path) if not finding.fine}
    right = {finding.name: finding.words for finding in examine(path) if finding.fine}

    assert wrong["page"].startswith(f"{address}: cannot listen there (Address already in use)")
    assert right["page"] == f"{address} is free"


def test_of_an_opcua_server_port_certificate_and_key_are_checked(tmp_path: Path) -> None:
    pytest.importorskip("asyncua", reason="the OPC UA server needs edge-inspect[opcua]")
    from tests.edge.opcua.doubles import make_identity

    one, two = make_identity(tmp_path, "one"), make_identity(tmp_path, "two")
    secure = OpcUaSettings(listen="127.0.0.1:0", security="Basic256Sha256", **one)  # type: ignore[arg-type]
    mixed = secure.model_copy(update={"private_key": Path(two["private_key"])})

    assert check_opcua(OpcUaSettings(listen="127.0.0.1:0")) == "127.0.0.1:0 is free"
    assert check_opcua(secure) == "127.0.0.1:0 is free, certificate of urn:line3:edge-inspect"
    assert "found the certificate of another key" in find("OPC UA", lambda: check_opcua(mixed)).words
    with closing(listening("127.0.0.1", 0, "opcua")) as taken:
        address = "127.0.0.1:{1}".format(*taken.getsockname())
        said = find("OPC UA", lambda: check_opcua(OpcUaSettings(listen=address)))
    assert said.words.startswith(f"{address}: cannot listen there (Address already in use); free the port, or set")


def test_a_folder_that_takes_no_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(CheckFailed, match=r"^/proc: cannot be written"):
        check_commits(line_of(tmp_path, records=Path("/proc/none/records.sqlite")))


def test_a_squashed_or_coloured_frame_is_remarked(make_bundle: Make, tmp_path: Path) -> None:
    cv2.imwrite(str(tmp_path / "wide.png"), np.full((16, 24, 3), (30, 90, 200), np.uint8))
    settings = CameraSettings(address=f"file://{tmp_path}")

    words = check_camera(settings, 5.0, load_bundle(make_bundle()))

    assert "24x16 RGB; remark: found 24x16, which is squashed to 12x16" in words
    assert "; remark: found RGB, which the bundle turns into grey" in words
    assert remarks((32, 24), load_bundle(tmp_path / "tiny").manifest.input) == []


def test_a_camera_of_too_few_pixels_is_wrong(make_bundle: Make, tmp_path: Path) -> None:
    cv2.imwrite(str(tmp_path / "tiny.png"), np.full((1, 1), 90, np.uint8))
    settings = CameraSettings(address=f"file://{tmp_path}")
    with pytest.raises(FrameError, match="found a frame of 1x1, expected at least 2x2"):
        check_camera(settings, 5.0, load_bundle(make_bundle()))


def test_an_unsure_margin_is_held_against_the_thresholds(make_bundle: Make) -> None:
    bundle = load_bundle(make_bundle())
    widest = max(limit.score for limit in bundle.manifest.thresholds.values())
    assert check_unsure_margin(0.001, bundle).startswith("0.001: the bundle does not say how many parts")
    said = find("unsure margin", lambda: check_unsure_margin(widest, bundle))
    assert not said.fine
    assert "expected less than the score threshold of every class" in said.words


def test_records_on_a_read_only_mount_are_wrong(tmp_path: Path) -> None:
    mounts = [line.split()[1] for line in Path("/proc/mounts").read_text().splitlines()]
    fixed = [Path(place) for place in mounts if Path(place).is_dir() and os.statvfs(place).f_flag & os.ST_RDONLY]
    if not fixed:
        pytest.skip("found no read-only mount on this machine")

    with pytest.raises(CheckFailed, match="mounted read-only"):
        check_permissions(line_of(tmp_path, records=fixed[0] / "records.sqlite"))


def test_a_line_with_something_wrong_ends_with_status_1(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["doctor", str(tmp_path / "none.toml")])

    assert "1 of the checks above" in str(ended.value.code)
    assert "WRONG configuration: " in capsys.readouterr().out


def test_a_silent_plc_is_said() -> None:
    terminal = PseudoTerminal()
    try:
        with pytest.raises(CheckFailed, match=r"found no answer within 0\.05 s"):
            check_plc(f"serial://{terminal.name}", Hello(), wait_s=0.05)
    finally:
        terminal.close()


def test_bytes_that_make_no_frame_are_told_apart_from_silence() -> None:
    terminal = PseudoTerminal()

    def clock() -> float:
        terminal.write(b"\xaa" * 64)  # a PLC at another baud rate speaks whenever the doctor looks at the time
        return time.monotonic()

    try:
        with pytest.raises(CheckFailed, match="bytes arrive, and none of them make a frame; compare baud rate"):
            check_plc(f"serial://{terminal.name}", Hello(), wait_s=20, clock=clock)
    finally:
        terminal.close()


SILENT = {
    "modbus-tcp://127.0.0.1:0": "that allow= names its address",
    "modbus-tcp://127.0.0.1:{free}?role=client": "that the PLC serves this address, port and unit",
    "io-modbus-tcp://127.0.0.1:{free}": "that the module has power, its address, port and unit",
}


@pytest.mark.parametrize("address", SILENT)
def test_of_a_network_no_serial_setting_is_to_be_checked(address: str) -> None:
    with socket.socket() as other:  # bound, so that nothing else listens there
        other.bind(("127.0.0.1", 0))
        with pytest.raises(CheckFailed, match=SILENT[address]) as failed:
            check_plc(address.format(free=other.getsockname()[1]), Hello(), wait_s=0.05)
    assert not re.search("baud|parity|TX|wires", str(failed.value))


def test_each_way_says_what_to_check_where_nothing_answers() -> None:
    for way in LinkKind:
        assert ("baud rate" in way.silence_advice) is not (way.is_tcp or way is LinkKind.IO_GPIO), way
        assert way.silence_advice.startswith("check that")


def test_another_device_than_a_plc_is_reported() -> None:
    with PlcSimulator(1) as plc, pytest.raises(CheckFailed, match="plc-simulator has the role PLC as this end has"):
        check_plc(plc.address, Hello(Role.PLC, "a second PLC"))


def line_of(tmp_path: Path, **changes: object) -> Line:
    known = {
        "bundle": tmp_path / "tiny",
        "camera": (CameraSettings(address="synthetic://"),),
        "plc": "serial:///dev/null",
        "records": tmp_path / "records.sqlite",
    }
    return Line(**{**known, **changes})  # type: ignore[arg-type]


def test_an_engine_that_is_slower_than_the_deadline_is_wrong(make_bundle: Make, tmp_path: Path) -> None:
    make_bundle()

    with pytest.raises(CheckFailed, match=r"expected less than the 1e-06 ms"):
        check_engine(line_of(tmp_path, deadline_ms=1e-6))


def test_the_engines_of_the_processor_are_shown_with_their_times(
    make_bundle: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("EDGE_INSPECT_CACHE", str(tmp_path / "cache"))
    make_bundle()

    words = check_engine(line_of(tmp_path, engine="cpu", engine_threads=1, deadline_ms=60_000))

    assert re.search(r"(onnxruntime|openvino) chosen; onnxruntime \d+\.\d\d ms a frame; openvino", words)


def test_an_int8_bundle_on_the_processor_is_remarked(tmp_path: Path) -> None:
    bundle = Path(__file__).parents[3] / "models" / "demo-tiles-int8"

    words = check_engine(line_of(tmp_path, bundle=bundle, engine_threads=1, deadline_ms=60_000))

    assert "remark: onnxruntime computes an INT8 bundle in float32" in words


def test_versions_name_what_is_installed() -> None:
    assert "numpy" in check_versions()


def test_what_the_system_refuses_is_a_finding() -> None:
    def refused() -> str:
        raise PermissionError(13, "Permission denied", "/dev/video0")

    finding = find("camera", refused)

    assert (finding.fine, finding.words.startswith("/dev/video0: Permission denied")) == (False, True)


@pytest.mark.parametrize(
    "address",
    [
        "rtsp://user:s3cret@127.0.0.1:1/x?open_timeout_ms=300",
        "rtsp://user:s3cret@127.0.0.1:1/x?bogus=1",
        "rtspx://user:s3cret@127.0.0.1:1/x",
        "gst://rtspsrc location=rtsp://user:s3cret@127.0.0.1:1/x ! decodebin",
    ],
)
def test_no_finding_has_the_password_of_a_camera(
    make_bundle: Make, tmp_path: Path, address: str, capfd: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "line.toml"
    path.write_text(f'bundle = "{make_bundle()}"\nplc = "serial:///dev/none"\n[[camera]]\naddress = "{address}"\n')
    with pytest.raises(SystemExit):
        main(["doctor", str(path)])
    shown = "".join(capfd.readouterr())

    assert "WRONG" in shown
    assert "127.0.0.1:1" in shown
    assert "s3cret" not in shown


def test_certificate_and_users_of_the_page_are_checked(tmp_path: Path) -> None:
    pytest.importorskip("argon2", reason="passwords need edge-inspect[page]")
    pytest.importorskip("cryptography", reason="cryptography makes the certificate: edge-inspect[release]")
    from tests.edge.access.certificates import make_certificate

    certificate, key = make_certificate(tmp_path)
    users = UserFile(tmp_path / "users.json")
    add_user(users, "olga", "operator", lambda: hashed("operates the line"))
    settings = PageSettings(listen="127.0.0.1:0", users=users.path, certificate=certificate, key=key)
    key.chmod(0o644)
    with pytest.raises(CheckFailed, match="found a key that others may read"):
        check_page(settings)
    key.chmod(0o600)

    assert check_page(settings) == (
        "127.0.0.1:0 is free, 1 user(s), certificate for localhost, 127.0.0.1, expires in 29 day(s)"
    )
