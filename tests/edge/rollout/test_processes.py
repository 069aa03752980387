"""Five stations that run, each in a process, take a rollout by `edge-inspect rollout pull` in processes of its own."""

import re
import signal
import sqlite3
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import pytest

from bundle import Threshold, encode_png, load_bundle
from bundle.manifest import read_manifest
from edge.config.line import load_line
from edge.release.releases import release
from edge.rollout.folder import FolderStore
from edge.rollout.rollout import publish, read_plan, read_reports
from firmware_bridge.simulator.plc import PlcSimulator
from tests.conftest import CLASSES, grey_frame
from tests.edge.forwarding.waiting import wait_for

pytest.importorskip("cryptography", reason="cryptography is not installed: pip install 'edge-inspect[release]'")
pytest.importorskip("onnxruntime", reason="onnxruntime is not installed: pip install 'edge-inspect[cpu]'")
from edge.release.signature import make_keys, sign

WAVES = [["a"], ["b", "c"], ["d", "e"]]
PARTS = 10
PROGRAM = [sys.executable, "-c", "from edge.cli import main; main()"]
SCORES = {"old": 0.9, "good": 0.8, "bad": 0.4}
"""Threshold of each bundle; all parts have a score of 0.5."""


class StationProcess:
    """A station with its PLC, which triggers eight parts a second."""

    def __init__(self, folder: Path, shared: Path, keys: Path) -> None:
        self.name, self.folder, self._shared = folder.name, folder, shared
        self.plc = PlcSimulator(sys.maxsize, rate_hz=8.0, deadline_s=30.0)
        (folder / "line.toml").write_text(
            f'bundle = "releases/current"\nplc = "{self.plc.address}"\nengine_threads = 1\ndeadline_ms = 20000\n'
            f'grab_timeout_ms = 20000\ncamera = [{{ address = "file://{shared}/pictures?loop=1" }}]\n'
            f'[release]\nkeys = ["{keys}/release.pub"]\n'
        )

    def start(self) -> None:
        """Start it."""
        with (self.folder / "log").open("wb") as log:
            self.process = subprocess.Popen([*PROGRAM, "run", "line.toml"], cwd=self.folder, stderr=log)

    def pull(self) -> "subprocess.Popen[str]":
        """Start its next step."""
        words = ["rollout", "pull", "line.toml", str(self._shared), "--station", self.name]
        pipe = subprocess.PIPE
        return subprocess.Popen([*PROGRAM, *words], cwd=self.folder, stdout=pipe, stderr=subprocess.STDOUT, text=True)

    def judged(self, bundle: Path) -> int:
        """Parts on record with a bundle."""
        bundle_id = read_manifest(bundle).id
        with closing(sqlite3.connect(self.folder / "records.sqlite")) as connection:
            query = "SELECT count(*) FROM parts WHERE bundle_id = ?"
            return int(connection.execute(query, (bundle_id,)).fetchone()[0])

    def wait_for_parts(self, bundle: Path, count: int) -> None:
        """Wait until that many parts with a bundle are on record."""
        wait_for(
            lambda: self.judged(bundle) >= count, f"{self.name} has {self.judged(bundle)} parts with {bundle.name}"
        )

    def stop(self) -> int:
        """End it as systemd does."""
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(60)


def pull(stations: list[StationProcess]) -> list[str]:
    """Let stations take their next steps at the same time; the last line that each says."""
    return [process.communicate(timeout=120)[0].splitlines()[-1] for process in [one.pull() for one in stations]]


@pytest.fixture
def bundles(make_bundle: Callable[..., Path], tmp_path: Path) -> dict[str, Path]:
    private, _ = make_keys(tmp_path / "keys")
    made = {
        name: make_bundle(name, thresholds={one: Threshold(score=score) for one in CLASSES})
        for name, score in SCORES.items()
    }
    for path in made.values():
        sign(load_bundle(path), private)
    return made


@pytest.fixture
def stations(bundles: dict[str, Path], tmp_path: Path) -> Iterator[dict[str, StationProcess]]:
    """Five stations that run with the old bundle."""
    shared, made = tmp_path / "shared", {}
    (shared / "pictures").mkdir(parents=True)
    (shared / "pictures" / "good.png").write_bytes(encode_png(grey_frame()))
    for name in "abcde":
        (tmp_path / name).mkdir()
        made[name] = StationProcess(tmp_path / name, shared, tmp_path / "keys")
        release(load_line(tmp_path / name / "line.toml"), bundles["old"], "Ada", "", lambda bundle: None)
        made[name].start()
    for station in made.values():
        station.wait_for_parts(bundles["old"], PARTS)
    yield made
    for station in made.values():
        station.process.kill()
        station.process.wait()
        station.plc.close()


def test_five_running_stations_take_a_bundle_in_waves_and_halt_at_one_that_rejects_more(
    stations: dict[str, StationProcess], bundles: dict[str, Path], tmp_path: Path
) -> None:
    store = FolderStore(tmp_path / "shared")
    publish(bundles["good"], store, WAVES, PARTS)
    said = pull([*stations.values()])
    assert said == [f"released, {PARTS} parts to judge", *["wave 2 waits for a"] * 2, *["wave 3 waits for a, b, c"] * 2]
    for wave in WAVES:
        in_wave = [stations[name] for name in wave]
        pull([one for one in in_wave if one.name != "a"])
        for station in in_wave:
            station.wait_for_parts(bundles["good"], PARTS)
        assert {re.sub(r"\d+", "N", words) for words in pull(in_wave)} == {
            "confirmed: N of N parts rejected, N of N before"
        }
    assert {one.state for one in read_reports(store, read_plan(store)).values()} == {"confirmed"}

    publish(bundles["bad"], store, WAVES, PARTS)
    assert pull([stations["a"]]) == [f"released, {PARTS} parts to judge"]
    stations["a"].wait_for_parts(bundles["bad"], PARTS)
    first = pull([stations["a"]])[0]
    rest = pull([stations["b"], stations["d"]])
    stations["a"].wait_for_parts(bundles["good"], stations["a"].judged(bundles["good"]) + PARTS)

    assert re.match(r"rolled back: \d+ of \d+ parts rejected", first)
    assert rest == [f"halted by a: {first}"] * 2
    assert [name for name, station in stations.items() if station.judged(bundles["bad"])] == ["a"]
    for station in stations.values():
        assert station.stop() == 0
        report = station.plc.report()
        assert (report.unanswered, report.late, report.foreign) == (0, 0, 0), station.name
