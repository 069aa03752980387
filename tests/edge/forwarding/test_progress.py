"""Rows arrive out of order, and some never: each is forwarded once, and none is waited for without end."""

from contextlib import closing
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edge.errors import ServerError
from edge.forwarding.progress import GAP_NUMBERS, Progress
from edge.forwarding.row_source import read_batch, read_parts
from edge.records.database import connect
from tests.edge.forwarding.records_doubles import at, insert

NEW = Progress(station="line3")


def numbers_of(path: Path, progress: Progress, most: int = 100) -> tuple[list[int], Progress]:
    batch = read_batch(path, progress, most)
    return [part.number for part in batch.parts], batch.progress


def test_a_row_that_comes_late_is_forwarded_once(tmp_path: Path) -> None:
    path = tmp_path / "records.sqlite"
    insert(path, 1, 2, 5)
    first, after = numbers_of(path, NEW)
    insert(path, 4, 6)
    second, after = numbers_of(path, after)
    third, after = numbers_of(path, after)

    assert (first, second, third) == ([1, 2, 5], [4, 6], [])
    assert [(gap.first, gap.last) for gap in after.gaps] == [(3, 3)]


def test_a_missing_row_is_given_up_once_a_part_triggered_two_minutes_later_is_on_disk(tmp_path: Path) -> None:
    path = tmp_path / "records.sqlite"
    insert(path, 1, 3)
    _, after = numbers_of(path, NEW)
    insert(path, 4, later_s=118)  # 119 s after row 3
    _, waits = numbers_of(path, after)
    insert(path, 5, later_s=118)
    _, over = numbers_of(path, waits)

    assert ([*waits.gaps[0][:2]], over.gaps) == ([2, 2], ())


def test_a_gap_is_given_up_where_the_clock_was_set_back() -> None:
    after = NEW.with_parts([(2, at(9000))]).with_parts([(2 + GAP_NUMBERS, at(1))])

    assert [gap.first for gap in after.gaps] == [3]


def test_a_long_gap_that_was_filled_is_read_to_its_end_before_it_is_given_up(tmp_path: Path) -> None:
    path = tmp_path / "records.sqlite"
    insert(path, 1, 9)
    found, after = numbers_of(path, NEW)
    insert(path, *range(2, 9))
    insert(path, 10, later_s=500)
    while (more := numbers_of(path, after, 3))[0]:
        found, after = [*found, *more[0]], more[1]

    assert (sorted(found), len(found), after.gaps) == ([*range(1, 11)], 10, ())


def test_a_part_has_its_views_and_defects_in_their_order(tmp_path: Path) -> None:
    path = tmp_path / "records.sqlite"
    insert(path, 1, 2)
    first, second = read_batch(path, NEW, 10).parts

    assert (first.number, first.time, first.views) == (1, at(1), [("top", 1, "film", 8, 8, None)])
    assert [row[2] for row in second.defects] == [0.9, 0.8]
    assert [part.number for part in read_parts(path, [2])] == [2]


def test_other_records_under_the_same_name_are_refused(tmp_path: Path) -> None:
    path, other = tmp_path / "records.sqlite", tmp_path / "other.sqlite"
    insert(path, 1, 2, 3)
    _, after = numbers_of(path, NEW)
    insert(other, 1, 2, 3, 4, later_s=50)
    with pytest.raises(
        ServerError, match=r"found other or older records .* 'line3'; restore them, or give the station"
    ):
        read_batch(other, after, 10)
    older = tmp_path / "older.sqlite"
    insert(older, 1, 2)
    with pytest.raises(ServerError, match="found other or older records"):
        read_batch(older, after, 10)
    continued = tmp_path / "continued.sqlite"  # the station went on counting in a new file
    insert(continued, 4, later_s=50)

    assert numbers_of(continued, after)[0] == [4]


def test_an_alarm_is_told_when_it_begins_and_when_it_ends(tmp_path: Path) -> None:
    path = tmp_path / "records.sqlite"
    with closing(connect(path)) as connection:
        names = "name, area, cause, part_id, began, ended"
        for name, ended in (("disk", None), ("lamp", at(3))):
            values = (name, "other", "found", 0, at(1), ended)
            connection.execute(f"INSERT INTO alarms ({names}) VALUES (?, ?, ?, ?, ?, ?)", values)
        first = read_batch(path, NEW, 10)
        connection.execute("UPDATE alarms SET ended = ? WHERE name = 'disk'", (at(9),))
    second = read_batch(path, first.progress, 10)

    assert [(row[1], row[-1]) for row in first.alarms] == [("disk", None), ("lamp", at(3))]
    assert [(row[1], row[-1]) for row in second.alarms] == [("disk", at(9))]
    assert (second.progress.alarms, second.progress.alarms_open) == (2, ())


@settings(deadline=None, max_examples=60)
@given(st.data())
def test_in_any_order_and_any_batches_each_row_is_forwarded_once(data: st.DataObject) -> None:
    order = data.draw(st.permutations(range(1, 13)))
    lost = data.draw(st.sets(st.sampled_from(range(1, 13)), max_size=4))
    on_disk: list[int] = []
    progress, told = NEW, list[int]()
    for number in order:
        if number in lost:
            continue
        on_disk.append(number)
        new = sorted(set(on_disk) & waited_for(progress, max(on_disk)))[: data.draw(st.integers(0, 3))]
        progress, told = progress.with_parts([(each, at(each)) for each in new]), [*told, *new]
    rest = sorted(set(on_disk) & waited_for(progress, 12))
    progress = progress.with_parts([(each, at(each)) for each in rest])

    assert sorted([*told, *rest]) == sorted(on_disk)


def waited_for(progress: Progress, highest: int) -> set[int]:
    within = {number for gap in progress.gaps for number in range(gap.first, gap.last + 1)}
    return within | {*range(progress.last + 1, highest + 1)}
