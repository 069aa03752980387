"""Files of `edge-inspect report`: which line and which period they are about."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from bundle import write_whole
from edge.config.line import load_line
from edge.config.page import PageSettings
from edge.errors import RecordsError
from edge.reports.shift import shift_report
from edge.reports.shift_html import html_report
from edge.wall_clock import latest_time_of_day, system_utc


@dataclass(frozen=True)
class ReportSource:
    """Records of a line with what a report needs beside them."""

    records: Path
    title: str
    pictures: Path | None
    shift_starts: tuple[str, ...]

    @classmethod
    def at(cls, path: Path) -> "ReportSource":
        """Read a line.toml, or take a database alone, whose pictures are not known. Raises LineConfigError."""
        if path.suffix != ".toml":
            return cls(path, path.stem, None, PageSettings().shift_starts)
        line = load_line(path)
        page = line.page or PageSettings()
        title = page.title if line.page else path.resolve().parent.name
        return cls(line.records, title, line.pictures.folder if line.pictures else None, page.shift_starts)


def write_report(
    path: Path,
    html: Path | None,
    pdf: Path | None,
    since: datetime | None,
    until: datetime | None,
    utc: Callable[[], datetime] = system_utc,
) -> Iterator[str]:
    """Write the report of a period, by default the present shift so far, to one or both files; yields messages.

    since, until: of the station's local clock where they have no zone. Raises RecordsError, LineConfigError, OSError.
    """
    source = ReportSource.at(path)
    end = until.astimezone() if until else utc()
    begin = since.astimezone() if since else latest_time_of_day(end, source.shift_starts)
    if begin is None or begin >= end:
        raise RecordsError(f"report: found --since {begin} and --until {end}, expected a period; swap them")
    found = shift_report(source.records, begin, end)
    told = f"{found.parts} parts, {found.rejects} of them rejected, {begin:%Y-%m-%d %H:%M} to {end:%H:%M}"
    if html is not None:
        write_whole(html, "".join(html_report(found, source.title, source.pictures)))
        yield f"{html}: {told}"
    if pdf is not None:
        from edge.reports.shift_pdf import pdf_report

        write_whole(pdf, pdf_report(found, source.title, source.pictures))
        yield f"{pdf}: {told}"
