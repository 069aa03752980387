"""Attribute agreement analysis: known parts that station and people have judged several times.

Terms and tables as in AIAG, Measurement Systems Analysis, 4th edition (2010), chapter III, section C.
"""

import csv
import sqlite3
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from pathlib import Path

from rich.table import Table
from rich.text import Text

from bundle import Verdict
from edge.errors import MarkError
from edge.records.database import reading
from edge.reports.kappa import Estimate, cohens_kappa, fleiss_kappa, share_of
from edge.review.marks import marks_of

STATION = "station"
"""Name of the station among the appraisers."""
GOOD, DEFECTIVE = "good", "defective"
COLUMNS = ("part", "truth", "row")


@dataclass(frozen=True)
class KnownPart:
    """A part whose truth is known, with the rows in which the station has judged it."""

    name: str
    truth: str
    rows: tuple[int, ...]


Appraisals = dict[str, dict[str, list[str]]]
"""Ratings by appraiser and part, in the order in which they were given."""


def known_parts(path: Path) -> list[KnownPart]:
    """Read a CSV file with the columns part, truth (good or defective) and row, one line for each showing.

    Raises MarkError, OSError.
    """
    truths: dict[str, str] = {}
    rows: dict[str, list[int]] = defaultdict(list)
    with path.open(newline="", encoding="utf-8-sig") as file:
        reader = csv.DictReader(file)
        if tuple(reader.fieldnames or ()) != COLUMNS:
            raise MarkError(f"{path}: found the columns {reader.fieldnames}, expected {', '.join(COLUMNS)}")
        for place, line in enumerate(reader, start=2):
            name, truth, row = (line[column] or "" for column in COLUMNS)
            if truth not in (GOOD, DEFECTIVE) or not row.isascii() or not row.isdigit():
                raise MarkError(
                    f"{path}, line {place}: found {truth!r} and row {row!r}, expected good or defective, a row"
                )
            if truths.setdefault(name, truth) != truth:
                raise MarkError(
                    f"{path}, line {place}: found part {name!r} as {truth}, expected {truths[name]} as before"
                )
            rows[name].append(int(row))
    return [KnownPart(name, truth, tuple(rows[name])) for name, truth in truths.items()]


def challenge_parts(connection: sqlite3.Connection) -> list[KnownPart]:
    """Known bad parts of all challenges: the first of each challenge is the same part, the second too, and so on."""
    rows: dict[int, list[int]] = defaultdict(list)
    places: dict[int, int] = defaultdict(int)
    query = "SELECT challenge, number FROM parts WHERE challenge IS NOT NULL ORDER BY challenge, number"
    for challenge, number in connection.execute(query):
        places[challenge] += 1
        rows[places[challenge]].append(number)
    return [KnownPart(f"challenge part {place}", DEFECTIVE, tuple(found)) for place, found in rows.items()]


def appraisals_of(connection: sqlite3.Connection, parts: Sequence[KnownPart]) -> Appraisals:
    """Read the station's verdicts and the people's marks on these parts; unclear marks are left out.

    Any verdict but OK is a rating as defective, for the part is rejected. Raises MarkError for a row that is missing.
    """
    found: Appraisals = defaultdict(lambda: defaultdict(list))
    for part in parts:
        for row in part.rows:
            given = connection.execute("SELECT verdict FROM parts WHERE number = ?", (row,)).fetchone()
            if given is None:
                raise MarkError(f"part {part.name}: found no row {row}, expected one of the records; check the file")
            found[STATION][part.name].append(GOOD if given[0] == Verdict.OK.value else DEFECTIVE)
        marks = sorted((mark for row in part.rows for mark in marks_of(connection, row)), key=lambda one: one.number)
        for one in marks:
            if one.mark.truth != "unclear":
                found[one.mark.who][part.name].append(one.mark.truth)
    return {name: dict(ratings) for name, ratings in found.items()}


def agreement_tables(records: Path, known: Path | None) -> Iterator[Table]:
    """Tabulate the agreement within, between and against the truth; the parts of challenges without a file.

    Raises RecordsError, MarkError, OSError.
    """
    with reading(records) as connection:
        parts = known_parts(known) if known is not None else challenge_parts(connection)
        if not parts:
            raise MarkError(f"records {records}: found no challenge, expected some, or a file of known parts (--parts)")
        appraisals = appraisals_of(connection, parts)
    truths = {part.name: part.truth for part in parts}
    yield within_table(appraisals)
    yield truth_table(appraisals, truths)
    yield between_table(appraisals)


def within_table(appraisals: Appraisals) -> Table:
    """Tabulate whether each appraiser repeats its own ratings, over the parts that it has rated more than once."""
    table = Table("appraiser", "parts", "trials", "same each time", "95 %", "Fleiss' kappa", "95 %", title="Within")
    for name, ratings in appraisals.items():
        repeated = [trials for trials in ratings.values() if len(trials) > 1]
        if not repeated:
            continue
        least = min(map(len, repeated))
        same = share_of(sum(len(set(trials)) == 1 for trials in repeated), len(repeated))
        kappa = fleiss_kappa([trials[:least] for trials in repeated])
        table.add_row(Text(name), str(len(repeated)), str(least), *_percent(same), *_kappa(kappa))
    return table


def truth_table(appraisals: Appraisals, truths: Mapping[str, str]) -> Table:
    """Tabulate how often each appraiser's trials are all right, with the misses and false alarms of single trials."""
    columns = "appraiser", "parts", "all right", "95 %", "Cohen's kappa", "95 %", "missed", "false alarms"
    table = Table(*columns, title="Against the truth")
    for name, ratings in appraisals.items():
        right = share_of(sum(set(trials) == {truths[part]} for part, trials in ratings.items()), len(ratings))
        pairs = [(rating, truths[part]) for part, trials in ratings.items() for rating in trials]
        kappa = cohens_kappa(*zip(*pairs, strict=True))
        counts = [_of(pairs, DEFECTIVE, GOOD), _of(pairs, GOOD, DEFECTIVE)]
        table.add_row(Text(name), str(len(ratings)), *_percent(right), *_kappa(kappa), *counts)
    return table


def between_table(appraisals: Appraisals) -> Table:
    """Tabulate the agreement of the first ratings of all appraisers, and of each two of them."""
    table = Table("appraisers", "parts", "all the same", "95 %", "kappa", "95 %", title="Between")
    groups = [tuple(appraisals)] if len(appraisals) > 2 else []
    for group in [*groups, *combinations(appraisals, 2)]:
        shared = [part for part in appraisals[group[0]] if all(part in appraisals[name] for name in group)]
        firsts = [[appraisals[name][part][0] for name in group] for part in shared]
        if firsts:
            same = share_of(sum(len(set(ratings)) == 1 for ratings in firsts), len(firsts))
            kappa = fleiss_kappa(firsts) if len(group) > 2 else cohens_kappa(*zip(*firsts, strict=True))
            table.add_row(Text(", ".join(group)), str(len(firsts)), *_percent(same), *_kappa(kappa))
    return table


def _of(pairs: Sequence[tuple[str, str]], truth: str, rating: str) -> str:
    """Count of trials with this rating among those of parts with this truth, as text."""
    ratings = [given for given, true in pairs if true == truth]
    return f"{ratings.count(rating)} of {len(ratings)}"


def _percent(found: Estimate) -> tuple[str, str]:
    return f"{100 * found.value:.1f} %", f"{100 * found.low:.1f} to {100 * found.high:.1f} %"


def _kappa(found: Estimate | None) -> tuple[str, str]:
    return (
        ("-", "one category only") if found is None else (f"{found.value:.3f}", f"{found.low:.3f} to {found.high:.3f}")
    )
