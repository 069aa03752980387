"""Settled parts and queries of the records' tests."""

import sqlite3
from contextlib import closing
from datetime import datetime, timezone

from bundle import Defect, Verdict
from edge.part import Outcome, Part
from edge.records.writer import Records

PATIENCE_S = 10.0
NOON = datetime(2026, 5, 4, 12, tzinfo=timezone.utc)


def settled(number: int, verdict: Verdict = Verdict.OK, defects: tuple[Defect, ...] = ()) -> Part:
    part = Part(number, part_id=number + 100, encoder=number * 10, triggered=0.0, deadline=1.0)
    part.settle(Outcome(verdict, defects))
    return part


def rows(records: Records, query: str) -> list[tuple[object, ...]]:
    with closing(sqlite3.connect(records.path)) as connection:
        return connection.execute(query).fetchall()
