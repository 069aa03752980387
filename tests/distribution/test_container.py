"""The image of a station runs without a network, as any user, on a read-only root.

`make container` builds the image and sets CONTAINER_IMAGE; CONTAINER_RUN is the command that runs one.
"""

import os
import re
import shlex
import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import pytest

from tests.test_rooms import ROOT
from tools.distribution.install import command_line

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

IMAGE = os.environ.get("CONTAINER_IMAGE", "")
RUN = shlex.split(os.environ.get("CONTAINER_RUN", "podman run"))
HARDENED = ["--rm", "--read-only", "--network=none", "--cap-drop=all", "--security-opt=no-new-privileges"]
USER = 4321
"""A user that the image does not know."""
LINE = """
bundle = "/opt/edge-inspect/current/models/magnetic-tile"
plc = "serial:///tmp/plc"
deadline_ms = 10000
camera = [{ address = "synthetic://?seed=7" }]
"""

needs_image = pytest.mark.skipif(not IMAGE, reason="CONTAINER_IMAGE names no image: make container")


def statements(file: str) -> str:
    return (ROOT / "containers" / file).read_text(encoding="utf-8")


def test_the_image_has_on_its_path_what_the_installer_installs() -> None:
    text = statements("station.Containerfile")
    (words,) = re.findall(r"^RUN python3 /package/install\.py (.*)$", text, re.MULTILINE)
    options = command_line().parse_args(words.split())
    assert options.action == "install"
    assert re.findall(r"^COPY --from=installation (\S+) (\S+)$", text, re.MULTILINE) == [(str(options.root),) * 2]
    assert f"PATH={options.root}/current/bin:" in text


def test_the_image_for_boards_installs_extras_that_exist() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    (extras,) = re.findall(r"/src\[([a-z0-9,]+)\]", statements("l4t.Containerfile"))
    assert set(extras.split(",")) <= set(project["optional-dependencies"])


@pytest.fixture
def volume(tmp_path: Path) -> Path:
    folder = tmp_path / "line"
    folder.mkdir()
    os.chown(folder, USER, USER)
    return folder


def contained(volume: Path, *words: str, entrypoint: str = "edge-inspect", user: int = USER) -> str:
    """Run a command in the image; returns what it printed."""
    options = [*HARDENED, f"--user={user}:{user}", f"--volume={volume}:/line", f"--entrypoint={entrypoint}"]
    ended = subprocess.run([*RUN, *options, IMAGE, *words], capture_output=True, text=True, check=False)
    assert ended.returncode == 0, ended.stdout + ended.stderr
    return ended.stdout


@needs_image
def test_it_says_its_version(volume: Path) -> None:
    assert contained(volume, "--version").startswith("edge-inspect ")


@needs_image
def test_the_user_has_a_name_for_the_records(volume: Path) -> None:
    assert contained(volume, "-c", "import getpass; print(getpass.getuser())", entrypoint="python3") == "edge-inspect\n"


@needs_image
def test_the_demo_rejects_the_defective_parts(volume: Path) -> None:
    said = contained(volume, "demo", "--parts", "50")
    assert "escapes (defective, passed)      │ 0 of 16" in said
    assert (volume / "demo-output" / "records.sqlite").stat().st_uid == USER


@needs_image
def test_a_station_runs_from_its_volume_until_it_is_stopped(volume: Path) -> None:
    (volume / "line.toml").write_text(LINE)
    station = "edge-inspect run line.toml & station=$!; edge-inspect plc-simulator --parts 5 --link /tmp/plc"
    contained(volume, "-c", f"{station} && kill -TERM $station && wait $station", entrypoint="sh")
    with closing(sqlite3.connect(volume / "records.sqlite")) as records:
        assert records.execute("SELECT count(*), sum(link = 'acknowledged') FROM parts").fetchone() == (5, 5)
