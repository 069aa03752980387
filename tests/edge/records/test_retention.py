"""Old pictures go first, good ones before unsure ones before rejects; nothing else is touched."""

from collections.abc import Callable
from datetime import date, timedelta
from pathlib import Path

import pytest

from edge.records.retention import AGE_EVERY_S, Retention

TODAY = date(2026, 5, 10)
PLENTY = 10**12


def put(folder: Path, *names: str, size: int = 100) -> None:
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(b"x" * size)


def left(folder: Path) -> list[str]:
    return sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file())


class Hours:
    """A monotonic clock that is set by hand."""

    def __init__(self) -> None:
        self.hours = 0.0

    def __call__(self) -> float:
        return AGE_EVERY_S * self.hours


@pytest.fixture
def clock() -> Hours:
    return Hours()


def retention(
    folder: Path, keep_days: int = 30, keep_bytes: int = PLENTY, clock: Callable[[], float] = lambda: 0.0
) -> Retention:
    return Retention(folder, keep_days, keep_bytes, free=lambda _: PLENTY, clock=clock)


def test_pictures_older_than_the_days_go_whatever_their_rank(tmp_path: Path, clock: Hours) -> None:
    put(tmp_path, "2026-05-07/reject/a.png", "2026-05-07/good/d.png", "2026-05-08/good/b.png", "2026-05-10/good/c.png")
    held = retention(tmp_path, keep_days=2, clock=clock)
    clock.hours = 1

    held.make_room(TODAY)

    assert left(tmp_path) == ["2026-05-08/good/b.png", "2026-05-10/good/c.png"]
    assert not (tmp_path / "2026-05-07").exists()


def test_pictures_of_just_as_many_days_ago_stay(tmp_path: Path, clock: Hours) -> None:
    put(tmp_path, "2026-05-07/good/a.png", "2026-05-08/good/b.png")
    held = retention(tmp_path, keep_days=2, clock=clock)
    for hour in range(1, 4):
        clock.hours = hour
        held.make_room(TODAY)

    assert left(tmp_path) == ["2026-05-08/good/b.png"]


def test_a_clock_that_jumps_400_days_for_ten_minutes_costs_one_day_at_most(tmp_path: Path, clock: Hours) -> None:
    put(tmp_path, *(f"2026-05-{day:02}/reject/a.png" for day in range(1, 11)))
    held = retention(tmp_path, clock=clock)
    for minute in range(120):
        clock.hours = minute / 60

        held.make_room(TODAY + timedelta(days=400 if 55 <= minute < 65 else 0))

    assert len(left(tmp_path)) == 9


def test_a_start_with_a_wrong_clock_removes_nothing_by_age(tmp_path: Path) -> None:
    put(tmp_path, "2026-05-07/reject/a.png")
    for _ in range(20):
        retention(tmp_path).make_room(TODAY + timedelta(days=400))

    assert len(left(tmp_path)) == 1


def test_a_clock_that_stays_wrong_removes_one_day_an_hour(tmp_path: Path, clock: Hours) -> None:
    put(tmp_path, *(f"2026-05-{day:02}/{rank}/a.png" for day in range(1, 11) for rank in ("good", "reject")))
    held = retention(tmp_path, clock=clock)
    for hour in range(1, 4):
        clock.hours = hour

        held.make_room(TODAY + timedelta(days=400))
        held.make_room(TODAY + timedelta(days=400))

        assert left(tmp_path)[0] == f"2026-05-{hour + 1:02}/good/a.png"


def test_pictures_of_a_wrong_date_do_not_keep_the_old_ones(tmp_path: Path, clock: Hours) -> None:
    put(tmp_path, "2026-05-01/good/b.png")
    held = retention(tmp_path, keep_days=2, clock=clock)
    put(tmp_path, "2027-06-14/good/a.png", "2026-05-02/good/c.png")
    held.add("2027-06-14/good/a.png", 100)
    held.add("2026-05-02/good/c.png", 100)
    for hour in range(1, 4):
        clock.hours = hour
        held.make_room(TODAY)

    assert left(tmp_path) == ["2027-06-14/good/a.png"]
    assert held.bytes == 100


@pytest.mark.parametrize(
    ("keep_bytes", "kept"),
    [
        (500, ["01/reject/a.png", "02/good/c.png", "02/reject/d.png", "02/unsure/e.png"]),
        (300, ["01/reject/a.png", "02/reject/d.png", "02/unsure/e.png"]),
        (250, ["01/reject/a.png", "02/reject/d.png"]),
        (100, ["02/reject/d.png"]),
    ],
)
def test_what_is_too_much_goes_good_ones_first_and_rejects_last(
    tmp_path: Path, keep_bytes: int, kept: list[str]
) -> None:
    put(tmp_path, "2026-05-01/good/b.png", size=150)
    put(tmp_path, "2026-05-01/reject/a.png", "2026-05-02/good/c.png", "2026-05-02/reject/d.png")
    put(tmp_path, "2026-05-02/unsure/e.png")

    held = retention(tmp_path, keep_bytes=keep_bytes)
    held.make_room(TODAY)

    assert left(tmp_path) == [f"2026-05-{name}" for name in kept]
    assert held.bytes == 100 * len(kept)
    assert held.removed == 5 - len(kept)


def test_new_pictures_count_without_another_look_at_the_folder(tmp_path: Path) -> None:
    held = retention(tmp_path, keep_bytes=150)
    put(tmp_path, "2026-05-09/reject/a.png", "2026-05-10/good/b.png")
    held.add("2026-05-09/reject/a.png", 100)
    held.add("2026-05-10/good/b.png", 100)

    held.make_room(TODAY)

    assert left(tmp_path) == ["2026-05-09/reject/a.png"]


def test_files_of_others_stay_and_half_written_ones_go(tmp_path: Path) -> None:
    others = ["2020-01-01/holiday/beach.png", "2020-01-01/good/notes.txt", "readme.png"]
    put(tmp_path, *others, "2026-05-10/good/half.png.part")

    retention(tmp_path, keep_days=1, keep_bytes=0).make_room(TODAY)

    assert left(tmp_path) == sorted(others)


def test_pictures_make_room_for_the_rows_on_a_disk_that_is_nearly_full(tmp_path: Path) -> None:
    names = [f"2026-05-10/reject/{number}.png" for number in range(5)]
    put(tmp_path, *names)
    held = Retention(tmp_path, 30, PLENTY, 250, free=lambda folder: 500 - 100 * len(left(folder)))

    held.make_room(TODAY)

    assert left(tmp_path) == names[3:]


def test_a_disk_that_others_have_filled_is_said(tmp_path: Path) -> None:
    held = Retention(tmp_path, 30, PLENTY, leave_free_bytes=2**30, free=lambda _: 0)

    with pytest.raises(OSError, match="1 GiB are to be left free"):
        held.make_room(TODAY)


def test_a_picture_that_another_program_removed_is_no_trouble(tmp_path: Path) -> None:
    put(tmp_path, "2026-05-01/good/a.png", "2026-05-02/good/b.png")
    held = retention(tmp_path, keep_bytes=100)
    (tmp_path / "2026-05-01/good/a.png").unlink()

    held.make_room(TODAY)

    assert left(tmp_path) == ["2026-05-02/good/b.png"]


def test_overlays_count_and_go_with_their_day(tmp_path: Path) -> None:
    put(tmp_path, "2026-05-01/reject/a.png", "overlays/2026-05-01/reject/a.png", "2026-05-02/reject/b.png")
    kept = retention(tmp_path, keep_days=10_000, keep_bytes=150)

    kept.make_room(date(2026, 5, 3))

    assert left(tmp_path) == ["2026-05-02/reject/b.png"]
    assert kept.bytes == 100


@pytest.mark.parametrize("ending", [".jpg", ""], ids=["jpeg", "png of earlier versions"])
def test_overlays_and_outlines_go_with_their_pictures(tmp_path: Path, ending: str) -> None:
    names = [f"2026-05-0{day}/reject/a.png" for day in (1, 2)]
    put(tmp_path, *(path for name in names for path in (name, f"overlays/{name}{ending}", f"overlays/{name}.json")))
    Retention(tmp_path, 30, 300).make_room(TODAY)

    assert left(tmp_path) == [names[1], f"overlays/{names[1]}{ending}", f"overlays/{names[1]}.json"]
