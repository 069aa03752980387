"""The review queue: unmarked parts with pictures, those first that teach a network most."""

import sqlite3
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import islice

from bundle import Verdict

NEAR = 0.1
"""Difference between score and threshold up to which a verdict is near the threshold."""
GOOD_EVERY = 5
"""Every such entry of the queue is a good part chosen at random, for an honest rate of escapes."""
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


CONSIDERED = 10_000
"""Parts with pictures that are considered, the latest ones: the time does not grow with the records."""

_UNMARKED = f"""
    WITH latest AS MATERIALIZED
        (SELECT DISTINCT part FROM views WHERE picture IS NOT NULL ORDER BY part DESC LIMIT {CONSIDERED})
    SELECT number, part_id, time, verdict, coalesce(parts.class, ''), score
    FROM latest CROSS JOIN parts ON parts.number = latest.part
    WHERE NOT EXISTS (SELECT 1 FROM marks WHERE part = parts.number) AND ({{condition}})
    ORDER BY {{order}} LIMIT {MOST_BY_REASON}"""
_LATEST = "number DESC"
_RANDOM = "(number * 2654435761) % 4294967296"
"""A fixed order without pattern (Knuth's multiplicative hash): the queue does not change while it is worked on."""


def review_queue(
    connection: sqlite3.Connection, thresholds: Mapping[str, float], most: int = 50
) -> list[ReviewCandidate]:
    """List up to `most` parts, in this order: bundle in force and candidate on trial disagree, UNSURE, near a
    threshold, views that disagree, first rejects of a class, rejected during a drift alarm; every `GOOD_EVERY`-th entry
    is a good part at random.

    thresholds: score threshold of each class of the bundle in use.
    """
    found: dict[int, ReviewCandidate] = {}
    for condition, order, reason, values in _reasons(thresholds):
        for row in connection.execute(_UNMARKED.format(condition=condition, order=order), values):
            number, part_id, time, verdict, name, score = row
            candidate = ReviewCandidate(number, part_id, time, Verdict(verdict), name, score, reason)
            found.setdefault(number, candidate)
    good = iter([one for one in found.values() if one.reason == _SAMPLE])
    others = iter([one for one in found.values() if one.reason != _SAMPLE])
    chosen: list[ReviewCandidate] = []
    while block := [*islice(others, GOOD_EVERY - 1), *islice(good, 1)]:
        chosen += block
        if len(chosen) >= most:
            break
    return chosen[:most]


_SAMPLE = "good part, at random"


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
        (f"verdict = {Verdict.OK.value}", _RANDOM, _SAMPLE, ()),
    ]
