"""A rollout reaches the stations wave by wave, and stops where a station refuses or rejects more: in both stores."""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path

import pytest

from bundle import BundleError, SignatureInvalid, Threshold, load_bundle
from edge.cli import main
from edge.config.line import Line, load_line
from edge.errors import EngineError, ReleaseError
from edge.records.database import connect
from edge.release.releases import ReleaseFolder, history, release, roll_back
from edge.rollout.folder import FolderStore
from edge.rollout.rollout import PLAN, publish, pull, read_plan, read_reports
from edge.rollout.store import RolloutStore
from tests.conftest import CLASSES

pytest.importorskip("cryptography", reason="cryptography is not installed: pip install 'edge-inspect[release]'")
from edge.release.signature import make_keys, sign
from tests.edge.rollout.registry import Registry, running_registry

WAVES = [["a"], ["b", "c"], ["d", "e"]]
PARTS = 100
_PART = "INSERT INTO parts (time, part_id, encoder, verdict, told, fault, bundle_id) VALUES ('', 1, 1, ?, ?, ?, ?)"


@dataclass
class RolledStation:
    """A station with a line of its own, whose engine may refuse."""

    name: str
    line: Line
    store: RolloutStore
    refuses: bool = False

    def open(self, bundle: object) -> None:
        if self.refuses:
            raise EngineError("golden frames differ")

    def pull(self) -> str:
        return pull(self.line, self.name, self.store, self.release, self.roll_back)

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


class WriteRefused:
    """A store that is out of reach when a station writes its report."""

    def __init__(self, store: RolloutStore) -> None:
        self._store = store

    def read(self, name: str) -> bytes | None:
        return self._store.read(name)

    def write(self, name: str, content: bytes) -> None:
        raise ReleaseError("out of reach")

    def add_bundle(self, bundle: Path, bundle_id: str) -> None:
        self._store.add_bundle(bundle, bundle_id)

    def bundle(self, bundle_id: str) -> AbstractContextManager[Path]:
        return self._store.bundle(bundle_id)


@pytest.fixture(scope="module")
def registry(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Registry]:
    with running_registry(tmp_path_factory.mktemp("registry")) as registry:
        yield registry


@pytest.fixture(params=["folder", "registry"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> RolloutStore:
    if request.param == "folder":
        (tmp_path / "shared").mkdir()
        return FolderStore(tmp_path / "shared")
    registry: Registry = request.getfixturevalue("registry")
    return registry.store(f"rollouts/{tmp_path.name.lower()}")


@pytest.fixture
def bundles(make_bundle: Callable[..., Path], tmp_path: Path) -> list[Path]:
    private, _ = make_keys(tmp_path / "keys")
    made = []
    for name, score in (("old", 0.8), ("new", 0.7)):
        made.append(make_bundle(name, thresholds={one: Threshold(score=score) for one in CLASSES}))
        sign(load_bundle(made[-1]), private)
    return made


@pytest.fixture
def stations(bundles: list[Path], tmp_path: Path, store: RolloutStore) -> dict[str, RolledStation]:
    """Five stations with the old bundle and 200 parts, 4 of them rejected; the new bundle is published."""
    found = {}
    for name in "abcde":
        place = tmp_path / name
        place.mkdir()
        keys = f'[release]\nkeys = ["{tmp_path}/keys/release.pub"]\n'
        (place / "line.toml").write_text(
            f'bundle = "releases/current"\nplc = "serial:///x"\ncamera = [{{ address = "synthetic://" }}]\n{keys}'
        )
        found[name] = RolledStation(name, load_line(place / "line.toml"), store)
        release(found[name].line, bundles[0], "Ada", "", found[name].open)
        found[name].judge(200, rejects=4)
    publish(bundles[1], store, WAVES, PARTS)
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
    reports = read_reports(stations["a"].store, read_plan(stations["a"].store))
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


def test_a_station_that_cannot_roll_back_halts_the_rollout(
    stations: dict[str, RolledStation], bundles: list[Path], capsys: pytest.CaptureFixture[str]
) -> None:
    station = stations["a"]
    station.pull()
    station.judge(PARTS, rejects=20)
    station.refuses = True
    with pytest.raises(EngineError, match="golden frames differ"):
        station.pull()
    halted = "NOT rolled back, golden frames differ: 20 of 100 parts rejected, 4 of 200 before"
    assert stations["b"].pull() == f"halted by a: {halted}"
    place = str(station.store)
    if not place.startswith("oci:"):
        with pytest.raises(SystemExit, match="0"):
            main(["rollout", "status", place])
        said = capsys.readouterr().out
        assert said.startswith(f"bundle {load_bundle(bundles[1]).id[:12]}, 100 parts a station\n")
        assert f"wave 1  a: halted, {halted}, 20" in said


def test_golden_frames_that_differ_halt_the_rollout(stations: dict[str, RolledStation], bundles: list[Path]) -> None:
    stations["a"].refuses = True
    with pytest.raises(EngineError, match="golden frames differ"):
        stations["a"].pull()
    assert stations["b"].pull() == "halted by a: refused: golden frames differ"
    assert in_force(stations, bundles[1]) == set()


@pytest.mark.parametrize("store", ["folder"], indirect=True)
def test_a_bundle_that_was_changed_in_the_folder_is_refused(
    stations: dict[str, RolledStation], bundles: list[Path], tmp_path: Path
) -> None:
    (tmp_path / "shared" / load_bundle(bundles[1]).id / "model.onnx").write_bytes(b"other")
    with pytest.raises(BundleError):
        stations["a"].pull()
    assert in_force(stations, bundles[1]) == set()


def test_a_bundle_signed_by_a_stranger_is_refused(
    stations: dict[str, RolledStation], bundles: list[Path], tmp_path: Path, store: RolloutStore
) -> None:
    sign(load_bundle(bundles[1]), make_keys(tmp_path / "stranger")[0])
    publish(bundles[1], store, WAVES, PARTS)
    with pytest.raises(SignatureInvalid):
        stations["a"].pull()
    assert stations["b"].pull().startswith("halted by a: refused")


def test_a_station_that_could_not_write_its_report_goes_on(
    stations: dict[str, RolledStation], store: RolloutStore
) -> None:
    station = stations["a"]
    station.store = WriteRefused(store)
    with pytest.raises(ReleaseError, match="out of reach"):
        station.pull()
    station.store = store
    assert station.pull() == "released, 100 parts to judge"
    assert len(history(station.line.records)) == 2


def test_a_station_that_could_not_report_its_rollback_rolls_back_once(
    stations: dict[str, RolledStation], bundles: list[Path], store: RolloutStore
) -> None:
    station = stations["a"]
    station.pull()
    station.judge(PARTS, rejects=20)
    station.store = WriteRefused(store)
    with pytest.raises(ReleaseError, match="out of reach"):
        station.pull()
    station.store = store
    assert station.pull().startswith("rolled back: 20 of 100")
    assert [row.action for row in history(station.line.records)] == ["release", "release", "rollback"]


def test_two_pulls_at_once_release_once_and_halt_nothing(stations: dict[str, RolledStation]) -> None:
    station, said = stations["a"], []

    def release_and_pull(bundle: Path) -> None:
        with pytest.raises(ReleaseError, match="found another release, rollback or pull at work"):
            station.pull()
        station.release(bundle)

    said.append(pull(station.line, "a", station.store, release_and_pull, station.roll_back))
    assert (said, len(history(station.line.records))) == (["released, 100 parts to judge"], 2)


def test_a_release_by_hand_that_is_under_way_halts_nothing(stations: dict[str, RolledStation]) -> None:
    station = stations["a"]
    with ReleaseFolder(station.line.bundle).alone(), pytest.raises(ReleaseError, match="at work; try again"):
        station.pull()
    assert station.pull() == "released, 100 parts to judge"


def test_a_rollout_that_is_published_again_begins_again(
    stations: dict[str, RolledStation], bundles: list[Path]
) -> None:
    stations["a"].refuses = True
    with pytest.raises(EngineError):
        stations["a"].pull()
    stations["a"].refuses = False
    publish(bundles[1], stations["a"].store, WAVES, PARTS)
    assert stations["a"].pull() == "released, 100 parts to judge"


def test_parts_of_a_pause_are_not_judged(stations: dict[str, RolledStation]) -> None:
    stations["a"].pull()
    stations["a"].judge(PARTS, rejects=0, fault="paused by Ada: lunch")
    assert stations["a"].pull() == "0 of 100 parts judged"


def test_what_cannot_be_used_is_named(
    stations: dict[str, RolledStation], bundles: list[Path], store: RolloutStore
) -> None:
    line = stations["a"].line
    with pytest.raises(ReleaseError, match="found no station 'x'"):
        pull(line, "x", store, lambda bundle: None, lambda: None)
    with pytest.raises(ReleaseError, match=r"found no \[release\] keys"):
        pull(line.model_copy(update={"release": None}), "a", store, lambda bundle: None, lambda: None)
    logs_in = line.release.model_copy(update={"log_in": True}) if line.release else None
    with pytest.raises(ReleaseError, match=r"found log_in = true in \[release\]"):
        pull(line.model_copy(update={"release": logs_in}), "a", store, lambda bundle: None, lambda: None)
    store.write("station-b", b"{")
    with pytest.raises(ReleaseError, match="station-b cannot be read"):
        stations["a"].pull()
    store.write(PLAN, b"{}")
    with pytest.raises(ReleaseError, match="the rollout cannot be used"):
        stations["a"].pull()
    bundles[1].with_name("new.sig").unlink()
    with pytest.raises(ReleaseError, match="found no signature"):
        publish(bundles[1], store, WAVES, PARTS)


def test_a_store_without_a_rollout_says_so(store: RolloutStore) -> None:
    with pytest.raises(ReleaseError, match="found no rollout"):
        read_plan(store)


def test_the_commands_publish_and_show(bundles: list[Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = str(tmp_path / "shared")
    with pytest.raises(SystemExit, match="shared: found no such folder, expected one that all stations reach"):
        main(["rollout", "publish", str(bundles[1]), folder, "--wave", "a"])
    Path(folder).mkdir()
    with pytest.raises(SystemExit, match="0"):
        main(["rollout", "publish", str(bundles[1]), folder, "--wave", "line.a", "--wave", "b, c"])
    with pytest.raises(SystemExit, match="0"):
        main(["rollout", "status", folder])
    assert "wave 2  c: no report" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("waves", "problem"),
    [
        (["a", "a,b"], "found a more than once, expected each station in one wave"),
        (["a,,b"], "'' is no name of a station, such as 'line3'"),
        (["a/b"], "'a/b' is no name of a station"),
    ],
)
def test_waves_that_cannot_be_are_refused(bundles: list[Path], tmp_path: Path, waves: list[str], problem: str) -> None:
    options = [word for wave in waves for word in ("--wave", wave)]
    with pytest.raises(SystemExit) as ended:
        main(["rollout", "publish", str(bundles[1]), str(tmp_path), *options])
    assert problem in str(ended.value)


@pytest.mark.parametrize(
    ("words", "problem"),
    [
        (["shared", "--user", "a"], "found a folder with options of a registry"),
        (["oci://localhost/x", "--user", "a"], "found one of --user and --password-file"),
        (["https://localhost/x"], "found no repository"),
        (["oci://a:secret@localhost/x"], "localhost/x: found no repository"),
        (["oci://localhost/x", "--ca-file", "none.pem"], "none.pem: found no such file"),
    ],
)
def test_a_place_that_is_none_is_refused(words: list[str], problem: str) -> None:
    pytest.importorskip("dxf", reason="a registry needs edge-inspect[oci]")
    with pytest.raises(SystemExit) as ended:
        main(["rollout", "status", *words])
    assert problem in str(ended.value)
    assert "secret" not in str(ended.value)


def test_a_timer_s_command_releases_with_the_station_s_engine(
    stations: dict[str, RolledStation],
    bundles: list[Path],
    request: pytest.FixtureRequest,
    capsys: pytest.CaptureFixture[str],
) -> None:
    pytest.importorskip("onnxruntime", reason="onnxruntime is not installed: pip install 'edge-inspect[cpu]'")
    station = stations["a"]
    line, place = station.line.records.parent / "line.toml", str(station.store)
    options = request.getfixturevalue("registry").options if place.startswith("oci:") else []
    with pytest.raises(SystemExit, match="0"):
        main(["rollout", "pull", str(line), place, "--station", "a", *options])
    said = capsys.readouterr().out
    assert "golden frames match" in said
    assert said.endswith("released, 100 parts to judge\n")
    assert in_force(stations, bundles[1]) == {"a"}
