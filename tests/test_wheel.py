"""The installed wheel runs without the repository."""

import os
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from tools.distribution.python_packages import build

pytest.importorskip("setuptools", minversion="77", reason="setuptools is older than 77: pip install -U setuptools")
ROOT = Path(__file__).resolve().parents[1]


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The content of a wheel, built from a copy of the repository, as pip unpacks it."""
    folder = tmp_path_factory.mktemp("wheel")
    source = folder / "source"
    tracked = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True, check=False)
    if tracked.returncode:
        pytest.skip(f"a wheel is built from a git checkout: {tracked.stderr.strip()}")
    for name in {*tracked.stdout.split("\0"), "setup.py", "MANIFEST.in"} - {""}:
        if (ROOT / name).is_file() and not name.startswith(("tests/", "docs/", "train/")):
            (source / name).parent.mkdir(parents=True, exist_ok=True)
            (source / name).write_bytes((ROOT / name).read_bytes())
    wheel = build(source, folder, epoch=1_700_000_000)
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(folder / "site")
    return folder / "site"


def run(installed: Path, folder: Path, *arguments: str) -> "subprocess.CompletedProcess[str]":
    script = "from console_scripts.entry_points import edge_inspect; edge_inspect()"
    command = [sys.executable, "-c", script, *arguments]
    environment = {**os.environ, "PYTHONPATH": str(installed)}
    return subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False)


def test_the_demo_runs_from_a_wheel(installed: Path, tmp_path: Path) -> None:
    ended = run(installed, tmp_path, "demo", "--parts", "8")

    assert ended.returncode == 0, ended.stderr
    assert (tmp_path / "demo-output").is_dir()


def test_the_checkpoint_to_start_from_is_in_the_wheel(installed: Path) -> None:
    name = "models/surface-base.pt"
    assert (installed / "train" / name).read_bytes() == (ROOT / name).read_bytes()


def test_the_doctor_examines_a_line_from_a_wheel(installed: Path, tmp_path: Path) -> None:
    camera = 'engine_threads = 1\ndeadline_ms = 60000\n\n[[camera]]\naddress = "synthetic://"\n'
    bundle = f'bundle = "{installed / "edge/models/demo-tiles"}"\n'
    (tmp_path / "line.toml").write_text(f'{bundle}plc = "serial://{tmp_path}/absent"\n{camera}', encoding="utf-8")

    ended = run(installed, tmp_path, "doctor", "line.toml")

    wrong = [line for line in ended.stdout.splitlines() if line.startswith("WRONG")]
    assert [line.split(":")[0] for line in wrong] == ["WRONG PLC"], ended.stdout + ended.stderr
    assert ended.returncode == 1


def test_the_wheel_has_every_file_that_is_read_at_run_time(installed: Path) -> None:
    for name in ("edge/models/demo-tiles/manifest.json", "edge/page/static/page.js", "edge/records/schema/1.sql"):
        assert (installed / name).is_file(), name


def test_a_plc_is_simulated_from_a_wheel(installed: Path, tmp_path: Path) -> None:
    ended = run(installed, tmp_path, "plc-simulator", "--help")

    assert ended.returncode == 0, ended.stderr
    assert "--belt-speed" in ended.stdout
