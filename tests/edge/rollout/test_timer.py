"""The timer of a station's steps: systemd takes it, and the command that it runs is one that works."""

import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from edge.cli import main
from edge.commands.rollout.timer import timer_units
from edge.config.line import load_line
from edge.errors import LineConfigError, ReleaseError


def written(folder: Path, release: str = 'keys = ["release.pub"]') -> Path:
    folder.mkdir(exist_ok=True)
    path = folder / "line.toml"
    path.write_text(
        f'bundle = "releases/current"\nrecords = "kept/records.sqlite"\nplc = "serial:///x"\n'
        f'camera = [{{ address = "synthetic://" }}]\n[release]\n{release}\n'
    )
    return path


def test_the_command_writes_a_timer_and_its_service(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    line, shared, out = written(tmp_path / "100% line"), tmp_path / "shared", tmp_path / "units"
    shared.mkdir()
    out.mkdir()
    command = ["rollout", "timer", str(line), str(shared), "--station", "line1", "--out", str(out), "--minutes", "7"]
    with pytest.raises(SystemExit, match="0"):
        main([*command, "--run-as", "inspector"])
    service, timer = ((out / f"edge-inspect-rollout.{kind}").read_text().splitlines() for kind in ("service", "timer"))
    (started,) = (text.removeprefix("ExecStart=") for text in service if text.startswith("ExecStart="))

    program = Path(sys.executable).with_name("edge-inspect")
    expected = [program, "rollout", "pull", line, shared, "--station", "line1"]
    assert [word.replace("%%", "%") for word in shlex.split(started)] == [str(word) for word in expected]
    assert "User=inspector" in service
    assert [text for text in service if text.startswith("ReadWritePaths")] == [
        f'ReadWritePaths="-{tmp_path}/100%% line/kept"',
        f'ReadWritePaths="-{tmp_path}/100%% line/releases"',
        f'ReadWritePaths="-{shared}"',
    ]
    assert "OnUnitInactiveSec=7min" in timer
    watched = (out / "edge-inspect-rollout.path").read_text().splitlines()
    assert f"PathChanged={tmp_path}/100%% line/kept/records.rollout" in watched
    assert "systemctl enable --now edge-inspect-rollout.timer edge-inspect-rollout.path" in capsys.readouterr().out


def test_a_registry_gets_its_options_with_whole_paths(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    pytest.importorskip("dxf", reason="a registry needs edge-inspect[oci]")
    monkeypatch.chdir(tmp_path)
    written(tmp_path)
    Path("secret").write_text("of line 1\n")
    Path("secret").chmod(0o600)
    options = ["--user", "line1", "--password-file", "secret"]
    with pytest.raises(SystemExit, match="0"):
        main(["rollout", "timer", "line.toml", "oci://r:5000/q", "--station", "line1", "--out", ".", *options])
    service = Path("edge-inspect-rollout.service").read_text()

    assert f'"oci://r:5000/q" "--station" "line1" "--user" "line1" "--password-file" "{tmp_path}/secret"\n' in service
    assert "of line 1" not in service + capsys.readouterr().out


def test_systemd_finds_nothing_wrong_with_them(tmp_path: Path) -> None:
    if shutil.which("systemd-analyze") is None:
        pytest.skip("systemd-analyze is not installed")
    for name, text in timer_units(written(tmp_path), str(tmp_path), "line1", {}, 5, "daemon").items():
        (tmp_path / name).write_text(text)
    verified = subprocess.run(
        ["systemd-analyze", "verify", "--man=no", *tmp_path.glob("edge-inspect-rollout.*")],
        capture_output=True, text=True, check=False,
    )  # fmt: skip

    assert [said for said in verified.stderr.splitlines() if "edge-inspect-rollout" in said] == []


def test_a_line_that_no_pull_could_serve_gets_none(tmp_path: Path) -> None:
    line = written(tmp_path, 'keys = ["release.pub"]\nlog_in = true\n[page]\nusers = "users.json"')
    assert load_line(line).release is not None
    with pytest.raises(ReleaseError, match="found log_in = true"):
        timer_units(line, str(tmp_path), "line1", {}, 5, "inspector")
    with pytest.raises(LineConfigError, match="found root"):
        timer_units(line, str(tmp_path), "line1", {}, 5, "root")


def test_a_folder_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    line = written(tmp_path)
    with pytest.raises(SystemExit) as ended:
        main(["rollout", "timer", str(line), str(tmp_path), "--station", "a", "--out", str(line)])
    assert f"{line}/edge-inspect-rollout.service: cannot be written" in str(ended.value)
