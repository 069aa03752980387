"""Shift report as PDF on A4; the only file that imports reportlab."""

from collections.abc import Iterator, Sequence
from html import escape
from io import BytesIO
from pathlib import Path
from typing import Any

from edge.errors import RecordsError
from edge.records.stored_pictures import drawn_jpeg
from edge.records.summary import PERCENTILES
from edge.reports.shift import Downtime, ShiftReport, TrendBar
from edge.reports.shift_html import (
    PICTURE_PX,
    PICTURED_MISTAKES,
    SIGNATURES,
    chart_top,
    clock_time,
    key_figures,
    local_time,
    mistake_cells,
    percent,
)

try:
    import reportlab  # noqa: F401
except ImportError:
    raise RecordsError("report: a PDF needs the package reportlab; pip install 'edge-inspect[pdf]'") from None

from reportlab.graphics.shapes import Drawing, Line, Rect, String
from reportlab.lib.colors import HexColor
from reportlab.lib.pagesizes import A4
from reportlab.lib.styles import ParagraphStyle
from reportlab.lib.units import mm
from reportlab.lib.utils import ImageReader
from reportlab.pdfbase.pdfmetrics import registerFont, stringWidth
from reportlab.pdfbase.ttfonts import TTFont
from reportlab.platypus import Image, KeepTogether, Paragraph, SimpleDocTemplate, Spacer, Table

INK, SOFT, RULE, RED = HexColor("#14181d"), HexColor("#525c68"), HexColor("#d5dbe1"), HexColor("#b4231c")
FONT, BOLD = "Vera", "VeraBd"
"""Bitstream Vera, which comes with reportlab and is embedded: Western European letters."""
MARGIN = 14 * mm
WIDTH = A4[0] - 2 * MARGIN - 12
"""The frame of a page has 6 points of its own at either side."""
FLUSH = ("LEFTPADDING", (0, 0), (-1, -1), 0)
PICTURE_WIDTH, PICTURE_HEIGHT = 42 * mm, 32 * mm
CHART_HEIGHT, CHART_LEFT, CHART_BOTTOM = 42 * mm, 34, 14
STRANGE = "?"
"""In place of a letter that the font lacks, with a note at the end."""


def pdf_report(report: ShiftReport, title: str, pictures: Path | None) -> bytes:
    """Return the file. pictures: folder of the stored pictures, None to leave them out."""
    return _PdfReport(report, title, pictures).content()


class _PdfReport:
    """Builds one file."""

    def __init__(self, report: ShiftReport, title: str, pictures: Path | None) -> None:
        for name in (FONT, BOLD):
            registerFont(TTFont(name, f"{name}.ttf"))
        self._report, self._title, self._pictures = report, title, pictures
        self._glyphs = TTFont(FONT, f"{FONT}.ttf").face.charToGlyph
        self._is_strange = False
        small = {"fontName": FONT, "fontSize": 8.5, "leading": 11, "textColor": INK}
        self._plain = ParagraphStyle("plain", **small, splitLongWords=1)
        self._right = ParagraphStyle("right", parent=self._plain, alignment=2)
        self._soft = ParagraphStyle("soft", parent=self._plain, textColor=SOFT)
        self._large = ParagraphStyle("large", parent=self._plain, fontName=BOLD, fontSize=17, leading=21)
        self._heading = ParagraphStyle(
            "heading", parent=self._plain, fontName=BOLD, fontSize=11, leading=14, spaceBefore=11, spaceAfter=4
        )
        self._heading.keepWithNext = 1

    def content(self) -> bytes:
        """Lay the report out."""
        file, story = BytesIO(), list(self._story())
        document = SimpleDocTemplate(
            file, pagesize=A4, leftMargin=MARGIN, rightMargin=MARGIN, topMargin=MARGIN, bottomMargin=MARGIN,
            title=f"{self._title}, {local_time(self._report.since)}", author="edge-inspect",
        )  # fmt: skip
        document.build(story, onFirstPage=self._foot, onLaterPages=self._foot)
        return file.getvalue()

    def _story(self) -> Iterator[Any]:
        report = self._report
        period = f"{local_time(report.since)} to {local_time(report.until)}"
        yield self._text(f"Shift report: {self._title}", self._large)
        yield self._text(f"{period}, local time of the station.", self._soft)
        yield Spacer(1, 6)
        yield from self._figures()
        yield from self._pareto()
        yield self._text("Trend", self._heading)
        yield _chart(report.trend)
        yield self._text(f"Rejected share, per {report.bar_minutes} min.", self._soft)
        if report.latency:
            yield self._text("Latency", self._heading)
            rows = [(name, *(f"{value:.1f}" for value in values)) for name, values in report.latency.items()]
            yield self._table(("stage", *(f"{name} ms" for name in PERCENTILES)), rows)
        yield from self._downtime()
        yield from self._mistakes()
        if report.challenges:
            yield self._text("Challenges with known bad parts", self._heading)
            told = [(clock_time(one.time), one.who, one.result, one.found) for one in report.challenges]
            yield self._table(("time", "by", "result", "found"), told, numbers=())
        if self._is_strange:
            yield self._text(f"{STRANGE} stands for a letter that the font of this file lacks.", self._soft)
        yield _signatures(self._plain)

    def _figures(self) -> Iterator[Any]:
        report, figures = self._report, key_figures(self._report)
        cells = [[self._text(value, self._large) for _, value in figures], [self._text(name) for name, _ in figures]]
        yield Table(cells, [WIDTH / len(figures)] * len(figures), hAlign="LEFT", style=[FLUSH])
        yield Spacer(1, 4)
        rows = [(name, f"{count:,}", percent(count, report.parts)) for name, count in report.verdicts.items()]
        yield self._table(("verdict", "parts", "share"), rows)
        bundles = ", ".join(f"{name[:12] or 'none'} ({count:,} parts)" for name, count in report.bundles.items())
        yield self._text(f"Bundles: {bundles or 'none'}. Known bad parts of challenges are not counted.", self._soft)
        if report.told_otherwise:
            yield self._text(
                f"Shadow mode: the PLC was told OK for {report.told_otherwise:,} parts with another verdict."
            )

    def _pareto(self) -> Iterator[Any]:
        yield self._text("Rejects by class", self._heading)
        if not self._report.pareto:
            yield self._text("No part was rejected for a defect.")
        columns = ("class", "parts", "share", "summed", "")
        for place, row in enumerate(self._report.pareto):
            bar = Drawing(100, 8)
            bar.add(Rect(0, 0, max(0.5, 100 * row.share), 8, fillColor=RED, strokeColor=None))
            cells = (row.class_name, f"{row.parts:,}", f"{100 * row.share:.1f} %", f"{100 * row.summed:.1f} %", bar)
            shown = self._images([(name, row.class_name) for name in row.pictures])
            yield KeepTogether([self._table(columns if place == 0 else (), [cells], numbers=(1, 2, 3)), *shown])

    def _downtime(self) -> Iterator[Any]:
        report = self._report
        yield self._text("Downtime and alarms by cause", self._heading)
        yield self._text(f"Parts were not inspected for {report.stopped_minutes:.1f} min; causes may overlap.")
        yield self._spans(report.downtime) if report.downtime else self._text("No alarm and no pause.")
        yield self._text("Drift", self._heading)
        yield self._spans(report.drift) if report.drift else self._text("No drift alarm.")

    def _spans(self, rows: Sequence[Downtime]) -> Any:
        told = [(row.cause, str(row.times), f"{row.minutes:.1f}", "yes" if row.stops else "no") for row in rows]
        return self._table(("cause", "times", "minutes", "stops inspection"), told, numbers=(1, 2))

    def _mistakes(self) -> Iterator[Any]:
        report = self._report
        yield self._text("Marked parts", self._heading)
        counts = ", ".join(f"{kind}: {count:,}" for kind, count in report.marked.items())
        yield self._text(counts or "No part was marked.")
        if report.mistakes:
            columns = ("part", "time", "verdict", "mistake", "marked", "by", "note")
            yield self._table(columns, [mistake_cells(one) for one in report.mistakes], numbers=())
            pictured = [one for one in report.mistakes[:PICTURED_MISTAKES] if one.picture]
            yield from self._images([(str(one.picture), f"Part {one.part_id}: {one.kind}") for one in pictured])

    def _images(self, named: Sequence[tuple[str, str]]) -> list[Any]:
        """Return rows of four pictures with captions; a picture that was deleted is left out."""
        cells = []
        for name, caption in named:
            content = None if self._pictures is None else drawn_jpeg(self._pictures, name, PICTURE_PX)
            if content is not None:
                width, height = ImageReader(BytesIO(content)).getSize()
                scale = min(PICTURE_WIDTH / width, PICTURE_HEIGHT / height)
                cells.append([Image(BytesIO(content), width * scale, height * scale), self._text(caption, self._soft)])
        rows = [cells[start : start + 4] for start in range(0, len(cells), 4)]
        return [
            Table([row], [WIDTH / 4] * len(row), hAlign="LEFT", style=[("VALIGN", (0, 0), (-1, -1), "TOP"), FLUSH])
            for row in rows
        ]

    def _table(
        self, columns: Sequence[str], rows: Sequence[Sequence[Any]], numbers: Sequence[int] | None = None
    ) -> Any:
        """numbers: columns that are aligned to the right; all but the first by default."""
        wide = len(rows[0]) if rows else len(columns)
        right = range(1, wide) if numbers is None else numbers
        styles = [self._right if place in right else self._plain for place in range(wide)]
        cells = [
            [
                self._text(cell, style) if isinstance(cell, str) else cell
                for cell, style in zip(row, styles, strict=True)
            ]
            for row in rows
        ]
        head = (
            [
                [
                    self._text(name, ParagraphStyle("head", parent=one, textColor=SOFT))
                    for name, one in zip(columns, styles, strict=True)
                ]
            ]
            if columns
            else []
        )
        rule = ("LINEBELOW", (0, 0), (-1, -1), 0.5, RULE)
        return Table(
            [*head, *cells], _widths(wide), repeatRows=len(head), hAlign="LEFT",
            style=[rule, ("VALIGN", (0, 0), (-1, -1), "TOP"), FLUSH],
        )  # fmt: skip

    def _text(self, text: str, style: ParagraphStyle | None = None) -> Paragraph:
        known = "".join(one if ord(one) in self._glyphs or one.isspace() else STRANGE for one in text)
        self._is_strange |= known != text
        return Paragraph(escape(known), style or self._plain)

    def _foot(self, canvas: Any, document: Any) -> None:
        canvas.setFont(FONT, 7.5)
        canvas.setFillColor(SOFT)
        canvas.drawRightString(A4[0] - MARGIN - 6, MARGIN / 2, f"page {document.page}")


def _widths(columns: int) -> list[float]:
    """Widths of a table's columns: the first has a name, and twice the width of the others."""
    return [2 * WIDTH / (columns + 1)] + [WIDTH / (columns + 1)] * (columns - 1)


def _chart(bars: Sequence[TrendBar]) -> Drawing:
    """Draw the share of rejected parts over time."""
    drawing, top = Drawing(WIDTH, CHART_HEIGHT), chart_top(bars)
    high, pitch = CHART_HEIGHT - CHART_BOTTOM - 6, (WIDTH - CHART_LEFT) / len(bars)
    for rate in (0.0, top / 2, top):
        y = CHART_BOTTOM + high * rate / top
        drawing.add(Line(CHART_LEFT, y, WIDTH, y, strokeColor=RULE, strokeWidth=0.5))
        label = f"{100 * rate:.3g} %"
        left = CHART_LEFT - 4 - stringWidth(label, FONT, 7)
        drawing.add(String(left, y - 2.5, label, fontName=FONT, fontSize=7, fillColor=SOFT))
    every = max(1, len(bars) // 8)
    for place, bar in enumerate(bars):
        x, rate = CHART_LEFT + place * pitch, bar.rejects / bar.parts if bar.parts else 0.0
        if rate:
            box = (x + 0.5, CHART_BOTTOM, max(0.5, pitch - 1), high * rate / top)
            drawing.add(Rect(*box, fillColor=RED, strokeColor=None))
        if place % every == 0:
            drawing.add(String(x, 3, clock_time(bar.time), fontName=FONT, fontSize=7, fillColor=SOFT))
    return drawing


def _signatures(style: ParagraphStyle) -> Any:
    gap, width = 10 * mm, (WIDTH - 20 * mm) / 3
    cells = [cell for name in SIGNATURES for cell in (Paragraph(name, style), "")][:-1]
    lines = [("LINEABOVE", (place, 0), (place, 0), 0.7, INK) for place in (0, 2, 4)]
    return KeepTogether(
        [Spacer(1, 40), Table([cells], [width, gap, width, gap, width], hAlign="LEFT", style=[*lines, FLUSH])]
    )
