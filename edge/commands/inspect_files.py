"""`edge-inspect inspect`: verdicts on image files, without a line."""

import csv
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bundle import SUFFIXES, FrameError, Verdict, encode_drawing, os_problem, read_image, write_whole
from edge.bundle_inspector import BundleInspector, Inspection
from edge.errors import CheckFailed
from edge.log_lines import printable
from edge.records.export import escape_formula

COLUMNS = ("file", "verdict", "class", "score", "x", "y", "width", "height", "area_px", "area_mm2", "error")
"""Columns of the CSV file, one row per defect; a file without a defect has one row, an unreadable file an error."""


@dataclass(frozen=True)
class FileVerdict:
    """The verdict on one file; FAULT with an error if it cannot be inspected."""

    path: Path
    inspection: Inspection | None
    error: str = ""

    @property
    def verdict(self) -> Verdict:
        """Verdict of the image."""
        return self.inspection.verdict if self.inspection else Verdict.FAULT

    def __str__(self) -> str:
        defects = self.inspection.defects if self.inspection else ()
        found = ", ".join(f"{defect.class_name} {defect.score:.2f}, {defect.area_px:.0f} px" for defect in defects)
        return f"{printable(str(self.path))}: {self.verdict.name}  {found or self.error}".rstrip()

    def rows(self) -> Iterator[Sequence[Any]]:
        """Yield the rows of the CSV file."""
        path, error = escape_formula(printable(str(self.path))), escape_formula(self.error)
        for defect in self.inspection.defects if self.inspection else ():
            area_mm2 = "" if defect.area_mm2 is None else f"{defect.area_mm2:.6g}"
            name = escape_formula(defect.class_name)
            yield (
                path,
                self.verdict.name,
                name,
                f"{defect.score:.6f}",
                *defect.box,
                f"{defect.area_px:.6g}",
                area_mm2,
                "",
            )
        if self.inspection is None or not self.inspection.defects:
            yield path, self.verdict.name, *[""] * 8, error


def find_files(paths: Sequence[Path]) -> list[Path]:
    """List the files, and the image files of folders by name; raises CheckFailed if there is none."""
    files: list[Path] = []
    for path in paths:
        inside = sorted(file for file in path.iterdir() if file.suffix.lower() in SUFFIXES) if path.is_dir() else [path]
        if not inside:
            raise CheckFailed(
                f"{path}: found no image file, expected files of {', '.join(sorted(SUFFIXES))}; name the folder that "
                "holds them, folders in it are not searched"
            )
        files += inside
    return files


def inspect_files(
    inspector: BundleInspector, files: Sequence[Path], table: Path | None = None, pictures: Path | None = None
) -> Iterator[FileVerdict]:
    """Inspect files in order; an unreadable file is a FAULT and the next one is inspected.

    table: CSV file to write. pictures: folder for each picture with outlined defects, as PNG. Raises EngineError,
    CheckFailed if the table would replace a picture, and OSError if an output cannot be written.
    """
    if table is not None and table.resolve() in (path.resolve() for path in files):
        raise CheckFailed(f"{table}: is one of the pictures, expected a file for the table; name another --csv")
    with ExitStack() as opened:
        writer = None
        if table is not None:
            writer = csv.writer(opened.enter_context(table.open("w", newline="", encoding="utf-8")))
            writer.writerow(COLUMNS)
        if pictures is not None:
            pictures.mkdir(parents=True, exist_ok=True)
        for number, path in enumerate(files, 1):
            found = _inspected(inspector, path)
            if writer is not None:
                writer.writerows(found.rows())
            if pictures is not None and found.inspection is not None:
                write_whole(pictures / f"{number:04d}-{path.stem}.png", encode_drawing(found.inspection.draw()))
            yield found


def _inspected(inspector: BundleInspector, path: Path) -> FileVerdict:
    try:
        return FileVerdict(path, inspector.inspect(read_image(path)))
    except FrameError as error:
        return FileVerdict(path, None, printable(str(error).removeprefix(f"{path}: ")))
    except OSError as error:
        return FileVerdict(path, None, printable(os_problem(error).removeprefix(f"{path}: ")))
