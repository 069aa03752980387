"""SQL statements for a part: one row of `parts`, one of `views` per frame, one of `defects` per defect."""

from collections.abc import Sequence
from typing import Any

from edge.part import Part, View

STAGES = ("frame", "prepared", "inferred", "decided", "recorded", "sent", "acknowledged")
"""Stamps with a column of their own."""

Statement = tuple[str, tuple[Any, ...]]
"""SQL with its values."""


def statements_of(part: Part) -> list[Statement]:
    """Return the statements that insert the rows of a settled part."""
    outcome = part.outcome
    if outcome is None:
        raise ValueError(f"part {part.number} has no verdict yet")
    worst = outcome.defects[0] if outcome.defects else None
    strongest = (worst.class_name, worst.score, worst.area_px) if worst else (None, None, None)
    told = part.told or outcome.verdict
    identity = part.number, part.time, part.part_id, part.encoder, int(outcome.verdict), int(told)
    stamps = (part.since_trigger_us(stage) for stage in STAGES)
    statements: list[Statement] = [(_INTO_PARTS, (*identity, *strongest, outcome.fault, part.bundle_id, *stamps))]
    for view in part.views:
        statements += _view_rows(part.number, view, with_defects=bool(outcome.defects))
    return statements


def removal_of(statements: Sequence[Statement]) -> list[Statement]:
    """Return what removes the rows that these statements insert for one part; nothing for an update."""
    if not statements or statements[0][0] != _INTO_PARTS:
        return []
    number = statements[0][1][0]
    keys = {"parts": "number", "views": "part", "defects": "part"}
    return [(f"DELETE FROM {table} WHERE {key} = ?", (number,)) for table, key in keys.items()]


def _view_rows(part: int, view: View, with_defects: bool) -> list[Statement]:
    if view.frame is None:
        return []
    height, width = view.frame.pixels.shape[:2]
    rows: list[Statement] = [(_INTO_VIEWS, (part, view.camera, view.exposure, view.frame.source, width, height))]
    for found in view.defects if with_defects else ():
        area_mm2 = None if view.mm2_per_px is None else found.area_px * view.mm2_per_px
        defect = part, view.camera, found.class_name, found.score, found.area_px, area_mm2, *found.box
        rows.append((_INTO_DEFECTS, defect))
    return rows


def _insert(table: str, columns: str) -> str:
    return f"INSERT INTO {table} ({columns}) VALUES ({', '.join('?' for _ in columns.split(', '))})"


_INTO_PARTS = _insert(
    "parts",
    "number, time, part_id, encoder, verdict, told, class, score, area_px, fault, bundle_id, "
    + ", ".join(f"{stage}_us" for stage in STAGES),
)
_INTO_VIEWS = _insert("views", "part, camera, exposure, source, width, height")
_INTO_DEFECTS = _insert("defects", "part, camera, class, score, area_px, area_mm2, x, y, width, height")
