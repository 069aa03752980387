"""The page remembers a day, in memory that does not grow."""

from datetime import timedelta
from pathlib import Path

import pytest

from bundle import Verdict
from edge.page.history import KEPT_MINUTES, PICTURED, REJECTS, History
from edge.page.part_queries import recall
from edge.records.writer import Records
from tests.conftest import tiny_manifest
from tests.edge.page.doubles import NOON, part
from tests.edge.part_doubles import judged


def test_counts_begin_where_they_are_asked_to() -> None:
    history = History()
    history.add([part(1, "NG", ago_s=7200), part(2, "OK", ago_s=60), part(3, "OK", ago_s=30), part(4, "TIMEOUT")])

    hour = history.since(NOON.replace(minute=0, second=0), NOON)

    assert (hour.parts, hour.passed, hour.verdicts) == (3, 2, {"OK": 2, "TIMEOUT": 1})
    assert hour.yield_percent == pytest.approx(200 / 3)
    assert history.since(NOON - timedelta(days=1), NOON).parts == 4


def test_the_first_minute_of_a_shift_counts_and_the_one_before_does_not() -> None:
    history = History()
    history.add([part(1, ago_s=30 * 60 + 16), part(2, "NG", ago_s=30 * 60 + 15), part(3, "NG", ago_s=30 * 60 - 45)])

    assert history.since(NOON.replace(minute=0, second=0), NOON).verdicts == {"NG": 2}


def test_parts_that_a_wrong_clock_dated_later_do_not_count() -> None:
    history = History()
    history.add([part(1), part(2, "NG", ago_s=-400 * 86_400), part(3)])

    assert history.since(NOON.replace(minute=0, second=0), NOON).parts == 2


def test_parts_of_a_pause_lower_no_yield_and_fill_no_rejects() -> None:
    paused = {"verdict": "FAULT", "fault": "paused by Ada: cleaning"}
    history = History()
    history.add([part(1, "NG", ago_s=60), part(2, ago_s=60)])
    history.add(part(number, ago_s=30, **paused) for number in range(3, 40))

    count = history.since(NOON - timedelta(hours=1), NOON)

    assert (count.parts, count.passed, count.paused, count.yield_percent) == (2, 1, 37, 50)
    assert count.verdicts == {"NG": 1, "OK": 1}
    assert [reject.number for reject in history.rejects] == [1]
    assert sum(bar.parts for bar in history.buckets(NOON, 60, 6)) == 2
    assert sum(bar.rejects for bar in history.buckets(NOON, 60, 6)) == 1


def test_a_page_that_starts_again_knows_the_parts_of_a_pause(tmp_path: Path) -> None:
    records = Records(tmp_path / "records.sqlite", lambda: NOON)
    for number in range(1, 31):
        fault = "paused by Ada: cleaning" if number > 2 else "camera top: lost"
        records.keep(judged(number, Verdict.FAULT, [], tiny_manifest().sealed(), fault=fault), 10)
    records.close()
    history = History()
    recall(history, tmp_path / "records.sqlite", 31, NOON)

    count = history.since(NOON - timedelta(hours=1), NOON)
    assert (count.parts, count.paused) == (2, 28)
    assert [reject.number for reject in history.rejects] == [1, 2]


def test_without_a_part_there_is_no_yield() -> None:
    assert History().since(NOON, NOON).yield_percent is None
    assert History().latency() is None


def test_bars_add_up_to_what_was_reported() -> None:
    history = History()
    history.add(part(number, "NG" if number % 4 == 0 else "OK", ago_s=60 * (number % 100)) for number in range(400))

    bars = history.buckets(NOON, minutes=120, bars=24)

    assert len(bars) == 24
    assert bars[-1].time <= NOON < bars[-1].time + timedelta(minutes=5)
    assert sum(bar.parts for bar in bars) == 400
    assert sum(bar.rejects for bar in bars) == 100


def test_the_past_goes_when_there_is_more_than_a_day_of_it() -> None:
    history = History()
    history.add(part(number, ago_s=60 * (3 * KEPT_MINUTES - number)) for number in range(3 * KEPT_MINUTES))

    assert history.since(NOON - timedelta(days=9), NOON).parts == KEPT_MINUTES


def test_percentiles_are_those_of_the_latest_parts() -> None:
    history = History()
    history.add(part(number) for number in range(1, 1501))  # 501 to 1500 ms are left

    latency = history.latency()

    assert latency is not None
    assert (latency.parts, latency.p50_ms, latency.p99_ms, latency.worst_ms) == (1000, 1000, 1490, 1500)


def test_pictures_of_the_rejects_shown_outlive_those_of_good_parts() -> None:
    history = History()
    for number in range(1, 200):
        history.keep_picture(number, "top", b"picture")
        history.add([part(number, "NG" if number <= 5 else "OK")])

    assert [number for number in range(1, 200) if history.picture(number, "top")] == [
        1, 2, 3, 4, 5, *range(200 - (PICTURED - 5), 200),
    ]  # fmt: skip
    assert PICTURED > REJECTS


def test_a_page_that_restarts_has_the_day_from_the_records(tmp_path: Path) -> None:
    path = tmp_path / "r.sqlite"
    at = NOON - timedelta(days=3)
    records = Records(path, lambda: at)
    records.keep(judged(1, Verdict.NG, [], tiny_manifest().sealed()), 10.0)
    at = NOON - timedelta(hours=2)
    records.keep(judged(2, Verdict.OK, [], tiny_manifest().sealed()), 10.0)
    records.keep(judged(3, Verdict.NG, [], tiny_manifest().sealed()), 10.0)
    records.close()

    history = History()
    recall(history, path, next_number=3, now=NOON)  # the page will be told of part 3

    assert history.since(NOON - timedelta(days=9), NOON).verdicts == {"OK": 1}


def test_a_page_that_starts_again_has_the_latest_rejects_from_the_records(tmp_path: Path) -> None:
    path, manifest = tmp_path / "r.sqlite", tiny_manifest().sealed()
    records = Records(path, lambda: NOON)
    verdicts = [Verdict.FAULT, Verdict.OK, Verdict.NG, Verdict.UNSURE, *[Verdict.OK] * 20, *[Verdict.TIMEOUT] * 10]
    for number, verdict in enumerate(verdicts, 1):
        records.keep(judged(number, verdict, [], manifest), 10.0)
    records.close()

    history = History()
    recall(history, path, next_number=len(verdicts), now=NOON)

    assert [part.number for part in history.rejects] == [1, 3, 4, *range(25, 34)]
    assert history.last is None  # the verdict of an earlier part is no verdict of now


def test_records_that_do_not_exist_yet_are_no_past(tmp_path: Path) -> None:
    recall(History(), tmp_path / "none.sqlite", 1, NOON)
