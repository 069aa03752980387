"""Marked parts become a data set that training reads."""

from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import cv2
import numpy as np
import pytest

from bundle import Threshold
from edge.bundle_inspector import BundleInspector
from edge.cli import main
from edge.commands.review import collect_lines
from edge.errors import MarkError
from edge.records.database import connect_existing
from edge.review.collect import collect, station_name
from edge.review.marks import Mark, MarkedDefect, add_mark
from tests.conftest import CLASSES, grey_frame
from tests.edge.review.conftest import ESCAPE, FALSE_REJECT, GOOD, REJECT, UNSURE, ReviewedStation

SQUARE = ((2, 4), (5, 4), (5, 7), (2, 7))


def collected(capsys: pytest.CaptureFixture[str], out: Path, *lines: Path) -> str:
    """Run the command; returns what it prints."""
    assert run("collect", *lines, "--out", out) == 0
    return capsys.readouterr().out


def run(*arguments: object) -> str | int:
    """Run the command; returns its exit status, or the message with which it ends."""
    try:
        main([str(argument) for argument in arguments])
    except SystemExit as ended:
        return ended.code or 0
    return 0


def files(out: Path) -> set[str]:
    return {path.relative_to(out).as_posix() for path in out.rglob("*") if path.is_file()}


def test_marks_become_images_masks_and_labels(
    station: ReviewedStation, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for mark in (
        Mark(FALSE_REJECT, "good", "Ada"),
        Mark(ESCAPE, "defective", "Ada", (MarkedDefect("camera0", "Dent", (SQUARE,)),)),
        Mark(REJECT, "defective", "Ada", (MarkedDefect("camera0", "Dark", (), True),)),
        Mark(UNSURE, "defective", "Ada", (MarkedDefect("camera0", "Dark"),)),
        Mark(GOOD, "unclear", "Ada"),
    ):
        add_mark(station.records, mark)
    out = tmp_path / "collected"
    assert "4 images of 4 parts, 3 of them defective" in collected(capsys, out, station.path)
    assert files(out) == {
        "dataset.toml", "labels.csv", "provenance.csv", "images/line3/2-camera0.png", "images/line3/3-camera0.png",
        "images/line3/4-camera0.png", "images/line3/5-camera0.png", "masks/Dent/line3/2-camera0.png",
        "masks/Dark/line3/4-camera0.png",
    }  # fmt: skip
    assert (out / "labels.csv").read_text() == "image,class\nline3/5-camera0,Dark\n"
    drawn = cv2.imread(str(out / "masks/Dent/line3/2-camera0.png"), cv2.IMREAD_UNCHANGED)
    expected = np.zeros((16, 12), np.uint8)
    expected[4:8, 2:6] = 255
    assert (drawn == expected).all()
    by_network = cv2.imread(str(out / "masks/Dark/line3/4-camera0.png"), cv2.IMREAD_UNCHANGED)
    assert (by_network == expected).all()


def test_where_two_outlines_overlap_is_no_hole(station: ReviewedStation, tmp_path: Path) -> None:
    outlines = (SQUARE, ((4, 6), (8, 6), (8, 9), (4, 9)))
    add_mark(station.records, Mark(ESCAPE, "defective", "Ada", (MarkedDefect("camera0", "Dent", outlines),)))
    assert run("collect", station.path, "--out", tmp_path / "collected") == 0
    drawn = cv2.imread(str(tmp_path / "collected/masks/Dent/line3/2-camera0.png"), cv2.IMREAD_UNCHANGED)

    assert (drawn[4:8, 2:6] == 255).all()
    assert (drawn[6:10, 4:9] == 255).all()


def add_exposures(station: ReviewedStation, part: int, frames: dict[str, np.ndarray]) -> None:
    """Make the camera one of two exposures beside another camera, and give the part these further views."""
    station.path.write_text(
        station.path.read_text() + 'exposures = 2\n[[camera]]\naddress = "synthetic://"\nname = "side"\n'
    )
    assert station.line.pictures is not None
    with closing(connect_existing(station.records)) as connection, connection:
        connection.execute("UPDATE views SET camera = 'camera0-1' WHERE part = ?", (part,))
        for camera, frame in frames.items():
            name = f"2026-05-04/all/120000-{part}-{camera}.png"
            cv2.imwrite(str(station.line.pictures.folder / name), frame)
            columns = "part, camera, exposure, source, width, height, picture"
            row = part, camera, 1, "", 12, 16, name
            connection.execute(f"INSERT INTO views ({columns}) VALUES (?, ?, ?, ?, ?, ?, ?)", row)


def test_the_other_exposures_of_a_view_have_its_defects_too(
    station: ReviewedStation, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A bundle that judges them together would otherwise be chosen by the one that shows the defect best."""
    add_exposures(
        station, ESCAPE, {"camera0-2": np.full((16, 12), 90, np.uint8), "side": np.full((16, 12), 80, np.uint8)}
    )
    marked = MarkedDefect("camera0-2", "Dent", (SQUARE,)), MarkedDefect("camera0-1", "Stain", (SQUARE,))
    add_mark(station.records, Mark(ESCAPE, "defective", "Ada", marked))
    out = tmp_path / "collected"

    printed = collected(capsys, out, station.path)

    assert "2 images of 1 parts, 2 of them defective" in printed
    assert "side: left out: no defect is marked in it" in printed
    for name in ("Dent", "Stain"):
        masks = [cv2.imread(str(out / f"masks/{name}/line3/2-camera0-{at}.png"), cv2.IMREAD_UNCHANGED) for at in (1, 2)]
        assert (masks[0] == masks[1]).all()
        assert masks[0].any()


def test_an_outline_of_the_network_is_that_of_the_exposure_in_which_it_was_confirmed(
    station: ReviewedStation, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    elsewhere = np.full((16, 12), 128, np.uint8)
    elsewhere[10:14, 8:12] = 0
    add_exposures(station, REJECT, {"camera0-2": elsewhere})
    add_mark(station.records, Mark(REJECT, "defective", "Ada", (MarkedDefect("camera0-1", "Dark", (), True),)))
    out = tmp_path / "collected"

    collected(capsys, out, station.path)

    expected = np.zeros((16, 12), np.uint8)
    expected[4:8, 2:6] = 255
    for at in (1, 2):
        mask = cv2.imread(str(out / f"masks/Dark/line3/{REJECT}-camera0-{at}.png"), cv2.IMREAD_UNCHANGED)
        assert (mask == expected).all()


def test_where_exposures_are_judged_together_a_confirmed_outline_needs_no_score_of_its_own(
    make_bundle: Callable[..., Path],
) -> None:
    faint = grey_frame(spot=14)  # Dark with 0.945
    thresholds = {name: Threshold(score=0.97, level=200, min_area_px=8) for name in CLASSES}
    found = {}
    for rule in ("worst", "mean-odds"):
        with BundleInspector.open(make_bundle(rule, exposures=rule, thresholds=thresholds)) as inspector:
            found[rule] = inspector.class_mask(faint, "Dark")

    assert not found["worst"].any()
    assert found["mean-odds"].sum() == 16
    assert found["mean-odds"][4:8, 2:6].all()


def test_a_mark_that_has_changed_replaces_what_was_collected(
    station: ReviewedStation, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "collected"
    add_mark(station.records, Mark(ESCAPE, "defective", "Ada", (MarkedDefect("camera0", "Dent", (SQUARE,)),)))
    collected(capsys, out, station.path)
    first = files(out)
    collected(capsys, out, station.path)
    assert files(out) == first
    add_mark(station.records, Mark(ESCAPE, "good", "Bert"))
    assert "1 images of 1 parts, 0 of them defective" in collected(capsys, out, station.path)
    assert files(out) == first - {"masks/Dent/line3/2-camera0.png"}
    add_mark(station.records, Mark(ESCAPE, "unclear", "Bert"))
    assert "0 images" in collected(capsys, out, station.path)


def test_a_picture_that_is_there_already_is_left_out(
    station: ReviewedStation, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert station.line.pictures is not None
    folder = station.line.pictures.folder / "2026-05-04" / "all"
    (folder / f"120000-{FALSE_REJECT}-camera0.png").write_bytes((folder / f"120000-{GOOD}-camera0.png").read_bytes())
    add_mark(station.records, Mark(GOOD, "good", "Ada"))
    add_mark(station.records, Mark(FALSE_REJECT, "good", "Ada"))

    printed = collected(capsys, tmp_path / "collected", station.path)

    assert f"row {FALSE_REJECT}, camera0: left out: the same picture is in the data set" in printed
    assert "1 images of 1 parts" in printed


def test_another_station_of_the_same_name_replaces_nothing(station: ReviewedStation, tmp_path: Path) -> None:
    add_mark(station.records, Mark(FALSE_REJECT, "good", "Ada"))
    out = tmp_path / "collected"
    run("collect", station.path, "--out", out)
    before = (out / "provenance.csv").read_text()
    with closing(connect_existing(station.records)) as connection:
        connection.execute("UPDATE parts SET time = '2026-05-05T12:00:00.000+00:00'")
    add_mark(station.records, Mark(FALSE_REJECT, "unclear", "Bob"))

    assert "two stations have this name" in str(run("collect", station.path, "--out", out))
    assert (out / "provenance.csv").read_text() == before


def test_an_interrupted_collection_goes_on(station: ReviewedStation, tmp_path: Path) -> None:
    def interrupted() -> BundleInspector:
        raise KeyboardInterrupt

    add_mark(station.records, Mark(FALSE_REJECT, "good", "Ada"))
    add_mark(station.records, Mark(REJECT, "defective", "Ada", (MarkedDefect("camera0", "Dark", (), True),)))
    out = tmp_path / "collected"
    with pytest.raises(KeyboardInterrupt):
        collect({"line3": station.line}, {"line3": interrupted}, out)
    images, kept = {name for name in files(out) if name.startswith("images/")}, (out / "provenance.csv").read_text()
    assert run("collect", station.path, "--out", out) == 0

    assert images == {"images/line3/3-camera0.png"}
    assert kept.count("line3/") == 1
    assert {"images/line3/4-camera0.png", "masks/Dark/line3/4-camera0.png"} <= files(out)


def test_what_is_left_out_is_named(
    station: ReviewedStation, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with closing(connect_existing(station.records)) as connection:
        connection.execute("UPDATE views SET picture = NULL WHERE part = ?", (GOOD,))
        connection.execute("INSERT INTO views VALUES (?, 'side', 1, '', 12, 16, 'x.png')", (REJECT,))
        connection.execute("UPDATE parts SET bundle_id = 'another' WHERE number = ?", (REJECT,))
    add_mark(station.records, Mark(GOOD, "good", "Ada"))
    add_mark(station.records, Mark(REJECT, "defective", "Ada", (MarkedDefect("camera0", "Dark", (), True),)))
    told = collected(capsys, tmp_path / "collected", station.path)
    assert "line3: row 1, camera0: left out: its picture was not kept" in told
    assert "line3: row 4, side: left out: no defect is marked in it, though the part is defective" in told
    assert "line3/4-camera0: Dark: without an outline" in told
    assert (tmp_path / "collected/labels.csv").read_text() == "image,class\nline3/4-camera0,Dark\n"


def test_a_folder_with_other_files_is_refused(station: ReviewedStation, tmp_path: Path) -> None:
    (tmp_path / "other").mkdir()
    (tmp_path / "other/thesis.txt").write_text("mine")
    ended = run("collect", station.path, "--out", tmp_path / "other")
    assert "expected a new folder or a collected data set" in str(ended)
    assert files(tmp_path / "other") == {"thesis.txt"}


def test_a_line_that_is_named_twice_is_refused(station: ReviewedStation, tmp_path: Path) -> None:
    ended = run("collect", station.path, station.path, "--out", tmp_path / "out")
    assert "line.toml: found this file twice, expected each line once" in str(ended)
    assert station_name(Path("/etc/glaze.toml")) == "glaze"


def test_commands_mark_and_list_parts(station: ReviewedStation, capsys: pytest.CaptureFixture[str]) -> None:
    assert run("mark", station.path, "defective", "--row", ESCAPE, "--class", "Dark", "--who", "Ada") == 0
    assert "mark 1: row 2 is defective: Dark, by Ada" in capsys.readouterr().out
    assert run("mark", station.path, "good", "--part-id", FALSE_REJECT + 100, "--who", "Ada") == 0
    assert run("queue", station.path) == 0
    told = capsys.readouterr().out
    assert "passed: 1 of 1 defective, 100.0 % (95 %: 2.5 to 100.0)" in told
    assert "unsure" in told
    assert f" {FALSE_REJECT + 100} " not in told
    assert "found neither or both of --row and --part-id" in str(run("mark", station.path, "good"))


def test_training_reads_the_collected_folder(station: ReviewedStation, tmp_path: Path) -> None:
    readers = pytest.importorskip("train.data.readers", reason="train is not installed on the device side")
    add_mark(station.records, Mark(ESCAPE, "defective", "Ada", (MarkedDefect("camera0", "Dent", (SQUARE,)),)))
    add_mark(station.records, Mark(UNSURE, "defective", "Ada", (MarkedDefect("camera0", "Dark"),)))
    add_mark(station.records, Mark(FALSE_REJECT, "good", "Ada"))
    assert run("collect", station.path, "--out", tmp_path / "collected") == 0
    dataset = readers.read_dataset(tmp_path / "collected")
    assert dataset.classes == ("Dark", "Dent")
    assert {sample.part: sample.labels for sample in dataset.samples} == {
        "line3/2": (False, True), "line3/3": (False, False), "line3/5": (True, False),
    }  # fmt: skip


def test_wrong_columns_are_one_clear_error(station: ReviewedStation, tmp_path: Path) -> None:
    from edge.review.collect import collect

    (tmp_path / "out").mkdir()
    (tmp_path / "out/provenance.csv").write_text("image,colour\na,red\n")
    with pytest.raises(MarkError, match="found other columns"):
        collect({}, {}, tmp_path / "out")


def change(station: ReviewedStation, statement: str, *values: object) -> None:
    """Change the records as no station would."""
    with closing(connect_existing(station.records)) as connection:
        for trigger in connection.execute("SELECT name FROM sqlite_master WHERE type = 'trigger'").fetchall():
            connection.execute(f"DROP TRIGGER {trigger[0]}")
        connection.execute(statement, values)


def test_a_picture_outside_the_pictures_folder_is_not_collected(
    station: ReviewedStation, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "secret.png").write_text("of somebody else")
    add_mark(station.records, Mark(GOOD, "good", "Ada"))
    change(station, "UPDATE views SET picture = ? WHERE part = ?", "../../secret.png", GOOD)

    assert "its picture was not kept" in collected(capsys, tmp_path / "out", station.path)
    assert not list((tmp_path / "out").rglob("*.png"))


@pytest.mark.parametrize(
    "image", ["line3/2-/../../../../victim", "../victim", "/victim", "line3/2-camera0/../../../victim", "", "line3"]
)
def test_a_row_of_the_provenance_table_cannot_name_a_file_elsewhere(
    station: ReviewedStation, tmp_path: Path, capsys: pytest.CaptureFixture[str], image: str
) -> None:
    out, victim = tmp_path / "out", tmp_path / "victim.png"
    victim.write_text("of somebody else")
    add_mark(station.records, Mark(ESCAPE, "good", "Ada"))
    collected(capsys, out, station.path)
    table = (out / "provenance.csv").read_text()
    (out / "provenance.csv").write_text(table.replace("line3/2-camera0,", f"{image},"))
    add_mark(station.records, Mark(ESCAPE, "unclear", "Ada"))
    ended = run("collect", station.path, "--out", out)

    assert victim.is_file()
    assert "provenance.csv" in str(ended)
    assert "\n" not in str(ended)


@pytest.mark.parametrize(
    "content",
    [b"\xff\xfe\x00", b"image\n", b"image,station\na\n", b"\0", b'image\n"' + bytes(200_000), b"image\na,b,c\n"],
)
def test_another_provenance_table_is_refused_in_one_line(
    station: ReviewedStation, tmp_path: Path, content: bytes
) -> None:
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "provenance.csv").write_bytes(content)
    ended = str(run("collect", station.path, "--out", tmp_path / "out"))

    assert ended == "0" or ("provenance.csv" in ended and "\n" not in ended)


@pytest.mark.parametrize(
    ("column", "value"),
    [
        ("class", "../../../../victim"),
        ("class", "/victim"),
        ("outline", "[[[1, 2]"),
        ("outline", "[[[1e400, 2], [3, 4], [5, 6]]]"),
        ("outline", f"[[[{10**30}, 2], [3, 4], [5, 6]]]"),
        ("outline", "[" * 100_000),
        ("outline", "7"),
    ],
)
def test_a_mark_that_no_station_wrote_is_refused_in_one_line(
    station: ReviewedStation, tmp_path: Path, column: str, value: str
) -> None:
    defect = MarkedDefect("camera0", "Dent", (SQUARE,))
    add_mark(station.records, Mark(ESCAPE, "defective", "Ada", (defect,)))
    change(station, f'UPDATE marked_defects SET "{column}" = ?', value)
    ended = str(run("collect", station.path, "--out", tmp_path / "out"))

    assert "row 2" in ended
    assert "\n" not in ended
    assert not list(tmp_path.rglob("victim*"))


def test_two_lines_of_one_name_are_refused(tmp_path: Path) -> None:
    paths = [tmp_path / side / "west.toml" for side in ("a", "b")]
    with pytest.raises(MarkError, match=r"found the station name west of .*a/west\.toml as well.*rename one"):
        list(collect_lines(paths, tmp_path / "out", "onnxruntime"))
