"""The belt's place between two readings of its encoder."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edge.ejector.belt import U32, Belt


def belt(*readings: tuple[int, float]) -> Belt:
    made = Belt(coast_s=0.5, back=1000)
    for count, now in readings:
        assert made.read(count, now)
    return made


@settings(deadline=None)
@given(st.integers(0, U32 - 1), st.lists(st.integers(-900, 2**30), max_size=50))
def test_places_go_on_where_the_count_rolls_over(start: int, moves: list[int]) -> None:
    made, at = belt((start, 0.0)), 0
    for number, move in enumerate(moves):
        at += move
        assert made.read((start + at) % U32, 1.0 + number)

    assert made.place((start + at) % U32) - start == at
    assert made.at(1.0 + len(moves) - 1) - start == at


def test_between_readings_the_belt_goes_on_at_its_speed() -> None:
    assert belt((100, 1.0), (150, 1.1)).at(1.15) == pytest.approx(175)


def test_it_goes_on_for_no_longer_than_it_is_trusted_to() -> None:
    made = belt((100, 1.0), (150, 1.1))

    assert made.at(9.0) == pytest.approx(150 + 500 * 0.5)
    assert made.fresh(1.6)
    assert not made.fresh(1.61)


@pytest.mark.parametrize("readings", [[(100, 1.0), (100, 1.1)], [(100, 1.0), (90, 1.1)], [(100, 1.0)]])
def test_a_belt_that_stands_or_creeps_back_stays(readings: list[tuple[int, float]]) -> None:
    assert belt(*readings).at(1.3) == readings[-1][0]


def test_counts_that_were_held_up_and_come_in_a_burst_are_no_speed() -> None:
    steady = [(100 + 50 * step, 1.0 + 0.1 * step) for step in range(4)]  # 500 a second
    held_up = [(300 + 50 * step, 1.8 + 1e-5 * step) for step in range(5)]

    assert belt(*held_up).at(1.9) == held_up[-1][0]
    assert belt(*steady, *held_up).at(1.9) - held_up[-1][0] == pytest.approx(50, rel=0.1)


def test_the_speed_is_that_of_the_last_second() -> None:
    slow_then_fast = [(0, 0.0), (10, 1.0), (110, 2.0), (210, 3.0)]

    assert belt(*slow_then_fast).at(3.1) == pytest.approx(220)


def test_two_readings_at_one_moment_say_nothing_of_speed() -> None:
    assert belt((100, 1.0), (150, 1.0)).at(1.3) == 150


def test_a_count_far_back_is_an_encoder_that_has_restarted() -> None:
    made = belt((50_000, 1.0))

    assert not made.read(7, 1.1)
    assert made.at(1.1) == 7


def test_before_the_first_reading_the_place_is_not_known() -> None:
    made = belt()

    assert not made.fresh(0.0)
    assert made.place(5) == 5
