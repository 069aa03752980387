"""The review queue: unmarked parts with pictures, those first that teach a network most."""

import sqlite3
from collections.abc import Mapping
from dataclasses import dataclass, replace
from itertools import islice

from bundle import Verdict
from edge.records.database import version_of

NEAR = 0.1
"""Difference between score and threshold up to which a verdict is near the threshold."""
SAMPLE = "good part, at random"
"""Reason of the random sample."""
GOOD_EVERY = 5
"""Every such entry of the queue is a good part chosen at random, for an honest rate of escapes."""
MOST_LISTED = 50
"""Entries of the queue, unless another number is asked for."""
MOST_BY_REASON = 1000
"""Parts that are considered for each reason, the latest ones."""


@dataclass(frozen=True)
class ReviewCandidate:
    """A part to be looked at by a person."""

    row: int
    part_id: int
    time: str
    """UTC of the trigger, ISO 8601."""
    verdict: Verdict
    class_name: str
    """Of the strongest defect; empty without one."""
    score: float | None
    reason: str
    sampled: bool = False
    """Whether it was drawn at random from all passed parts, for the share of defective ones among these."""


SAMPLED_SINCE_VERSION = 10
"""Schema version of the records whose marks say whether the part was sampled."""
CONSIDERED = 10_000
"""Parts with pictures that are considered, the latest ones: the time does not grow with the records."""

_UNMARKED = f"""
    WITH latest AS MATERIALIZED
        (SELECT DISTINCT part FROM views WHERE picture IS NOT NULL ORDER BY part DESC LIMIT {CONSIDERED})
    SELECT number, part_id, time, verdict, coalesce(parts.class, ''), score
    FROM latest CROSS JOIN parts ON parts.number = latest.part
    WHERE NOT EXISTS (SELECT 1 FROM marks WHERE part = parts.number) AND ({{condition}})
    ORDER BY {{order}} LIMIT {MOST_BY_REASON}"""
_SAMPLED = """
    WITH sampled AS (SELECT DISTINCT part FROM marks WHERE sampled), latest AS (
        SELECT (SELECT truth FROM marks WHERE marks.part = sampled.part ORDER BY number DESC LIMIT 1) AS truth
        FROM sampled JOIN parts ON parts.number = sampled.part WHERE parts.bundle_id = ? AND parts.verdict = ?)
    SELECT count(*), coalesce(sum(truth = 'defective'), 0) FROM latest WHERE truth IN ('good', 'defective')"""
_LATEST = "number DESC"
_RANDOM = "(number * 2654435761) % 4294967296"
"""A fixed order without pattern (Knuth's multiplicative hash): the queue does not change while it is worked on."""


def review_queue(
    connection: sqlite3.Connection, thresholds: Mapping[str, float], most: int = MOST_LISTED
) -> list[ReviewCandidate]:
    """List up to `most` parts, in this order: bundle in force and candidate on trial disagree, UNSURE, near a
    threshold, views that disagree, first rejects of a class, rejected during a drift alarm; every `GOOD_EVERY`-th entry
    is a passed part at random.

    The random ones are drawn from all passed parts, also from those that another reason lists.
    thresholds: score threshold of each class of the bundle in use.
    """
    passed = _listed(connection, f"verdict = {Verdict.OK.value}", _RANDOM, SAMPLE, ())
    sample = {one.row for one in passed[: _sample_size(most)]}
    found: dict[int, ReviewCandidate] = {}
    for condition, order, reason, values in _reasons(thresholds):
        for one in _listed(connection, condition, order, reason, values):
            found.setdefault(one.row, replace(one, sampled=one.row in sample))
    for one in passed:
        found.setdefault(one.row, replace(one, sampled=True))
    good = iter([one for one in found.values() if one.reason == SAMPLE])
    others = iter([one for one in found.values() if one.reason != SAMPLE])
    chosen: list[ReviewCandidate] = []
    while block := [*islice(others, GOOD_EVERY - 1), *islice(good, 1)]:
        chosen += block
        if len(chosen) >= most:
            break
    return chosen[:most]


def in_sample(connection: sqlite3.Connection, row: int) -> bool:
    """Whether a part is one of the random sample that the queue lists now."""
    sample = _listed(connection, f"verdict = {Verdict.OK.value}", _RANDOM, SAMPLE, ())
    return any(one.row == row for one in sample[: _sample_size(MOST_LISTED)])


def _sample_size(most: int) -> int:
    """Good parts among `most` entries of the queue."""
    return -(-most // GOOD_EVERY)


def _listed(
    connection: sqlite3.Connection, condition: str, order: str, reason: str, values: tuple[object, ...]
) -> list[ReviewCandidate]:
    rows = connection.execute(_UNMARKED.format(condition=condition, order=order), values)
    return [
        ReviewCandidate(number, part_id, time, Verdict(verdict), name, score, reason)
        for number, part_id, time, verdict, name, score in rows
    ]


@dataclass(frozen=True)
class SampleResult:
    """Marked parts of the random sample of passed parts."""

    marked: int
    defective: int


def sample_result(connection: sqlite3.Connection, bundle_id: str) -> SampleResult:
    """Count the parts that this bundle passed and that were marked from the random sample; the latest mark counts.

    Other marked parts are left out: they are no fair sample. So are unclear ones.
    """
    if version_of(connection) < SAMPLED_SINCE_VERSION:
        return SampleResult(0, 0)
    marked, defective = connection.execute(_SAMPLED, (bundle_id, Verdict.OK.value)).fetchone()
    return SampleResult(marked, defective)


def _reasons(thresholds: Mapping[str, float]) -> list[tuple[str, str, str, tuple[object, ...]]]:
    """Conditions with their order, reason and values, the most instructive first."""
    near = " OR ".join("(parts.class = ? AND abs(score - ?) <= ?)" for _ in thresholds) or "0"
    values = tuple(value for name, limit in thresholds.items() for value in (name, limit, NEAR))
    disagree = (
        f"verdict = {Verdict.NG.value} AND (SELECT count(DISTINCT camera) FROM defects WHERE part = parts.number) < "
        "(SELECT count(*) FROM views WHERE part = parts.number)"
    )
    first = (
        f"number IN (SELECT min(number) FROM parts WHERE verdict > {Verdict.OK.value} AND class IS NOT NULL "
        "GROUP BY class)"
    )
    drift = (
        f"verdict = {Verdict.NG.value} AND EXISTS (SELECT 1 FROM alarms WHERE area = 'drift' AND began <= parts.time "
        "AND (ended IS NULL OR ended >= parts.time))"
    )
    ok = Verdict.OK.value
    trial = (
        f"EXISTS (SELECT 1 FROM trials WHERE part = parts.number AND (trials.verdict = {ok}) <> (parts.verdict = {ok}))"
    )
    return [
        (trial, _LATEST, "trial disagrees", ()),
        (f"verdict = {Verdict.UNSURE.value}", _LATEST, "unsure", ()),
        (near, _LATEST, "near the threshold", values),
        (disagree, _LATEST, "views disagree", ()),
        (first, _LATEST, "first reject of its class", ()),
        (drift, _LATEST, "during a drift alarm", ()),
    ]
