"""Shift report as one HTML file without references to other files; it prints on A4."""

from base64 import b64encode
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import datetime
from html import escape
from pathlib import Path

from edge.records.stored_pictures import drawn_jpeg
from edge.records.summary import PERCENTILES
from edge.reports.shift import PICTURES, Downtime, Mistake, ShiftReport, TrendBar

PICTURE_PX = 320
"""Longer side of a picture in the report."""
PICTURED_MISTAKES = 4 * PICTURES
CHART_WIDTH, CHART_HEIGHT = 960, 190
LEFT, BOTTOM = 52, 22
"""Margins of the chart for its letters."""
SIGNATURES = ("Shift lead", "Quality", "Date")
RATE_STEPS = (0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0)
STYLE = """
:root { color-scheme: light; }
body { font: 15px/1.4 system-ui, "Segoe UI", "DejaVu Sans", sans-serif; color: #14181d; background: #fff; margin: 24px auto; max-width: 1000px; padding: 0 16px; }
h1 { font-size: 26px; margin: 0 0 4px; } h2 { font-size: 18px; margin: 26px 0 6px; } p { margin: 4px 0; } .soft { color: #525c68; }
table { border-collapse: collapse; width: 100%; font-variant-numeric: tabular-nums; }
th, td { text-align: left; padding: 4px 10px 4px 0; border-bottom: 1px solid #d5dbe1; vertical-align: top; overflow-wrap: anywhere; }
th { color: #525c68; font-weight: 600; } .number { text-align: right; padding-right: 24px; }
.figures { display: flex; flex-wrap: wrap; gap: 10px 34px; margin: 12px 0; } .figures b { display: block; font-size: 30px; line-height: 1.2; }
svg { width: 100%; height: auto; } svg text { font-size: 13px; fill: #525c68; } svg line { stroke: #d5dbe1; } svg rect { fill: #b4231c; }
.share { display: inline-block; height: 12px; background: #b4231c; min-width: 2px; }
.pictures { display: flex; flex-wrap: wrap; gap: 8px; margin: 4px 0; } .pictures img { max-width: 200px; max-height: 150px; border-radius: 4px; }
figure { margin: 0; max-width: 200px; font-size: 13px; overflow-wrap: anywhere; }
.signature { display: flex; gap: 40px; margin-top: 50px; } .signature span { flex: 1; border-top: 1px solid #14181d; padding-top: 4px; }
@media print { body { margin: 0; max-width: none; } h2 { break-after: avoid; } tr, figure, svg { break-inside: avoid; } @page { size: A4; margin: 14mm; } }
"""  # noqa: E501 - a rule in a line


def html_report(report: ShiftReport, title: str, pictures: Path | None) -> Iterator[str]:
    """Yield the pieces of the file. pictures: folder of the stored pictures, None to leave them out."""
    period = f"{local_time(report.since)} to {local_time(report.until)}"
    yield f'<!doctype html>\n<html lang="en"><head><meta charset="utf-8"><title>{escape(title)}, {period}</title>'
    yield '<meta name="viewport" content="width=device-width, initial-scale=1">'
    yield f"<style>{STYLE}</style></head><body><main>"
    yield f'<h1>Shift report: {escape(title)}</h1><p class="soft">{period}, local time of the station.</p>'
    yield from _figures(report)
    yield from _pareto(report, pictures)
    yield "<h2>Trend</h2>" + _chart(report.trend, report.bar_minutes)
    yield from _latency(report.latency)
    yield from _downtime(report)
    yield from _mistakes(report, pictures)
    yield from _others(report)
    lines = "".join(f"<span>{name}</span>" for name in SIGNATURES)
    yield f'<p class="signature">{lines}</p></main></body></html>\n'


def key_figures(report: ShiftReport) -> list[tuple[str, str]]:
    """Names and values of the figures at the head."""
    good = report.parts - report.rejects
    return [
        ("parts", f"{report.parts:,}"),
        ("rejected", f"{report.rejects:,}"),
        ("yield", percent(good, report.parts)),
        ("not inspected", f"{report.stopped_minutes:.1f} min"),
    ]


def chart_top(bars: Sequence[TrendBar]) -> float:
    """Upper end of the trend's axis, 0 to 1."""
    highest = max((bar.rejects / bar.parts for bar in bars if bar.parts), default=0.0)
    return next(step for step in RATE_STEPS if step >= highest)


def _figures(report: ShiftReport) -> Iterator[str]:
    told = key_figures(report)
    yield '<p class="figures">' + "".join(f"<span><b>{value}</b>{name}</span>" for name, value in told) + "</p>"
    rows = ((name, f"{count:,}", percent(count, report.parts)) for name, count in report.verdicts.items())
    yield _table(("verdict", "parts", "share"), rows)
    bundles = ", ".join(f"{name[:12] or 'none'} ({count:,} parts)" for name, count in report.bundles.items())
    yield f'<p class="soft">Bundles: {escape(bundles) or "none"}. Known bad parts of challenges are not counted.</p>'
    if report.told_otherwise:
        yield f"<p>Shadow mode: the PLC was told OK for {report.told_otherwise:,} parts with another verdict.</p>"


def _pareto(report: ShiftReport, pictures: Path | None) -> Iterator[str]:
    yield "<h2>Rejects by class</h2>"
    if not report.pareto:
        yield "<p>No part was rejected for a defect.</p>"
        return
    yield '<table><tr><th>class</th><th class="number">parts</th><th class="number">share</th>'
    yield '<th class="number">summed</th><td></td></tr>'
    for row in report.pareto:
        bar = (
            f'<svg viewBox="0 0 200 12" style="max-width:200px"><rect width="{200 * row.share:.0f}" height="12"/></svg>'
        )
        cells = (f"{row.parts:,}", f"{100 * row.share:.1f} %", f"{100 * row.summed:.1f} %")
        numbers = "".join(f'<td class="number">{cell}</td>' for cell in cells)
        yield f"<tr><td>{escape(row.class_name)}</td>{numbers}<td>{bar}</td></tr>"
        shown = "".join(_image(pictures, name, row.class_name) for name in row.pictures)
        if shown:
            yield f'<tr><td colspan="5"><div class="pictures">{shown}</div></td></tr>'
    yield "</table>"


def _chart(bars: Sequence[TrendBar], minutes: int) -> str:
    """Draw the share of rejected parts over time as SVG."""
    rates = [bar.rejects / bar.parts if bar.parts else 0.0 for bar in bars]
    top = chart_top(bars)
    pitch, high = (CHART_WIDTH - LEFT) / len(bars), CHART_HEIGHT - BOTTOM - 8
    shapes = []
    for rate in (0.0, top / 2, top):
        y = 8 + high * (1 - rate / top)
        shapes.append(f'<line x1="{LEFT}" x2="{CHART_WIDTH}" y1="{y:.0f}" y2="{y:.0f}"/>')
        shapes.append(f'<text x="{LEFT - 6}" y="{y + 4:.0f}" text-anchor="end">{100 * rate:.3g} %</text>')
    every = max(1, len(bars) // 8)
    for place, (bar, rate) in enumerate(zip(bars, rates, strict=True)):
        x, height = LEFT + place * pitch, high * rate / top
        told = f"{clock_time(bar.time)}: {bar.rejects:,} of {bar.parts:,} rejected"
        box = f'x="{x + 1:.1f}" y="{8 + high - height:.1f}" width="{max(1.0, pitch - 2):.1f}" height="{height:.1f}"'
        shapes.append(f"<rect {box}><title>{told}</title></rect>")
        if place % every == 0:
            shapes.append(f'<text x="{x:.0f}" y="{CHART_HEIGHT - 4}">{clock_time(bar.time)}</text>')
    view = f'viewBox="0 0 {CHART_WIDTH} {CHART_HEIGHT}" role="img" aria-label="Rejected parts over time"'
    return f'<svg {view}>{"".join(shapes)}</svg><p class="soft">Rejected share, per {minutes} min.</p>'


def _latency(latency: Mapping[str, Sequence[float]]) -> Iterator[str]:
    if latency:
        yield "<h2>Latency</h2>"
        rows = ((name, *(f"{value:.1f}" for value in values)) for name, values in latency.items())
        yield _table(("stage", *(f"{name} ms" for name in PERCENTILES)), rows)


def _downtime(report: ShiftReport) -> Iterator[str]:
    yield "<h2>Downtime and alarms by cause</h2>"
    yield f"<p>Parts were not inspected for {report.stopped_minutes:.1f} min; causes may overlap.</p>"
    yield _spans(report.downtime) if report.downtime else "<p>No alarm and no pause.</p>"
    yield "<h2>Drift</h2>"
    yield _spans(report.drift) if report.drift else "<p>No drift alarm.</p>"


def _spans(rows: Sequence[Downtime]) -> str:
    told = ((row.cause, str(row.times), f"{row.minutes:.1f}", "yes" if row.stops else "no") for row in rows)
    return _table(("cause", "times", "minutes", "stops inspection"), told, numbers=(1, 2))


def _mistakes(report: ShiftReport, pictures: Path | None) -> Iterator[str]:
    yield "<h2>Marked parts</h2>"
    if not report.marked:
        yield "<p>No part was marked.</p>"
        return
    yield "<p>" + ", ".join(f"{escape(kind)}: {count:,}" for kind, count in report.marked.items()) + "</p>"
    if not report.mistakes:
        return
    yield _table(
        ("part", "time", "verdict", "mistake", "marked", "by", "note"), map(mistake_cells, report.mistakes), numbers=()
    )
    shown = "".join(
        _image(pictures, one.picture, f"Part {one.part_id}: {one.kind}")
        for one in report.mistakes[:PICTURED_MISTAKES]
        if one.picture
    )
    yield f'<div class="pictures">{shown}</div>'


def mistake_cells(one: Mistake) -> tuple[str, ...]:
    """Part, time, verdict, mistake, mark, who and note."""
    mark = one.mark.mark
    marked = " ".join([mark.truth, *dict.fromkeys(defect.class_name for defect in mark.defects)])
    verdict = f"{one.verdict} {one.class_name}".strip()
    return str(one.part_id), clock_time(one.time), verdict, one.kind, marked, mark.who, mark.note


def _others(report: ShiftReport) -> Iterator[str]:
    if report.challenges:
        yield "<h2>Challenges with known bad parts</h2>"
        rows = ((clock_time(one.time), one.who, one.result, one.found) for one in report.challenges)
        yield _table(("time", "by", "result", "found"), rows, numbers=())


def _image(pictures: Path | None, name: str, caption: str) -> str:
    content = None if pictures is None else drawn_jpeg(pictures, name, PICTURE_PX)
    if content is None:
        return ""
    source = f"data:image/jpeg;base64,{b64encode(content).decode()}"
    return f'<figure><img src="{source}" alt="{escape(caption)}"><figcaption>{escape(caption)}</figcaption></figure>'


def _table(columns: Sequence[str], rows: Iterable[Sequence[str]], numbers: Sequence[int] | None = None) -> str:
    """numbers: columns that are aligned to the right; all but the first by default."""
    right = range(1, len(columns)) if numbers is None else numbers
    kinds = ['class="number"' if place in right else "" for place in range(len(columns))]
    head = "".join(f"<th {kind}>{escape(name)}</th>" for kind, name in zip(kinds, columns, strict=True))
    body = (
        "<tr>" + "".join(f"<td {kind}>{escape(cell)}</td>" for kind, cell in zip(kinds, row, strict=True)) + "</tr>"
        for row in rows
    )
    return f"<table><tr>{head}</tr>{''.join(body)}</table>"


def percent(count: int, whole: int) -> str:
    """Share in percent; `-` of nothing."""
    return f"{100 * count / whole:.1f} %" if whole else "-"


def local_time(at: datetime) -> str:
    """Day and time of the station's clock."""
    return f"{at.astimezone():%Y-%m-%d %H:%M}"


def clock_time(at: datetime) -> str:
    """Time of the station's clock."""
    return f"{at.astimezone():%H:%M}"
