"""The queue puts instructive parts first, and mixes in good ones at random."""

from contextlib import closing

import pytest

from edge.records.database import connect_existing, reading
from edge.review.marks import Mark, MarkedDefect, add_mark
from edge.review.queue import GOOD_EVERY, SampleResult, review_queue, sample_result
from tests.edge.review.conftest import ESCAPE, FALSE_REJECT, GOOD, REJECT, UNSURE, ReviewedStation

LIMITS = {"Bright": 0.9, "Dark": 0.9}


def queued(station: ReviewedStation, most: int = 50, limits: dict[str, float] = LIMITS) -> list[tuple[int, str]]:
    with reading(station.records) as connection:
        return [(one.row, one.reason) for one in review_queue(connection, limits, most)]


def test_each_part_has_its_first_reason(station: ReviewedStation) -> None:
    assert queued(station) == [
        (UNSURE, "unsure"), (REJECT, "near the threshold"), (FALSE_REJECT, "near the threshold"),
        (ESCAPE, "good part, at random"), (GOOD, "good part, at random"),
    ]  # fmt: skip


def test_far_from_the_threshold_the_first_of_a_class_is_shown(station: ReviewedStation) -> None:
    reasons = dict(queued(station, limits={"Bright": 0.2, "Dark": 0.2}))
    assert reasons == {
        UNSURE: "unsure", FALSE_REJECT: "first reject of its class", GOOD: "good part, at random",
        ESCAPE: "good part, at random",
    }  # fmt: skip


def test_marked_parts_and_those_without_a_picture_are_left_out(station: ReviewedStation) -> None:
    add_mark(station.records, Mark(UNSURE, "good", "Ada"))
    with closing(connect_existing(station.records)) as connection:
        connection.execute("UPDATE views SET picture = NULL WHERE part = ?", (GOOD,))
    assert {row for row, _ in queued(station)} == {REJECT, FALSE_REJECT, ESCAPE}


def test_good_parts_are_every_fifth(station: ReviewedStation) -> None:
    with closing(connect_existing(station.records)) as connection:
        for number in range(10, 40):
            connection.execute(
                "INSERT INTO parts (number, time, part_id, encoder, verdict, told, fault, bundle_id) "
                "VALUES (?, '2026-05-04T12:00', 1, 0, ?, 1, '', '')", (number, 3 if number < 30 else 1),
            )  # fmt: skip
            connection.execute("INSERT INTO views VALUES (?, 'camera0', 1, '', 12, 16, 'x.png')", (number,))
    reasons = [reason for _, reason in queued(station, most=20)]
    assert reasons[GOOD_EVERY - 1 :: GOOD_EVERY] == ["good part, at random"] * 4
    assert reasons.count("good part, at random") == 4
    assert len(queued(station, most=7)) == 7


@pytest.mark.parametrize(("ended", "shown"), [(None, True), ("2026-05-04T11:59", False), ("2099-01-01T00:00", True)])
def test_rejects_during_a_drift_alarm_are_shown(station: ReviewedStation, ended: str | None, shown: bool) -> None:
    with closing(connect_existing(station.records)) as connection:
        connection.execute("INSERT INTO alarms VALUES (1, 'drift', 'drift', '', 0, '2026-05-04T11:00', ?)", (ended,))
        connection.execute("UPDATE parts SET class = 'Bright' WHERE number = ?", (FALSE_REJECT,))
        connection.execute("UPDATE parts SET number = 0 WHERE number = ?", (GOOD,))
        connection.execute("UPDATE parts SET class = 'Bright', verdict = 4 WHERE number = 0")
    assert ((FALSE_REJECT, "during a drift alarm") in queued(station, limits={})) is shown


def test_the_random_sample_is_of_all_passed_parts(station: ReviewedStation) -> None:
    with closing(connect_existing(station.records)) as connection:
        connection.execute("UPDATE parts SET class = 'Dark', score = 0.89 WHERE number IN (?, ?)", (GOOD, ESCAPE))
    reasons = dict(queued(station))

    with reading(station.records) as connection:
        sampled = {one.row for one in review_queue(connection, LIMITS) if one.sampled}

    assert (reasons[GOOD], reasons[ESCAPE]) == ("near the threshold", "near the threshold")
    assert sampled == {GOOD, ESCAPE}


def test_the_share_of_defective_passed_parts_is_that_of_the_sample(station: ReviewedStation) -> None:
    for mark in (
        Mark(GOOD, "good", "Ada", sampled=True),
        Mark(ESCAPE, "unclear", "Ada", sampled=True),
        Mark(ESCAPE, "defective", "Bob", (MarkedDefect("camera0", "Dark"),)),  # the latest counts
        Mark(FALSE_REJECT, "defective", "Ada", (MarkedDefect("camera0", "Dark"),), sampled=True),  # was not passed
    ):
        add_mark(station.records, mark)
    with reading(station.records) as connection:
        (bundle_id,) = connection.execute("SELECT DISTINCT bundle_id FROM parts").fetchone()
        found, other = sample_result(connection, bundle_id), sample_result(connection, "another")

    assert (found, other) == (SampleResult(2, 1), SampleResult(0, 0))
