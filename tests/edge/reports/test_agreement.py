"""Agreement by the numbers of the papers, and by marks and verdicts of the records."""

from contextlib import closing
from pathlib import Path

import numpy as np
import pytest
from rich.console import Console

from bundle import Verdict
from edge.errors import MarkError
from edge.records.database import connect, reading
from edge.reports.agreement import agreement_tables, appraisals_of, challenge_parts, known_parts
from edge.reports.kappa import cohens_kappa, fleiss_kappa, share_of
from edge.review.marks import Mark, MarkedDefect, add_mark

FLEISS = (
    (0, 0, 0, 0, 14), (0, 2, 6, 4, 2), (0, 0, 3, 5, 6), (0, 3, 9, 2, 0), (2, 2, 8, 1, 1),
    (7, 7, 0, 0, 0), (3, 2, 6, 3, 0), (2, 5, 3, 2, 2), (6, 5, 2, 1, 0), (0, 2, 2, 3, 7),
)  # fmt: skip
"""Ratings of ten subjects by 14 raters in five categories: the worked example of the article "Fleiss' kappa"."""


def table_of(yes_yes: int, yes_no: int, no_yes: int, no_no: int) -> tuple[list[str], list[str]]:
    """Ratings of two appraisers from their table."""
    first = ["yes"] * (yes_yes + yes_no) + ["no"] * (no_yes + no_no)
    second = ["yes"] * yes_yes + ["no"] * yes_no + ["yes"] * no_yes + ["no"] * no_no
    return first, second


@pytest.mark.parametrize(
    ("table", "kappa"),
    [((20, 5, 10, 15), 0.4), ((45, 15, 25, 15), 0.1304), ((25, 35, 5, 35), 0.2593)],
)
def test_cohens_kappa_is_that_of_the_worked_examples(table: tuple[int, int, int, int], kappa: float) -> None:
    found = cohens_kappa(*table_of(*table))

    assert found is not None
    assert found.value == pytest.approx(kappa, abs=5e-5)
    assert found.low < found.value < found.high


def test_the_interval_of_cohens_kappa_covers_its_spread() -> None:
    """The standard error is that of resampled tables (bootstrap, 2000 draws)."""
    first, second = (np.array(ratings) for ratings in table_of(200, 50, 100, 150))
    generator = np.random.default_rng(0)
    values = []
    for _ in range(2000):
        drawn = generator.integers(0, len(first), len(first))
        resampled = cohens_kappa(first[drawn].tolist(), second[drawn].tolist())
        assert resampled is not None
        values.append(resampled.value)
    found = cohens_kappa(first.tolist(), second.tolist())

    assert found is not None
    assert (found.high - found.low) / 2 / 1.96 == pytest.approx(float(np.std(values)), rel=0.08)  # 2 % is one sigma


def test_fleiss_kappa_is_that_of_the_worked_example() -> None:
    found = fleiss_kappa([[str(name) for name, count in enumerate(row) for _ in range(count)] for row in FLEISS])

    assert found is not None
    assert found.value == pytest.approx(0.210, abs=5e-4)


def test_the_interval_of_fleiss_kappa_is_that_of_ratings_by_chance() -> None:
    generator = np.random.default_rng(0)
    found = [fleiss_kappa(generator.choice(["a", "b", "c"], (40, 3), p=(0.6, 0.3, 0.1)).tolist()) for _ in range(1500)]
    values = [one.value for one in found if one is not None]
    widths = [(one.high - one.low) / 2 / 1.96 for one in found if one is not None]

    assert float(np.mean(widths)) == pytest.approx(float(np.std(values)), rel=0.08)  # 2 % is one sigma


def test_shares_have_exact_intervals() -> None:
    found = share_of(47, 50)  # binom.test(47, 50) of R: 0.8345 to 0.9875

    assert (found.value, round(found.low, 4), round(found.high, 4)) == (0.94, 0.8345, 0.9875)
    assert share_of(50, 50).low == pytest.approx(0.025 ** (1 / 50))
    assert share_of(0, 50).high == pytest.approx(1 - 0.025 ** (1 / 50))


def test_one_category_has_no_kappa() -> None:
    assert cohens_kappa(["good"] * 5, ["good"] * 5) is None
    assert fleiss_kappa([["good", "good"]] * 5) is None


@pytest.fixture
def records(tmp_path: Path) -> Path:
    """Four known parts, each shown to the station twice; Ada has marked all of them twice, Bert some once."""
    path = tmp_path / "records.sqlite"
    verdicts = (Verdict.OK, Verdict.NG, Verdict.NG, Verdict.OK, Verdict.OK, Verdict.NG, Verdict.NG, Verdict.UNSURE)
    with closing(connect(path)) as connection:
        for number, verdict in enumerate(verdicts, start=1):
            values = number, f"2026-05-04T06:0{number}:00.000+00:00", number, int(verdict), int(verdict)
            connection.execute(
                "INSERT INTO parts (number, time, part_id, encoder, verdict, told, fault, bundle_id) "
                "VALUES (?, ?, ?, 0, ?, ?, '', 'b')", values,
            )  # fmt: skip
            connection.execute("INSERT INTO views VALUES (?, 'top', 1, 's', 40, 30, NULL)", (number,))
    bad = (MarkedDefect("top", "Dent"),)
    for row, is_bad in ((1, False), (2, True), (3, True), (4, False), (5, False), (6, True), (7, True), (8, False)):
        add_mark(path, Mark(row, "defective" if is_bad else "good", "Ada", bad if is_bad else ()))
    add_mark(path, Mark(1, "good", "Bert"))
    add_mark(path, Mark(2, "defective", "Bert", bad))
    add_mark(path, Mark(3, "unclear", "Bert"))
    return path


@pytest.fixture
def known(tmp_path: Path) -> Path:
    path = tmp_path / "known.csv"
    rows = "a,good,1\nb,defective,2\nc,defective,3\nd,good,4\na,good,5\nb,defective,6\nc,defective,7\nd,good,8\n"
    path.write_text(f"part,truth,row\n{rows}")
    return path


def test_station_and_people_are_read_in_the_order_of_their_ratings(records: Path, known: Path) -> None:
    with reading(records) as connection:
        found = appraisals_of(connection, known_parts(known))

    assert found["station"] == {
        "a": ["good", "good"], "b": ["defective"] * 2, "c": ["defective"] * 2, "d": ["good", "defective"],
    }  # fmt: skip
    assert found["Ada"]["d"] == ["good", "good"]
    assert found["Bert"] == {"a": ["good"], "b": ["defective"]}, "an unclear mark is no rating"


def test_the_tables_say_who_repeats_and_who_is_right(records: Path, known: Path) -> None:
    console = Console(width=160)
    with console.capture() as captured:
        console.print(*agreement_tables(records, known))
    text = captured.get()
    lines = [[cell.strip() for cell in line.split("│")[1:-1]] for line in text.splitlines() if "│" in line]
    within, truth = lines[:2], lines[2:5]

    assert [row[:4] for row in within] == [["station", "4", "2", "75.0 %"], ["Ada", "4", "2", "100.0 %"]]
    assert [(row[0], row[2], row[6], row[7]) for row in truth] == [
        ("station", "75.0 %", "0 of 4", "1 of 4"),
        ("Ada", "100.0 %", "0 of 4", "0 of 4"),
        ("Bert", "100.0 %", "0 of 1", "0 of 1"),
    ]
    assert [row[0] for row in lines[5:]] == ["station, Ada, Bert", "station, Ada", "station, Bert", "Ada, Bert"]


def test_parts_of_challenges_repeat_by_their_place(records: Path) -> None:
    with closing(connect(records)) as connection:
        connection.executemany(
            "INSERT INTO challenges (number, time, who, parts) VALUES (?, '2026', 'Ada', 2)", ((1,), (2,))
        )
        connection.execute("UPDATE parts SET challenge = 1 WHERE number IN (2, 3)")
        connection.execute("UPDATE parts SET challenge = 2 WHERE number IN (6, 7)")
        found = challenge_parts(connection)

    assert [(part.name, part.rows) for part in found] == [("challenge part 1", (2, 6)), ("challenge part 2", (3, 7))]


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ("part,row\na,1\n", "expected part, truth, row"),
        ("part,truth,row\na,fine,1\n", "line 2: found 'fine'"),
        ("part,truth,row\na,good,x\n", "line 2: found 'good' and row 'x'"),
        ("part,truth,row\na,good,1\na,defective,2\n", "line 3: found part 'a' as defective"),
        ("part,truth,row\na,good,99\n", "found no row 99"),
    ],
)
def test_a_wrong_file_is_refused(content: str, words: str, records: Path, tmp_path: Path) -> None:
    path = tmp_path / "wrong.csv"
    path.write_text(content)
    with pytest.raises(MarkError, match=words):
        list(agreement_tables(records, path))


def test_without_parts_there_is_nothing_to_say(records: Path) -> None:
    with pytest.raises(MarkError, match="found no challenge"):
        list(agreement_tables(records, None))
