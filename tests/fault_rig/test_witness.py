"""Writing and reading of the witness file."""

import json
from pathlib import Path

from tools.fault_rig.equipment.witness import FRESH, Evidence, Reported, read_evidence


def read(path: Path, *facts: dict[str, object], end: str = "") -> Evidence:
    path.write_text("".join(json.dumps(fact) + "\n" for fact in facts) + end)
    return read_evidence(path)


def report(row: int, picture: int | None = None) -> dict[str, object]:
    return {"reported": row, "part": row, "verdict": "OK", "picture": picture}


def test_a_picture_that_the_engine_answered_on_was_judged(tmp_path: Path) -> None:
    facts = {"photographed": 1, "picture": 7}, {"judged": 7}, report(1, 7), {"heard": 1}
    evidence = read(tmp_path / "w", *facts)

    assert evidence == Evidence({1: 7}, [Reported(1, 1, "OK", 7, True)], 1)


def test_a_part_without_an_answer_on_its_picture_was_not_judged(tmp_path: Path) -> None:
    evidence = read(tmp_path / "w", {"judged": 8}, report(1, 7), report(2))

    assert [part.judged for part in evidence.reported] == [False, False]


def test_one_answer_does_not_serve_two_parts(tmp_path: Path) -> None:
    evidence = read(tmp_path / "w", {"judged": 7}, report(1, 7), report(2, 7))

    assert [part.judged for part in evidence.reported] == [True, False]


def test_an_old_answer_was_another_part_s(tmp_path: Path) -> None:
    others = [report(number) for number in range(FRESH)]
    evidence = read(tmp_path / "w", {"judged": 7}, *others, report(FRESH, 7))

    assert not evidence.reported[-1].judged


def test_a_line_that_was_cut_off_ends_the_evidence(tmp_path: Path) -> None:
    evidence = read(tmp_path / "w", {"photographed": 1, "picture": 7}, end='{"heard": ')

    assert (evidence.photographed, evidence.heard) == ({1: 7}, None)
