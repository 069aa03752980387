"""The shift report as PDF: every part of it, with and without data."""

from datetime import datetime, timedelta, timezone
from pathlib import Path

import numpy as np
import pytest

from bundle import encode_png
from edge.reports.shift import ChallengeRow, Downtime, Mistake, ParetoRow, ShiftReport, TrendBar
from edge.review.marks import Mark, MarkedDefect, StoredMark

pytest.importorskip("reportlab", reason="PDF reports need edge-inspect[pdf]")
from edge.reports.shift_pdf import STRANGE, pdf_report

START = datetime(2026, 5, 4, 6, tzinfo=timezone.utc)
MARK = Mark(7, "good", "Ada", (MarkedDefect("top", "Kratzer"),), "only dust")
FULL = ShiftReport(
    since=START,
    until=START + timedelta(hours=8),
    verdicts={"OK": 990, "NG": 8, "UNSURE": 1, "FAULT": 1},
    told_otherwise=3,
    bundles={"ab" * 32: 1000},
    pareto=(ParetoRow("Kratzer <größer als 2 mm>", 6, 0.75, 0.75, ("1.png",)), ParetoRow("面", 2, 0.25, 1.0, ())),
    trend=tuple(TrendBar(START + timedelta(minutes=10 * one), 20, one % 5) for one in range(48)),
    bar_minutes=10,
    latency={"frame to result": (10.0, 20.0, 30.0, 40.0)},
    downtime=(Downtime("camera top", 2, 15.0, True),),
    drift=(Downtime("drift brightness", 1, 30.0, False),),
    stopped_minutes=15.0,
    marked={"false reject": 1},
    mistakes=(Mistake("false reject", 7, 107, START, "NG", "Kratzer", StoredMark(1, "", MARK), "1.png"),) * 30,
    challenges=(ChallengeRow(START, "Ada", "passed", "NG Kratzer"),),
)
EMPTY = ShiftReport(
    since=START,
    until=START + timedelta(hours=8),
    verdicts={},
    told_otherwise=0,
    bundles={},
    pareto=(),
    trend=(TrendBar(START, 0, 0),) * 48,
    bar_minutes=10,
    latency={},
    downtime=(),
    drift=(),
    stopped_minutes=0.0,
    marked={},
    mistakes=(),
    challenges=(),
)


def words(content: bytes) -> str:
    """Text of a PDF."""
    pdfium = pytest.importorskip("pypdfium2", reason="pypdfium2 reads PDFs: edge-inspect[dev]")
    document = pdfium.PdfDocument(content)
    try:
        pages = [document[page].get_textpage().get_text_range() for page in range(len(document))]
        return " ".join("\n".join(pages).split())
    finally:
        document.close()


def test_a_shift_is_told_with_its_pictures(tmp_path: Path) -> None:
    (tmp_path / "1.png").write_bytes(encode_png(np.full((30, 40), 100, np.uint8)))
    content = pdf_report(FULL, "Line <3> & glaze", tmp_path)
    text = words(content)

    for told in (
        "Shift report: Line <3> & glaze", "1,000", "99.0 %", "Kratzer <größer als 2 mm>", "75.0 %", "Trend", "Latency",
        "camera top", "drift brightness", "only dust", "passed", "Shift lead", "Quality", "told OK for 3 parts",
    ):  # fmt: skip
        assert told in text
    assert f"{STRANGE} stands for a letter" in text
    assert content.count(b"/Subtype /Image") >= 1


def test_a_shift_without_parts_is_told_too() -> None:
    text = words(pdf_report(EMPTY, "Line 3", None))

    for told in ("No part was rejected for a defect", "No alarm and no pause", "No drift alarm", "No part was marked"):
        assert told in text
    assert "stands for" not in text


def test_long_texts_break_and_no_picture_is_needed() -> None:
    long = ShiftReport(**{**vars(FULL), "pareto": (ParetoRow("x" * 300, 8, 1.0, 1.0, ("gone.png",)),)})

    assert "x" * 20 in words(pdf_report(long, "y" * 60, Path("nowhere")))
