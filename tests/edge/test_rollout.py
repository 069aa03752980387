"""A rollout reaches the stations wave by wave, and stops where a station refuses or rejects more."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

from bundle import BundleError, SignatureInvalid, Threshold, load_bundle
from edge.cli import main
from edge.config.line import Line, load_line
from edge.errors import EngineError, ReleaseError
from edge.records.database import connect
from edge.release.releases import history, release, roll_back
from edge.rollout import PLAN, publish, pull, read_plan, read_reports
from tests.conftest import CLASSES

pytest.importorskip("cryptography", reason="cryptography is not installed: pip install 'edge-inspect[release]'")
from edge.release.signature import make_keys, sign

WAVES = [["a"], ["b", "c"], ["d", "e"]]
PARTS = 100
_PART = "INSERT INTO parts (time, part_id, encoder, verdict, told, fault, bundle_id) VALUES ('', 1, 1, ?, ?, ?, ?)"


@dataclass
class RolledStation:
    """A station with a line of its own, whose engine may refuse."""

    name: str
    line: Line
    folder: Path
    refuses: bool = False

    def open(self, bundle: object) -> None:
        if self.refuses:
            raise EngineError("golden frames differ")

    def pull(self) -> str:
        return pull(self.line, self.name, self.folder, self.release, self.roll_back)

    def release(self, bundle: Path) -> None:
        release(self.line, bundle, "rollout", "", self.open)

    def roll_back(self) -> None:
        roll_back(self.line, "rollout", "", self.open)

    def judge(self, parts: int, rejects: int, fault: str = "") -> None:
        """Record parts with the bundle in force."""
        current = load_bundle(self.line.bundle).id
        connection = connect(self.line.records)
        rows = [(2, 2, "", current)] * rejects + [(5 if fault else 1, 1, fault, current)] * (parts - rejects)
        connection.executemany(_PART, rows)
        connection.close()


@pytest.fixture
def bundles(make_bundle: Callable[..., Path], tmp_path: Path) -> list[Path]:
    private, _ = make_keys(tmp_path / "keys")
    made = []
    for name, score in (("old", 0.8), ("new", 0.7)):
        made.append(make_bundle(name, thresholds={one: Threshold(score=score) for one in CLASSES}))
        sign(load_bundle(made[-1]), private)
    return made


@pytest.fixture
def stations(bundles: list[Path], tmp_path: Path) -> dict[str, RolledStation]:
    """Five stations with the old bundle and 200 parts, 4 of them rejected; the new bundle is published."""
    found = {}
    for name in "abcde":
        place = tmp_path / name
        place.mkdir()
        keys = f'[release]\nkeys = ["{tmp_path}/keys/release.pub"]\n'
        (place / "line.toml").write_text(
            f'bundle = "releases/current"\nplc = "serial:///x"\ncamera = [{{ address = "synthetic://" }}]\n{keys}'
        )
        found[name] = RolledStation(name, load_line(place / "line.toml"), tmp_path / "shared")
        release(found[name].line, bundles[0], "Ada", "", found[name].open)
        found[name].judge(200, rejects=4)
    publish(bundles[1], tmp_path / "shared", WAVES, PARTS)
    return found


def in_force(stations: dict[str, RolledStation], bundle: Path) -> set[str]:
    bundle_id = load_bundle(bundle).id
    return {name for name, station in stations.items() if load_bundle(station.line.bundle).id == bundle_id}


def test_five_stations_take_the_bundle_in_three_waves(stations: dict[str, RolledStation], bundles: list[Path]) -> None:
    reached: set[str] = set()
    for wave in WAVES:
        for station in stations.values():
            station.pull()
        reached |= set(wave)
        assert in_force(stations, bundles[1]) == reached
        for name in wave:
            assert stations[name].pull() == "0 of 100 parts judged"
            stations[name].judge(PARTS, rejects=3)
            assert stations[name].pull() == "confirmed: 3 of 100 parts rejected, 4 of 200 before"
    reports = read_reports(stations["a"].folder, read_plan(stations["a"].folder))
    assert {report.state for report in reports.values()} == {"confirmed"}


def test_a_rise_of_rejects_rolls_the_station_back_and_halts_the_rest(
    stations: dict[str, RolledStation], bundles: list[Path]
) -> None:
    stations["a"].pull()
    stations["a"].judge(PARTS, rejects=20)
    assert stations["a"].pull() == "rolled back: 20 of 100 parts rejected, 4 of 200 before"
    assert stations["b"].pull().startswith("halted by a: rolled back")
    assert in_force(stations, bundles[1]) == set()
    assert history(stations["a"].line.records)[-1].action == "rollback"


def test_golden_frames_that_differ_halt_the_rollout(stations: dict[str, RolledStation], bundles: list[Path]) -> None:
    stations["a"].refuses = True
    with pytest.raises(EngineError, match="golden frames differ"):
        stations["a"].pull()
    assert stations["b"].pull() == "halted by a: refused: golden frames differ"
    assert in_force(stations, bundles[1]) == set()


def test_a_bundle_that_was_changed_in_the_folder_is_refused(
    stations: dict[str, RolledStation], bundles: list[Path]
) -> None:
    copy = stations["a"].folder / read_plan(stations["a"].folder).bundle_id
    (copy / "model.onnx").write_bytes(b"other")
    with pytest.raises(BundleError):
        stations["a"].pull()
    assert in_force(stations, bundles[1]) == set()


def test_a_bundle_signed_by_a_stranger_is_refused(stations: dict[str, RolledStation], tmp_path: Path) -> None:
    station = stations["a"]
    copy = station.folder / read_plan(station.folder).bundle_id
    sign(load_bundle(copy), make_keys(tmp_path / "stranger")[0])
    with pytest.raises(SignatureInvalid):
        station.pull()


def test_a_station_killed_before_its_report_goes_on(stations: dict[str, RolledStation], bundles: list[Path]) -> None:
    station = stations["a"]
    station.pull()
    (station.folder / "stations" / "a.json").unlink()
    assert station.pull() == "released, 100 parts to judge"
    assert len(history(station.line.records)) == 2


def test_a_rollout_that_is_published_again_begins_again(
    stations: dict[str, RolledStation], bundles: list[Path]
) -> None:
    stations["a"].refuses = True
    with pytest.raises(EngineError):
        stations["a"].pull()
    stations["a"].refuses = False
    publish(bundles[1], stations["a"].folder, WAVES, PARTS)
    assert stations["a"].pull() == "released, 100 parts to judge"


def test_parts_of_a_pause_are_not_judged(stations: dict[str, RolledStation]) -> None:
    stations["a"].pull()
    stations["a"].judge(PARTS, rejects=0, fault="paused by Ada: lunch")
    assert stations["a"].pull() == "0 of 100 parts judged"


def test_what_cannot_be_used_is_named(
    stations: dict[str, RolledStation], bundles: list[Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    station = stations["a"]
    with pytest.raises(ReleaseError, match="found no station 'x'"):
        pull(station.line, "x", station.folder, lambda bundle: None, lambda: None)
    with pytest.raises(ReleaseError, match=r"found no \[release\] keys"):
        pull(station.line.model_copy(update={"release": None}), "a", station.folder, lambda bundle: None, lambda: None)
    (station.folder / "stations").mkdir(exist_ok=True)
    (station.folder / "stations" / "b.json").write_text("{")
    with pytest.raises(ReleaseError, match=r"b\.json: cannot be read"):
        station.pull()
    (station.folder / PLAN).write_text("{}")
    with pytest.raises(ReleaseError, match=r"rollout\.json: cannot be used"):
        station.pull()
    bundles[1].with_name("new.sig").unlink()
    with pytest.raises(ReleaseError, match="found no signature"):
        publish(bundles[1], tmp_path / "shared", WAVES, PARTS)


def test_the_commands_publish_and_show(bundles: list[Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = str(tmp_path / "shared")
    with pytest.raises(SystemExit, match="0"):
        main(["rollout", "publish", str(bundles[1]), folder, "--wave", "a", "--wave", "b,c"])
    with pytest.raises(SystemExit, match="0"):
        main(["rollout", "status", folder])
    assert "wave 2  c: no report" in capsys.readouterr().out


def test_a_timer_s_command_releases_with_the_station_s_engine(
    stations: dict[str, RolledStation], bundles: list[Path], capsys: pytest.CaptureFixture[str]
) -> None:
    pytest.importorskip("onnxruntime", reason="onnxruntime is not installed: pip install 'edge-inspect[cpu]'")
    station = stations["a"]
    line = station.line.records.parent / "line.toml"
    with pytest.raises(SystemExit, match="0"):
        main(["rollout", "pull", str(line), str(station.folder), "--station", "a"])
    said = capsys.readouterr().out
    assert "golden frames match" in said
    assert said.endswith("released, 100 parts to judge\n")
    assert in_force(stations, bundles[1]) == {"a"}
