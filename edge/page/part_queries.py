"""Parts as the records have them, for `/api/parts`."""

from datetime import datetime
from pathlib import Path

from bundle import Verdict
from edge.page.state import DefectState, PartState
from edge.records.database import reading

_COLUMNS = "number, time, part_id, verdict, told, fault, sent_us, bundle_id"


def parts_before(records: Path, before: int | None, limit: int, verdict: str | None) -> list[PartState]:
    """Give the parts in rows before `before` (None: the latest), the newest first; raises RecordsError."""
    wanted = [] if verdict is None else [int(Verdict[verdict])]
    query = f"SELECT {_COLUMNS} FROM parts WHERE number < ?{' AND verdict = ?' if wanted else ''} "
    with reading(records) as connection:
        rows = connection.execute(query + "ORDER BY number DESC LIMIT ?", (before or 2**62, *wanted, limit)).fetchall()
        found: dict[int, list[DefectState]] = {row[0]: [] for row in rows}
        marks = ", ".join("?" * len(found))
        defects = f"SELECT part, class, score, area_px, camera FROM defects WHERE part IN ({marks}) ORDER BY score DESC"
        for number, name, score, area_px, camera in connection.execute(defects, tuple(found)):
            found[number].append(DefectState(class_name=name, score=score, area_px=area_px, camera=camera))
    return [
        PartState(
            number=number,
            time=datetime.fromisoformat(time),
            part_id=part_id,
            verdict=Verdict(given).name,
            told=Verdict(told).name,
            defects=tuple(found[number]),
            fault=fault,
            latency_ms=None if sent_us is None else sent_us / 1e3,
            bundle_id=bundle_id,
        )
        for number, time, part_id, given, told, fault, sent_us, bundle_id in rows
    ]
