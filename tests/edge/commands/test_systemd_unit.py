"""The systemd unit names what the line needs, and systemd takes it."""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from edge.cli import main
from edge.commands.systemd_unit import unit_text
from edge.errors import LineConfigError

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
    if shutil.which("systemd-analyze") is None:
        pytest.skip("systemd-analyze is not installed, so nobody can say whether systemd takes the unit")
    path = tmp_path / "edge-inspect.service"
    path.write_text(unit_text(written(tmp_path), "daemon"))

    verified = subprocess.run(["systemd-analyze", "verify", "--man=no", path], capture_output=True, text=True)

    assert [said for said in verified.stderr.splitlines() if path.name in said] == []
    assert verified.returncode == 0
