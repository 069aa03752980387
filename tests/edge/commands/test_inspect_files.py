"""`edge-inspect inspect`: verdicts on files, a CSV file, outlined pictures, exit status."""

import csv
import os
from collections.abc import Callable
from pathlib import Path

import cv2
import pytest

from bundle import FrameError, encode_png, read_image
from edge.cli import main
from edge.commands.inspect_files import COLUMNS
from tests.conftest import grey_frame

Make = Callable[..., Path]


@pytest.fixture
def pictures(tmp_path: Path) -> Path:
    """Two files: good.png and spot.png."""
    folder = tmp_path / "pictures"
    folder.mkdir()
    (folder / "good.png").write_bytes(encode_png(grey_frame()))
    (folder / "spot.png").write_bytes(encode_png(grey_frame(spot=255)))
    return folder


def run(*arguments: object) -> object:
    with pytest.raises(SystemExit) as ended:
        main(["inspect", *map(str, arguments), "--threads", "1"])
    return ended.value.code or 0


def test_good_files_end_with_status_0(make_bundle: Make, pictures: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(make_bundle(), pictures / "good.png") == 0

    assert capsys.readouterr().out == f"{pictures}/good.png: OK\n1 files, 0 not OK\n"


def test_a_rejected_file_ends_with_status_1(
    make_bundle: Make, pictures: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(make_bundle(), pictures) == 1

    said = capsys.readouterr().out
    assert f"{pictures}/spot.png: NG  Bright 1.00, 16 px" in said
    assert "2 files, 1 not OK" in said


def test_each_unreadable_file_is_a_fault_and_the_next_one_is_inspected(
    make_bundle: Make, pictures: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (pictures / "damaged.png").write_bytes(b"no picture")
    files = pictures / "damaged.png", pictures / "missing.png", pictures / "good.png"

    assert run(make_bundle(), *files) == 1

    damaged, missing, good, count = capsys.readouterr().out.splitlines()
    assert damaged.startswith(f"{files[0]}: FAULT  ")
    assert missing.startswith(f"{files[1]}: FAULT  ")
    assert len(damaged) > len(f"{files[0]}: FAULT  ") < len(missing)
    assert damaged.count("damaged.png") == missing.count("missing.png") == 1
    assert good == f"{files[2]}: OK"
    assert count == "3 files, 2 not OK"


def test_the_csv_file_has_a_row_per_defect(make_bundle: Make, pictures: Path, tmp_path: Path) -> None:
    (pictures / "=1+1.png").write_bytes(b"no picture")

    run(make_bundle(), pictures, "--csv", tmp_path / "out.csv", "--mm-per-px", "0.5")

    with (tmp_path / "out.csv").open(newline="") as file:
        head, *rows = csv.reader(file)
    assert tuple(head) == COLUMNS
    by_name = {Path(row[0]).name: row for row in rows}
    assert by_name["good.png"][1:] == ["OK", *[""] * 9]
    assert by_name["spot.png"][1:] == ["NG", "Bright", "1.000000", "2", "4", "4", "4", "16", "4", ""]
    assert by_name["=1+1.png"][1] == "FAULT"
    assert by_name["=1+1.png"][-1]
    assert all(len(row) == len(COLUMNS) for row in rows)


def test_a_file_name_is_no_formula(make_bundle: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("=1+1.png").write_bytes(encode_png(grey_frame()))

    run(make_bundle(), "=1+1.png", "--csv", "out.csv")

    assert "'=1+1.png,OK" in Path("out.csv").read_text()


def test_the_pictures_have_outlines(make_bundle: Make, pictures: Path, tmp_path: Path) -> None:
    run(make_bundle(), pictures, "--pictures", tmp_path / "drawn")

    drawn = sorted(path.name for path in (tmp_path / "drawn").iterdir())
    assert drawn == ["0001-good.png", "0002-spot.png"]
    picture = cv2.imread(str(tmp_path / "drawn" / "0002-spot.png"), cv2.IMREAD_UNCHANGED)
    assert picture.shape == (*grey_frame().shape, 3)
    with pytest.raises(FrameError, match="expected the picture of a camera"):
        read_image(tmp_path / "drawn" / "0002-spot.png")


def test_a_folder_without_images_is_refused(make_bundle: Make, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()

    assert "empty: found no image file, expected files of" in str(run(make_bundle(), tmp_path / "empty"))


def test_a_name_that_is_not_utf_8_is_escaped(
    make_bundle: Make, pictures: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    odd = Path(os.fsdecode(os.fsencode(pictures) + b"/a\xff.png"))
    (pictures / "good.png").rename(odd)

    assert run(make_bundle(), pictures, "--csv", tmp_path / "out.csv", "--pictures", tmp_path / "drawn") == 1

    assert capsys.readouterr().out.splitlines()[0] == f"{pictures}/a\\udcff.png: OK"
    with (tmp_path / "out.csv").open(encoding="utf-8") as written:
        assert [row["file"] for row in csv.DictReader(written)] == [f"{pictures}/a\\udcff.png", f"{pictures}/spot.png"]


def test_the_table_never_replaces_a_picture(
    make_bundle: Make, pictures: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    before = (pictures / "good.png").read_bytes()

    assert "good.png: is one of the pictures" in str(run(make_bundle(), pictures, "--csv", pictures / "good.png"))

    assert (pictures / "good.png").read_bytes() == before


def test_a_folder_of_folders_says_that_they_are_not_searched(make_bundle: Make, pictures: Path) -> None:
    assert "folders in it are not searched" in str(run(make_bundle(), pictures.parent))


def test_more_threads_than_a_processor_has_are_refused(
    make_bundle: Make, pictures: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit):
        main(["inspect", str(make_bundle()), str(pictures), "--threads", "257"])

    assert "Invalid value for '--threads'" in capsys.readouterr().err
