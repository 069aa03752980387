import pytest

from train.evaluate.runs.improvement import Improvement, PartChange, counts_grid, lines


def parts(*counts: tuple[str, bool, bool, int], is_new: bool = True) -> Improvement:
    """Parts by truth, rejected before, rejected after, and number."""
    return Improvement(
        tuple(
            PartChange(f"{truth or 'good'}-{before:d}{after:d}-{number}", truth, before, after, is_new)
            for truth, before, after, count in counts
            for number in range(count)
        )
    )


def test_five_fixed_and_none_broken_is_better() -> None:
    found = parts(("Crack", False, True, 3), ("", True, False, 2), ("", False, False, 9))
    assert found.chance == pytest.approx(1 / 32)
    assert found.conclusion == "better"
    assert lines(found)[-1] == (
        "the later network is better: chance of at least as many fixed parts 3.1 %, expected under 5.0 %"
    )


def test_four_fixed_parts_may_be_chance() -> None:
    found = parts(("Crack", False, True, 4))
    assert found.chance == pytest.approx(1 / 16)
    assert found.conclusion == "not shown to be better"


def test_more_escapes_are_not_outweighed_by_fewer_false_rejects() -> None:
    found = parts(("Crack", True, False, 1), ("", True, False, 20))
    assert found.chance < 0.001
    assert found.conclusion == "not shown to be better"
    assert "broken: Crack-10-0 (Crack)" in lines(found)


def test_more_broken_than_fixed_is_worse() -> None:
    assert parts(("Crack", True, False, 2), ("", True, False, 1)).conclusion == "worse"


def test_nothing_changed_is_not_better() -> None:
    found = parts(("Crack", True, True, 5))
    assert (found.chance, found.conclusion) == (1.0, "not shown to be better")


def test_counts_tell_new_parts_from_those_held_out_before() -> None:
    old = parts(("Crack", True, True, 2), ("Crack", True, False, 1), is_new=False)
    new = parts(("Crack", False, True, 4), ("", True, True, 1))
    assert counts_grid(Improvement(old.parts + new.parts)).rows == (
        ("defective, held out before", "3", "0", "1", "0", "1"),
        ("defective, new", "4", "4", "0", "4", "0"),
        ("good, new", "1", "1", "1", "0", "0"),
    )
