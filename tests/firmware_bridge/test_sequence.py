"""Sequence numbers and the two halves of delivery that rest on them."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from firmware_bridge.framed.delivery import Delivery
from firmware_bridge.messages import Offline
from firmware_bridge.sequence import HISTORY, MODULUS, Seen, distance, following
from firmware_bridge.timing import Timing

NUMBER = st.integers(0, MODULUS - 1)


@given(NUMBER, st.integers(-MODULUS // 2, MODULUS // 2 - 1))
def test_distance_is_what_was_added(number: int, ahead: int) -> None:
    assert distance(number, (number + ahead) % MODULUS) == ahead


@pytest.mark.parametrize(("number", "after"), [(0, 1), (65534, 65535), (65535, 0)])
def test_numbers_wrap_around(number: int, after: int) -> None:
    assert following(number) == after


@given(NUMBER, st.lists(st.integers(-70, 70), max_size=60))
def test_each_number_is_new_once(start: int, steps: list[int]) -> None:
    """Against a plain set, as long as the numbers stay within what is remembered."""
    seen, known, newest = Seen(), set(), 0
    seen.first_time(start)
    known.add(0)
    for step in steps:
        number = newest + step
        newest = max(newest, number)
        expected = number not in known and newest - number < HISTORY
        assert seen.first_time((start + number) % MODULUS) is expected
        known.add(number)


@pytest.mark.parametrize("ahead", [HISTORY - 1, HISTORY, HISTORY + 1, 1000, 32767])
def test_a_jump_ahead_is_new_and_forgets_no_more_than_it_must(ahead: int) -> None:
    seen = Seen()
    assert seen.first_time(10)
    assert seen.first_time(10 + ahead)
    assert not seen.first_time(10 + ahead)
    assert not seen.first_time(10)


@pytest.mark.parametrize("behind", [HISTORY, HISTORY + 1, 1000, 32767])
def test_what_is_too_old_to_tell_counts_as_seen(behind: int) -> None:
    seen = Seen()
    seen.first_time(40_000)
    assert not seen.first_time(40_000 - behind)


def test_numbers_under_way_never_span_more_than_half_of_what_is_remembered() -> None:
    """The first message is never acknowledged, all others are at once."""
    delivery, numbers = Delivery(Timing(deliver_s=100.0)), []
    for _ in range(100):
        delivery.submit(Offline("x"), 0.0)
        for number, _ in delivery.due(0.0):
            numbers.append(number)
            if number != 1:
                delivery.acknowledge(number)
    assert numbers == list(range(1, 1 + HISTORY // 2))


def test_pauses_double_up_to_eight_times_the_first() -> None:
    delivery, sent = Delivery(Timing(retry_s=1.0, deliver_s=100.0)), []
    delivery.submit(Offline("x"), 0.0)
    for now in range(40):
        sent += [now for _ in delivery.due(float(now))]
    assert sent == [0, 1, 3, 7, 15, 23, 31, 39]
