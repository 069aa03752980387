"""The time of day does not follow a short jump; local boundaries are right across daylight saving."""

from datetime import datetime, timedelta, timezone
from zoneinfo import ZoneInfo

import pytest

from edge.wall_clock import FOLLOW_S, SteadyClock, hour_start, latest_time_of_day

BEGAN = datetime(2026, 5, 4, 12, 0, tzinfo=timezone.utc)
BERLIN = ZoneInfo("Europe/Berlin")


class Clocks:
    """A monotonic clock, and a wall clock that can be put wrong."""

    def __init__(self) -> None:
        self.now, self.wrong = 0.0, timedelta(0)

    def monotonic(self) -> float:
        return self.now

    def utc(self) -> datetime:
        return BEGAN + timedelta(seconds=self.now) + self.wrong


@pytest.fixture
def clocks() -> Clocks:
    return Clocks()


@pytest.fixture
def steady(clocks: Clocks) -> SteadyClock:
    return SteadyClock(clocks.utc, clocks.monotonic)


@pytest.mark.parametrize("jump", [timedelta(days=400), timedelta(days=-400), timedelta(hours=1)])
def test_a_jump_of_ten_seconds_is_left_out(clocks: Clocks, steady: SteadyClock, jump: timedelta) -> None:
    seen = []
    for second in range(30):
        clocks.now, clocks.wrong = float(second), jump if 10 <= second < 20 else timedelta(0)
        seen.append(steady())

    assert seen == [BEGAN + timedelta(seconds=second) for second in range(30)]


def test_a_jump_that_lasts_is_followed(clocks: Clocks, steady: SteadyClock) -> None:
    clocks.wrong = timedelta(hours=-3)
    steady()
    clocks.now = FOLLOW_S - 1
    before = steady()
    clocks.now = FOLLOW_S + 1

    assert before == BEGAN + timedelta(seconds=FOLLOW_S - 1)
    assert steady() == clocks.utc()


def test_a_clock_that_jumps_about_is_not_followed(clocks: Clocks, steady: SteadyClock) -> None:
    for minute in range(1, 10):
        clocks.now, clocks.wrong = 59.0 * minute, timedelta(hours=minute)

        assert steady() == BEGAN + timedelta(seconds=clocks.now)


def test_small_corrections_are_followed_at_once(clocks: Clocks, steady: SteadyClock) -> None:
    for second in range(1, 100):
        clocks.now, clocks.wrong = float(second), timedelta(seconds=0.5 * second)

        assert steady() == clocks.utc()


@pytest.mark.parametrize(
    ("now", "start"),
    [
        ("2026-03-28T21:30:00+00:00", "2026-03-28T21:00:00+00:00"),  # 22:00 in winter time
        ("2026-03-29T01:30:00+00:00", "2026-03-28T21:00:00+00:00"),  # the clock has gone forward since
        ("2026-03-29T04:00:00+00:00", "2026-03-29T04:00:00+00:00"),  # 06:00 in summer time
        ("2026-10-25T00:30:00+00:00", "2026-10-24T20:00:00+00:00"),  # 22:00 in summer time
        ("2026-10-25T02:30:00+00:00", "2026-10-24T20:00:00+00:00"),  # the clock has gone back since
        ("2026-10-25T05:00:00+00:00", "2026-10-25T05:00:00+00:00"),  # 06:00 in winter time
        ("2026-10-25T04:59:59+00:00", "2026-10-24T20:00:00+00:00"),
    ],
)
def test_a_shift_begins_at_its_time_also_where_the_clock_has_changed_since(now: str, start: str) -> None:
    found = latest_time_of_day(datetime.fromisoformat(now), ("06:00", "14:00", "22:00"), BERLIN)

    assert found == datetime.fromisoformat(start)


@pytest.mark.parametrize(
    ("now", "start"),
    [("05:59", "22:00"), ("06:00", "06:00"), ("13:59", "06:00"), ("21:00", "14:00"), ("23:30", "22:00")],
)
def test_a_shift_begins_at_its_local_time(now: str, start: str) -> None:
    zone = timezone(timedelta(hours=5, minutes=30))
    local = datetime.fromisoformat(f"2026-05-04T{now}:00+05:30")
    found = latest_time_of_day(local, ("06:00", "14:00", "22:00"), zone)

    assert found is not None
    assert found.astimezone(zone).strftime("%H:%M") == start
    assert timedelta(0) <= local - found < timedelta(days=1)


def test_a_time_that_is_left_out_occurs_an_hour_later_by_the_new_time() -> None:
    after = datetime(2026, 3, 29, 1, 45, tzinfo=timezone.utc)  # 03:45

    assert latest_time_of_day(after, ("02:30",), BERLIN) == datetime(2026, 3, 29, 1, 30, tzinfo=timezone.utc)


def test_a_time_that_comes_twice_counts_the_first_time() -> None:
    second = datetime(2026, 10, 25, 1, 45, tzinfo=timezone.utc)  # 02:45 for the second time

    assert latest_time_of_day(second, ("02:30",), BERLIN) == datetime(2026, 10, 25, 0, 30, tzinfo=timezone.utc)


def test_the_computers_own_zone_is_the_default() -> None:
    now = datetime(2026, 5, 4, 12, 30, tzinfo=timezone.utc)
    found = latest_time_of_day(now, ("00:00",))

    assert found is not None
    assert found.astimezone().strftime("%H:%M") == "00:00"
    assert timedelta(0) <= now - found < timedelta(days=1)


def test_without_times_there_is_none() -> None:
    assert latest_time_of_day(BEGAN, ()) is None


def test_an_hour_begins_where_the_local_clock_shows_it() -> None:
    kolkata = ZoneInfo("Asia/Kolkata")  # half an hour beside UTC

    assert hour_start(BEGAN, kolkata) == BEGAN - timedelta(minutes=30)
