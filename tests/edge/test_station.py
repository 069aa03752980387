"""The whole station, from the command line to a simulated PLC at the other end of a pseudo-terminal."""

import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from time import monotonic

import cv2
import pytest

from bundle import Golden, GoldenMismatch, MaskSize, load_bundle, write_bundle
from bundle.golden import encode
from edge.cli import main
from edge.config.ejector import EjectorSettings
from edge.config.line import Line
from edge.config.schema import CameraSettings
from edge.ejector.output import SimulatedOutput
from edge.engines.registry import open_engine
from edge.errors import EngineError, RecordsError
from edge.station import Equipment, open_station
from firmware_bridge.errors import LinkError
from firmware_bridge.messages import BeltPosition, Fault, FaultCode
from firmware_bridge.simulator.plc import PlcSimulator
from tests.conftest import grey_frame, tiny_files, tiny_manifest
from tests.edge.line_doubles import NumpyEngine
from tests.edge.running_line import Run

PATIENCE_S = 60.0
ONE = (CameraSettings(address="synthetic://"),)
Make = Callable[..., Path]


def parts_of(path: Path) -> list[tuple[object, ...]]:
    with closing(sqlite3.connect(path)) as connection:
        return connection.execute("SELECT part_id, verdict, link FROM parts ORDER BY number").fetchall()


def write_line(folder: Path, bundle: Path, camera: str, plc: str, more: str = "") -> Path:
    path = folder / "line.toml"
    path.write_text(
        f'bundle = "{bundle}"\ncamera = [{{ address = "{camera}" }}]\nplc = "{plc}"\n'
        f"deadline_ms = 20000\ngrab_timeout_ms = 20000\nrecord_wait_ms = 1000\n{more}"
    )
    return path


def test_every_trigger_is_answered_acknowledged_and_on_record(make_bundle: Make, tmp_path: Path) -> None:
    with PlcSimulator(12, max_open=3, deadline_s=PATIENCE_S) as plc:
        line = Line(
            bundle=make_bundle(), camera=ONE, plc=plc.address, records=tmp_path / "r.sqlite",
            deadline_ms=20_000, grab_timeout_ms=20_000, record_wait_ms=1000,
        )  # fmt: skip
        with open_station(line) as runtime:
            assert plc.wait(PATIENCE_S)
        report = plc.report()

    assert (report.parts, report.unanswered, report.foreign) == (12, 0, 0)
    assert runtime.tally.acknowledged == 12
    assert [(part, link) for part, _, link in parts_of(line.records)] == [(n, "acknowledged") for n in range(1, 13)]


def test_run_ends_with_its_folder(make_bundle: Make, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    pictures = tmp_path / "pictures"
    pictures.mkdir()
    for number, spot in enumerate((None, 255, 0)):
        cv2.imwrite(str(pictures / f"{number}.png"), grey_frame(spot))
    (pictures / "3.png").write_bytes(b"no picture")
    with PlcSimulator(4, deadline_s=PATIENCE_S) as plc:
        with pytest.raises(SystemExit) as ended:
            main(["run", str(write_line(tmp_path, make_bundle(), f"file://{pictures}", plc.address))])
        report = plc.report()

    assert ended.value.code in (0, None)
    assert (report.passed, report.rejected, report.unanswered) == (1, 3, 0)
    assert [row[:2] for row in parts_of(tmp_path / "records.sqlite")] == [(1, 1), (2, 2), (3, 2), (4, 5)]
    assert "Bright" in capsys.readouterr().out


def test_pictures_of_rejects_are_kept_and_on_record(make_bundle: Make, tmp_path: Path) -> None:
    pictures = tmp_path / "frames"
    pictures.mkdir()
    for number, spot in enumerate((None, 255)):
        cv2.imwrite(str(pictures / f"{number}.png"), grey_frame(spot))
    more = "[pictures]\nfolder = 'kept'\nleave_free_gib = 0\n"
    with PlcSimulator(2, deadline_s=PATIENCE_S) as plc:
        line = write_line(tmp_path, make_bundle(), f"file://{pictures}", plc.address, more)
        with pytest.raises(SystemExit) as ended:
            main(["run", str(line)])

    assert ended.value.code in (0, None)
    with closing(sqlite3.connect(tmp_path / "records.sqlite")) as connection:
        (good, bad) = connection.execute("SELECT picture FROM views ORDER BY part").fetchall()
    assert good == (None,)
    assert cv2.imread(str(tmp_path / "kept" / bad[0]), cv2.IMREAD_GRAYSCALE).tolist() == grey_frame(255).tolist()


def write_frames(folder: Path, *spots: int | None) -> Path:
    folder.mkdir()
    for number, spot in enumerate(spots):
        cv2.imwrite(str(folder / f"{number}.png"), grey_frame(spot))
    return folder


def test_the_station_s_own_ejector_fires_for_the_rejects_only(make_bundle: Make, tmp_path: Path) -> None:
    output = SimulatedOutput()
    frames = write_frames(tmp_path / "frames", None, 255, None, 0)
    with PlcSimulator(4, rate_hz=2, max_open=4, deadline_s=PATIENCE_S, belt_speed=10_000) as plc:
        line = Line(
            bundle=make_bundle(), camera=(CameraSettings(address=f"file://{frames}?loop=1"),), plc=plc.address,
            records=tmp_path / "r.sqlite", deadline_ms=20_000, grab_timeout_ms=20_000, record_wait_ms=1000,
            ejector=EjectorSettings(
                output="simulated://", distance_counts=20_000, length_counts=1000, default="pass", fail_safe="off"
            ),
        )  # fmt: skip
        with open_station(line, equipment=Equipment(open_output=lambda _: output)) as runtime:
            assert plc.wait(PATIENCE_S)
            patience = monotonic() + PATIENCE_S
            while runtime.alive and (output.on or output.pulses < 2) and monotonic() < patience:
                runtime.finished.wait(0.01)
        triggered = [record.triggered_s for record in plc.records()]

    with closing(sqlite3.connect(line.records)) as connection:
        fates = connection.execute("SELECT verdict, ejection FROM parts ORDER BY number").fetchall()
    assert fates == [(1, None), (2, "ejected"), (1, None), (2, "ejected")]
    fired = [at for at, on in output.switched if on]
    for at, trigger in zip(fired, (triggered[1], triggered[3]), strict=True):
        assert 1.95 < at - trigger < 3  # 20,000 counts at 10,000 a second; a loaded machine is late
    assert output.closed


def test_a_reject_that_arrives_in_the_bin_is_confirmed_and_one_that_the_plc_misses_is_not(run: Run) -> None:
    with run([grey_frame(255)], confirmation={"within_ms": 60_000}) as line:
        line.plc.tell(BeltPosition(0, arrived=4))
        line.verdicts(1, 2)
        line.plc.tell(BeltPosition(50, arrived=5))
        line.plc.tell(Fault(FaultCode.OUTPUT, part_id=2, text="eject not confirmed"))
        line.plc.tell(Fault(FaultCode.CAMERA, part_id=1, text="another fault"))
        line.plc.drain()

    assert line.rows("SELECT part_id, ejection FROM parts ORDER BY number") == [(1, "confirmed"), (2, "unconfirmed")]


def test_a_challenge_for_a_class_that_the_bundle_does_not_know_is_refused(make_bundle: Make, tmp_path: Path) -> None:
    line = write_line(tmp_path, make_bundle(), "synthetic://", "serial:///dev/none", "[challenge]\nexpected = 'Rust'\n")

    with pytest.raises(SystemExit) as ended:
        main(["run", str(line)])
    assert "challenge.expected: found 'Rust', expected one of Bright, Dark" in str(ended.value.code)


def test_in_shadow_mode_the_ejector_is_left_alone(make_bundle: Make, tmp_path: Path) -> None:
    with PlcSimulator(1, deadline_s=PATIENCE_S) as plc:
        line = Line(
            bundle=make_bundle(), camera=ONE, plc=plc.address, records=tmp_path / "r.sqlite", shadow=True,
            ejector=EjectorSettings(output="gpio:///dev/none?line=1", delay_ms=10, length_ms=10),
        )  # fmt: skip
        with open_station(line) as runtime:
            assert plc.wait(PATIENCE_S)

    assert runtime.failure is None


def test_the_demo_says_what_happened(make_bundle: Make, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["demo", "--bundle", str(make_bundle()), "--parts", "10", "--out", str(tmp_path / "out")])

    assert ended.value.code in (0, None)
    said = capsys.readouterr().out
    for words in ("escapes", "false rejects", "acknowledged by the PLC", "frame to acknowledgement"):
        assert words in said
    assert cv2.imread(str(tmp_path / "out" / "rejected.png")) is not None


@pytest.mark.parametrize(
    ("arguments", "problem"),
    [
        (["run", "none.toml"], "none.toml: cannot be read"),
        (["demo", "--bundle", "none", "--out", "out"], "none/manifest.json: found no such file"),
        (["bench", "none"], "none/manifest.json: found no such file"),
        (["report", "none.sqlite"], "none.sqlite: found no such file"),
    ],
)
def test_what_is_missing_is_said_in_one_line(
    arguments: list[str], problem: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)

    with pytest.raises(SystemExit) as ended:
        main(arguments)
    assert problem in str(ended.value.code)
    assert "\n" not in str(ended.value.code)


def test_a_port_that_does_not_exist_leaves_nothing_open(make_bundle: Make, tmp_path: Path) -> None:
    line = write_line(tmp_path, make_bundle(), "synthetic://", "serial:///dev/does-not-exist")

    with pytest.raises(SystemExit) as ended:
        main(["run", str(line)])
    assert "/dev/does-not-exist" in str(ended.value.code)
    (tmp_path / "records.sqlite").unlink()  # no process has it open


def test_a_station_that_cannot_be_opened_closes_its_engine(make_bundle: Make, tmp_path: Path) -> None:
    bundle = load_bundle(make_bundle())
    engine = NumpyEngine(bundle.manifest)
    line = Line(bundle=bundle.folder, camera=ONE, plc="serial:///dev/does-not-exist", records=tmp_path / "r.sqlite")

    with (
        pytest.raises(LinkError),
        open_station(line, equipment=Equipment(open_engine=lambda *_: engine)),
    ):
        pytest.fail("a station without its port")
    assert engine.closed


def test_a_port_in_use_is_refused(make_bundle: Make, tmp_path: Path) -> None:
    with PlcSimulator(1, deadline_s=PATIENCE_S) as plc:
        line = Line(bundle=make_bundle(), camera=ONE, plc=plc.address, records=tmp_path / "r.sqlite")
        other = line.model_copy(update={"records": tmp_path / "other.sqlite"})
        with open_station(line), pytest.raises(LinkError, match="use"), open_station(other):
            pytest.fail("two stations on one port")


def test_records_in_use_are_refused(make_bundle: Make, tmp_path: Path) -> None:
    with PlcSimulator(1, deadline_s=PATIENCE_S) as plc, PlcSimulator(1, deadline_s=PATIENCE_S) as another:
        line = Line(bundle=make_bundle(), camera=ONE, plc=plc.address, records=tmp_path / "r.sqlite")
        other = line.model_copy(update={"plc": another.address})
        with open_station(line), pytest.raises(RecordsError, match="in use by process"), open_station(other):
            pytest.fail("two stations on one database")


def test_an_engine_that_disagrees_with_the_golden_frames_stays_off_line(make_bundle: Make, tmp_path: Path) -> None:
    files = tiny_files()
    frame = files["golden/frame0.png"]
    files["golden/frame0.png"], files["golden/frame1.png"] = files["golden/frame1.png"], frame  # the wrong way round
    write_bundle(tmp_path / "swapped", tiny_manifest(), files)

    with pytest.raises(GoldenMismatch, match="do not go on line"):
        open_engine("onnxruntime", load_bundle(tmp_path / "swapped"), threads=1)


def test_there_is_no_falling_back_to_another_engine(make_bundle: Make) -> None:
    with pytest.raises(EngineError, match="found 'ncnn', expected one of 'onnxruntime', 'openvino'"):
        open_engine("ncnn", load_bundle(make_bundle()))


def test_a_network_that_answers_in_another_shape_is_refused(make_bundle: Make, tmp_path: Path) -> None:
    whole = load_bundle(make_bundle()).golden
    golden = encode(Golden(whole.frames, whole.scores, whole.masks[:, :, ::2]))
    write_bundle(tmp_path / "short", tiny_manifest(masks=MaskSize(height=4, width=6)), {**tiny_files(), **golden})

    with pytest.raises(EngineError, match="found outputs"):
        open_engine("onnxruntime", load_bundle(tmp_path / "short"), threads=1)
