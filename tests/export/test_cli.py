"""The command line of export."""

from pathlib import Path

import pytest
from rich.table import Table

from export.cli import console, main

DEMO = Path(__file__).parents[2] / "models" / "demo-tiles"
WRITERS = [
    ["bundle", "no-such.pt"],
    ["thresholds", DEMO, "--data", "no-such", "--max-escapes", "0"],
    ["calibrate", DEMO, "--images", "no-such"],
    ["first-stage", DEMO, DEMO, "--data", "no-such"],
]


@pytest.mark.parametrize("name", ["[/red]", "[bold]crack", ":warning:", "=1+1"])
def test_a_class_name_is_printed_as_it_is(name: str) -> None:
    table = Table("class")
    table.add_row(name)

    with console.capture() as printed:
        console.print(table, f"bundle {name}")

    assert printed.get().count(name) == 2


@pytest.mark.parametrize("arguments", WRITERS, ids=lambda arguments: arguments[0])
def test_a_place_below_a_file_is_refused_before_any_work(arguments: list[str | Path], tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("a file")
    with pytest.raises(SystemExit, match=r"notes\.txt is a file, expected a folder"):
        main([*map(str, arguments), "--out", str(tmp_path / "notes.txt" / "mine" / "bundle")])


@pytest.mark.parametrize("arguments", WRITERS, ids=lambda arguments: arguments[0])
def test_a_place_without_permission_is_refused_before_any_work(
    arguments: list[str | Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("os.access", lambda path, mode: path != tmp_path)  # root may write everywhere
    with pytest.raises(SystemExit, match=f"found no permission to write into {tmp_path}"):
        main([*map(str, arguments), "--out", str(tmp_path / "bundle")])


def test_an_unknown_metric_is_refused_before_the_pictures_are_read(tmp_path: Path) -> None:
    with pytest.raises(SystemExit, match="--metric: found 'speed'"):
        main(["calibrate", str(DEMO), "--images", "no-such", "--metric", "speed", "--out", str(tmp_path / "int8")])
