"""A release leaves the old bundle in force or the new one, whatever goes wrong."""

import json
import shutil
import sqlite3
import subprocess
import sys
import textwrap
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest

from bundle import BundleError, Threshold, load_bundle
from edge.cli import main
from edge.config.line import Line, load_line
from edge.config.release import ReleaseSettings
from edge.errors import EngineError, RecordsError, ReleaseError
from edge.records.database import VERSION
from edge.release.releases import KEPT, ReleaseFolder, check_on_record, history, release, roll_back
from edge.release.signature import make_keys, sign, signature_path
from tests.conftest import CLASSES
from tests.edge.release.release_line import opened, write_line
from tests.tiled import TILED, first_of, write_staged, write_tiled

Make = Callable[..., Path]


def test_a_release_is_in_force_and_on_record(line: Line, bundles: list[Path]) -> None:
    for folder in bundles:
        release(line, folder, "Ada", "trial: fewer escapes", opened)
    assert load_bundle(line.bundle).id == load_bundle(bundles[1]).id
    ids = [load_bundle(folder).id for folder in bundles]
    assert [(row.action, row.who, row.before, row.after, row.note) for row in history(line.records)] == [
        ("release", "Ada", "", ids[0], "trial: fewer escapes"),
        ("release", "Ada", ids[0], ids[1], "trial: fewer escapes"),
    ]


def test_the_way_back_is_one_call_and_repeated_it_alternates(line: Line, bundles: list[Path]) -> None:
    for folder in bundles:
        release(line, folder, "Ada", "", opened)
    row = roll_back(line, "Bert", "it rejects good ones", opened)
    assert (row.action, row.note, row.after) == ("rollback", "it rejects good ones", load_bundle(bundles[0]).id)
    assert load_bundle(line.bundle).id == load_bundle(bundles[0]).id
    assert roll_back(line, "Bert", "", opened).after == load_bundle(bundles[1]).id


def test_without_an_earlier_bundle_there_is_no_way_back(line: Line, bundles: list[Path]) -> None:
    with pytest.raises(ReleaseError, match="found no bundle before none"):
        roll_back(line, "Ada", "", opened)
    release(line, bundles[0], "Ada", "", opened)
    with pytest.raises(ReleaseError, match="found no bundle before"):
        roll_back(line, "Ada", "", opened)


def test_an_engine_that_refuses_it_leaves_the_old_one(line: Line, bundles: list[Path]) -> None:
    release(line, bundles[0], "Ada", "", opened)

    def refuse(bundle: object) -> None:
        raise EngineError("golden frames differ")

    with pytest.raises(EngineError, match="golden frames differ"):
        release(line, bundles[1], "Ada", "", refuse)
    assert load_bundle(line.bundle).id == load_bundle(bundles[0]).id
    assert len(history(line.records)) == 1


def test_a_second_switch_at_the_same_time_is_refused(line: Line, bundles: list[Path]) -> None:
    release(line, bundles[0], "Ada", "", opened)

    def meanwhile(bundle: object) -> None:
        with pytest.raises(ReleaseError, match="found another release, rollback or pull at work"):
            roll_back(line, "Ben", "", opened)
        with pytest.raises(ReleaseError, match="found another release, rollback or pull at work"):
            release(line, bundles[1], "Ben", "", opened)

    release(line, bundles[1], "Ada", "", meanwhile)

    assert [row.who for row in history(line.records)] == ["Ada", "Ada"]


def test_a_damaged_bundle_is_not_released(line: Line, bundles: list[Path]) -> None:
    (bundles[0] / "model.onnx").write_bytes(b"damaged")
    with pytest.raises(BundleError):
        release(line, bundles[0], "Ada", "", opened)
    assert not line.bundle.exists()


def test_the_bundle_in_force_is_not_released_again(line: Line, bundles: list[Path]) -> None:
    release(line, bundles[0], "Ada", "", opened)
    with pytest.raises(ReleaseError, match="in force already"):
        release(line, bundles[0], "Ada", "", opened)


def test_a_folder_in_the_place_of_the_link_is_not_touched(tmp_path: Path, bundles: list[Path]) -> None:
    path = tmp_path / "line.toml"
    path.write_text('bundle = "first"\nplc = "serial:///x"\ncamera = [{ address = "synthetic://" }]\n')
    with pytest.raises(ReleaseError, match="found a folder, expected a link made by a release"):
        release(load_line(path), bundles[1], "Ada", "", opened)


def test_old_releases_go_but_not_those_in_use(line: Line, make_bundle: Make) -> None:
    for number in range(KEPT + 4):
        limits = {name: Threshold(score=0.5 + number / 100) for name in CLASSES}
        release(line, make_bundle(f"b{number}", thresholds=limits), "Ada", "", opened)
    kept = [path for path in line.bundle.parent.iterdir() if path.is_dir() and not path.is_symlink()]
    assert len(kept) == KEPT + 2
    roll_back(line, "Ada", "", opened)


def test_records_of_a_station_of_an_earlier_version_are_not_migrated_under_it(line: Line, bundles: list[Path]) -> None:
    release(line, bundles[0], "Ada", "", opened)
    with closing(sqlite3.connect(line.records)) as connection:
        connection.execute("PRAGMA user_version = 5")
    with pytest.raises(RecordsError, match=f"found version 5, expected {VERSION}; restart the station"):
        release(line, bundles[1], "Ada", "", opened)
    assert load_bundle(line.bundle).id == load_bundle(bundles[0]).id
    with closing(sqlite3.connect(line.records)) as connection:
        assert connection.execute("PRAGMA user_version").fetchone() == (5,)


class TestSigned:
    """Lines that ask for signatures."""

    @pytest.fixture(autouse=True)
    def has_cryptography(self) -> None:
        pytest.importorskip("cryptography", reason="cryptography is not installed: edge-inspect[release]")

    @pytest.fixture
    def private(self, tmp_path: Path) -> Path:
        return make_keys(tmp_path)[0]

    @pytest.fixture
    def signed_line(self, private: Path, tmp_path: Path) -> Line:
        return load_line(write_line(tmp_path, '[release]\nkeys = ["release.pub"]\n'))

    def test_only_a_signed_bundle_is_released(self, signed_line: Line, private: Path, bundles: list[Path]) -> None:
        with pytest.raises(BundleError, match="found no such file"):
            release(signed_line, bundles[0], "Ada", "", opened)
        sign(load_bundle(bundles[0]), private)
        release(signed_line, bundles[0], "Ada", "", opened)
        assert signature_path(signed_line.bundle).is_file()

    def test_a_signature_that_is_gone_stops_the_way_back(
        self, signed_line: Line, private: Path, bundles: list[Path]
    ) -> None:
        for folder in bundles:
            sign(load_bundle(folder), private)
            release(signed_line, folder, "Ada", "", opened)
        signature_path(signed_line.bundle.parent / load_bundle(bundles[0]).id).unlink()
        with pytest.raises(BundleError):
            roll_back(signed_line, "Ada", "", opened)
        assert load_bundle(signed_line.bundle).id == load_bundle(bundles[1]).id

    def test_a_first_stage_comes_with_its_bundle_and_under_its_signature(
        self, signed_line: Line, private: Path, tmp_path: Path
    ) -> None:
        staged = write_staged(tmp_path / "staged")
        sign(load_bundle(staged), private)
        release(signed_line, staged, "Ada", "", opened)
        assert len(load_bundle(signed_line.bundle).stages) == 2

        shutil.rmtree(signed_line.bundle / "first")
        shutil.copytree(write_tiled(tmp_path / "other", first_of(TILED), name="other"), signed_line.bundle / "first")
        with pytest.raises(BundleError, match="expected the first stage that the manifest names"):
            load_bundle(signed_line.bundle)


def test_commands_release_list_and_roll_back(
    line: Line, bundles: list[Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for arguments in (
        ["release", str(bundles[0]), str(tmp_path / "line.toml"), "--who", "Ada"],
        ["release", str(bundles[1]), str(tmp_path / "line.toml"), "--who", "Ada", "--note", "trial"],
        ["rollback", str(tmp_path / "line.toml"), "--who", "Bert"],
        ["releases", str(tmp_path / "line.toml")],
    ):
        with pytest.raises(SystemExit) as ended:
            main(arguments)
        assert not ended.value.code
    told = capsys.readouterr().out
    assert told.count("golden frames match on this machine with onnxruntime") == 3
    assert f"is {load_bundle(bundles[0]).id[:12]} now, was {load_bundle(bundles[1]).id[:12]}" in told
    assert "rollback" in told
    assert ReleaseFolder(line.bundle).current == load_bundle(bundles[0]).id


KILLED = textwrap.dedent("""
    import json, os, sys
    from pathlib import Path
    from bundle import load_bundle
    from edge.config.line import load_line
    from edge.release.releases import release, roll_back
    line, source = load_line(Path(sys.argv[1])), Path(sys.argv[2])
    def switch():
        if sys.argv[3] == "release":
            release(line, source, "Ada", "", lambda bundle: None)
        else:
            roll_back(line, "Ada", "", lambda bundle: None)
    found, step = [], 0
    while True:
        step += 1
        child = os.fork()
        if child == 0:
            left = step
            def count(event, arguments):
                global left
                if event.startswith(("os.", "shutil.", "sqlite3.", "open")):
                    left -= 1
                    if left == 0:
                        os._exit(9)  # as kill -9: nothing is flushed, no handler runs
            sys.addaudithook(count)
            switch()
            os._exit(0)
        done = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
        found.append(load_bundle(line.bundle).id)
        if done == 0 or found[-1] == load_bundle(source).id:
            break
    print(json.dumps(found))
""")


@pytest.mark.parametrize("action", ["release", "rollback"])
def test_killed_at_any_step_it_leaves_the_old_bundle_or_the_new_one(
    line: Line, bundles: list[Path], tmp_path: Path, action: str
) -> None:
    release(line, bundles[0], "Ada", "", opened)
    if action == "rollback":
        release(line, bundles[1], "Ada", "", opened)
        bundles.reverse()
    command = [sys.executable, "-c", KILLED, str(tmp_path / "line.toml"), str(bundles[1]), action]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=300)
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    old, new = (load_bundle(folder).id for folder in bundles)
    assert len(found) > 10
    assert found == [old] * (len(found) - 1) + [new]
    assert (history(line.records)[-1].action, history(line.records)[-1].after) == (action, new)


def test_a_copy_that_is_another_bundle_is_not_released(line: Line, bundles: list[Path]) -> None:
    wanted, other = bundles
    copy = ReleaseFolder(line.bundle).folder / load_bundle(wanted).id
    shutil.copytree(other, copy)  # as if exchanged while it was copied

    with pytest.raises(BundleError, match="found another bundle"):
        release(line, wanted, "Ada", "trial", opened)
    assert history(line.records) == []
    assert not line.bundle.exists()


class TestOnRecord:
    """What the station opens where the line asks for signatures."""

    def test_a_link_that_no_release_has_turned_is_refused(self, line: Line, make_bundle: Make) -> None:
        ids = []
        for number in range(3):
            limits = {name: Threshold(score=0.5 + number / 10) for name in CLASSES}
            folder = make_bundle(f"b{number}", thresholds=limits)
            release(line, folder, "Ada", "", opened)
            ids.append(load_bundle(folder).id)
        signed = line.model_copy(update={"release": ReleaseSettings(keys=(Path("x"),))})

        check_on_record(signed, ids[2])
        check_on_record(signed, ids[1])  # a release that was killed before it turned the link
        check_on_record(line, ids[0])  # without signatures anything goes
        with pytest.raises(
            ReleaseError, match=f"found bundle {ids[0][:12]}, expected {ids[2][:12]} of release 3 by Ada"
        ):
            check_on_record(signed, ids[0])

    def test_without_a_release_on_record_the_first_bundle_is_taken(self, line: Line) -> None:
        check_on_record(line.model_copy(update={"release": ReleaseSettings(keys=(Path("x"),))}), "ab" * 32)
