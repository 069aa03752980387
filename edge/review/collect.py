"""Collected data sets: marked parts with their frames, in the folder layout that `train --data` reads."""

import csv
import hashlib
import io
import re
import sqlite3
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from urllib.parse import quote

import cv2
import numpy as np
from numpy.typing import NDArray

from bundle import FrameError, encode_png, read_image, write_whole
from bundle.manifest import name_problem
from edge.bundle_inspector import BundleInspector
from edge.config.line import Line
from edge.errors import MarkError
from edge.records.database import reading
from edge.records.stored_pictures import inside
from edge.review.marks import Mark, MarkedDefect, StoredMark, latest_marks

IMAGES, MASKS, LABELS, SETTINGS = "images", "masks", "labels.csv", "dataset.toml"
"""Names in the folder layout."""
PROVENANCE = "provenance.csv"
"""Table of the collected images: where each comes from, who marked it."""
OWN_IMAGE = re.compile(r"(?!\.\.?/)[^/\\]+/[0-9]+-[^/\\]+")
"""Path of an image below `images/` without its suffix: station, row and camera."""
_SETTINGS = """# Written by `edge-inspect collect`: marked parts of stations, see provenance.csv.
part = '^([^/]+/[0-9]+)-'   # station and row: all views of a part stay together
citation = "parts marked at the line"
"""

OpenInspector = Callable[[], BundleInspector]
"""Opens the bundle of a line, or returns it open."""


@dataclass(frozen=True)
class CollectedImage:
    """One row of the provenance table."""

    image: str
    """Path below `images/`."""
    station: str
    row: str
    part_id: str
    time: str
    camera: str
    verdict: str
    bundle: str
    truth: str
    classes: str
    """Names of the classes, joined by +."""
    not_outlined: str
    """Those without an outline."""
    who: str
    marked: str
    """UTC of the mark."""
    note: str
    sha256: str


@dataclass(frozen=True)
class Collected:
    """Result of a collection."""

    images: tuple[CollectedImage, ...]
    """All images of the data set."""
    remarks: tuple[str, ...]
    """One line for each view that was left out."""


def station_name(path: Path) -> str:
    """Name of a station: the stem of its line file, or the folder of a `line.toml`."""
    return quote(path.stem if path.stem != "line" else path.resolve().parent.name, safe=" ")


def collect(stations: Mapping[str, Line], inspectors: Mapping[str, OpenInspector], out: Path) -> Collected:
    """Write the marked parts of some stations into `out`, or add them to what it holds.

    stations, inspectors: by the name of the station. A part that was marked again is written again; one that is now
    unclear is removed. An interrupted collection goes on with the next one. Views of a defective part without a marked
    defect are left out, for they may show it or not; exposures of one camera are one view, so all have its defects.
    Raises MarkError if `out` holds other files, RecordsError if records cannot be read, OSError if `out` cannot be
    written.
    """
    table = _existing(out)
    remarks: list[str] = []
    _write_tables(out, table)  # before the images, by which an interrupted collection is known as one
    try:
        for station, line in stations.items():
            _Collection(station, line, inspectors[station], out, table, remarks).run()
    finally:
        _write_tables(out, table)
    return Collected(tuple(table.values()), tuple(remarks))


def _write_tables(out: Path, table: Mapping[str, CollectedImage]) -> None:
    write_whole(out / SETTINGS, _SETTINGS)
    write_whole(out / LABELS, _csv(("image", "class"), _labels(table.values())))
    names = tuple(field.name for field in fields(CollectedImage))
    write_whole(out / PROVENANCE, _csv(names, (tuple(asdict(row).values()) for row in table.values())))


class _Collection:
    """The marked parts of one station on their way into the data set."""

    def __init__(
        self,
        station: str,
        line: Line,
        inspector: OpenInspector,
        out: Path,
        table: dict[str, CollectedImage],
        remarks: list[str],
    ) -> None:
        self._station, self._line, self._inspector = station, line, inspector
        self._out, self._table, self._remarks = out, table, remarks

    def run(self) -> None:
        with reading(self._line.records) as connection:
            for stored in latest_marks(connection):
                self._take(connection, stored)

    def _take(self, connection: sqlite3.Connection, stored: StoredMark) -> None:
        mark = stored.mark
        prefix = f"{self._station}/{mark.part}-"
        before = [key for key in self._table if key.startswith(prefix)]
        query = "SELECT part_id, time, verdict, bundle_id FROM parts WHERE number = ?"
        part_id, time, verdict, bundle_id = connection.execute(query, (mark.part,)).fetchone()
        if others := [self._table[key].time for key in before if self._table[key].time != time]:
            raise MarkError(
                f"{self._out}: found row {mark.part} of {self._station} inspected at {others[0]}, expected {time} as "
                f"in {self._line.records}: two stations have this name, or it has new records; rename the folder "
                "of the line"
            )
        if before and all(self._table[key].marked == stored.time for key in before):
            return
        for key in before:
            self._remove(key)
        if mark.truth == "unclear":
            return
        views = connection.execute("SELECT camera, picture FROM views WHERE part = ? ORDER BY rowid", (mark.part,))
        paths = {camera: self._stored(picture) for camera, picture in views.fetchall()}
        for camera, path in paths.items():
            found = self._marked(mark, camera)
            if mark.truth == "defective" and not found:
                self._leave(mark, camera, "no defect is marked in it, though the part is defective")
                continue
            if path is None:
                self._leave(mark, camera, "its picture was not kept")
                continue
            key = f"{prefix}{quote(camera, safe=' ')}"
            content = path.read_bytes()
            sha256 = hashlib.sha256(content).hexdigest()
            if any(row.sha256 == sha256 for row in self._table.values()):
                self._leave(mark, camera, "the same picture is in the data set")
                continue
            by_class = {
                one.class_name: [other for other in found if other.class_name == one.class_name] for one in found
            }
            bare = [name for name, of in by_class.items() if not self._outline(key, path, of, paths, bundle_id)]
            names = "+".join(by_class)
            write_whole(self._out / IMAGES / f"{key}.png", content)  # after its masks: without them it would be good
            self._table[key] = CollectedImage(
                key, self._station, str(mark.part), str(part_id), time, camera, str(verdict), bundle_id, mark.truth,
                names, "+".join(bare), mark.who, stored.time, mark.note, sha256,
            )  # fmt: skip

    def _marked(self, mark: Mark, camera: str) -> list[MarkedDefect]:
        """Defects marked in a view, or in another exposure of its camera."""
        views = next((one.views for one in self._line.camera if camera in one.views), (camera,))
        return [defect for defect in mark.defects if defect.camera in views]

    def _stored(self, picture: str | None) -> Path | None:
        """Path of a view's picture; None if it was not kept."""
        folder = self._line.pictures.folder if self._line.pictures else None
        return inside(folder, picture) if folder is not None and picture else None

    def _outline(
        self, key: str, picture: Path, defects: list[MarkedDefect], paths: Mapping[str, Path | None], bundle_id: str
    ) -> bool:
        """Write the mask of a class's defects; false without one, with a remark if a mark has one.

        paths: pictures of the part's views, by whose masks outlines of the network were confirmed.
        """
        outlined = [defect for defect in defects if defect.polygons or defect.by_network]
        if not outlined:
            return False
        try:
            mask = np.zeros(read_image(picture).shape[:2], np.bool_)
            for defect in outlined:
                mask |= self._mask(defect, mask.shape, paths.get(defect.camera), bundle_id)
        except FrameError as error:
            self._remarks.append(str(error))
            return False
        name = outlined[0].class_name
        if not mask.any():
            self._remarks.append(f"{key}: {name}: without an outline: none is found by the line's bundle")
            return False
        write_whole(self._out / MASKS / name / f"{key}.png", encode_png(mask.astype(np.uint8) * 255))
        return True

    def _mask(
        self, defect: MarkedDefect, shape: tuple[int, ...], confirmed_in: Path | None, bundle_id: str
    ) -> NDArray[np.bool_]:
        """Drawn by a person, or the network's mask of the picture in which it was confirmed; bool [H, W].

        Empty if that picture was not kept, has another size, or was judged by another bundle than the line's.
        """
        if defect.polygons:
            return _drawn(defect, *shape)
        inspector, empty = self._inspector(), np.zeros(shape, np.bool_)
        if confirmed_in is None or inspector.bundle.manifest.id != bundle_id:
            return empty
        mask = inspector.class_mask(read_image(confirmed_in), defect.class_name)
        return mask if mask.shape == shape else empty

    def _remove(self, key: str) -> None:
        row = self._table.pop(key)
        files = [self._out / IMAGES / f"{key}.png"]
        files += [self._out / MASKS / name / f"{key}.png" for name in row.classes.split("+") if name]
        for path in files:
            path.unlink(missing_ok=True)

    def _leave(self, mark: Mark, camera: str, reason: str) -> None:
        self._remarks.append(f"{self._station}: row {mark.part}, {camera}: left out: {reason}")


def _drawn(defect: MarkedDefect, height: int, width: int) -> NDArray[np.bool_]:
    mask = np.zeros((height, width), np.uint8)
    for polygon in defect.polygons:  # one by one: together, where two overlap would be a hole
        cv2.fillPoly(mask, [np.array(polygon, np.int32)], 1)
    return mask.astype(np.bool_)


def _existing(out: Path) -> dict[str, CollectedImage]:
    """The provenance table of an earlier collection; empty for a new folder. Raises MarkError for another folder."""
    path = out / PROVENANCE
    if not path.is_file():
        if out.is_dir() and any(out.iterdir()):
            raise MarkError(f"{out}: found files but no {PROVENANCE}, expected a new folder or a collected data set")
        return {}
    try:
        with path.open(newline="", encoding="utf-8-sig") as file:
            rows = [CollectedImage(**row) for row in csv.DictReader(file)]
    except (TypeError, UnicodeDecodeError, csv.Error):
        raise MarkError(
            f"{path}: found other columns than `edge-inspect collect` writes; name another folder"
        ) from None
    for row in rows:
        if not _is_own(row):
            raise MarkError(
                f"{path}: found the image {row.image!r} with the classes {row.classes!r}, expected names that "
                "`edge-inspect collect` writes; name another folder"
            )
    return {row.image: row for row in rows}


def _is_own(row: CollectedImage) -> bool:
    """Whether the names of a row lead to files of the data set only; a short row of the table has None in it."""
    if not all(isinstance(value, str) for value in asdict(row).values()):
        return False
    named = OWN_IMAGE.fullmatch(row.image) is not None and row.image.isprintable()
    return named and all(name_problem(name) is None for name in row.classes.split("+") if name)


def _labels(rows: Iterable[CollectedImage]) -> Iterator[tuple[str, ...]]:
    for row in rows:
        yield from ((row.image, name) for name in row.not_outlined.split("+") if name)


def _csv(columns: tuple[str, ...], rows: Iterable[tuple[str, ...]]) -> str:
    text = io.StringIO(newline="")
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(columns)
    writer.writerows(rows)
    return text.getvalue()
