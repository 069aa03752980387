"""A station's records and pictures: a good part, an escape, a false reject, a reject, an unsure part."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timezone
from pathlib import Path

import numpy as np
import pytest

from bundle import Verdict, encode_png
from edge.bundle_inspector import BundleInspector
from edge.config.line import Line, load_line
from edge.records.writer import Records
from tests.conftest import grey_frame
from tests.edge.part_doubles import DARK, judged

NOON = datetime(2026, 5, 4, 12, tzinfo=timezone.utc)
GOOD, ESCAPE, FALSE_REJECT, REJECT, UNSURE = range(1, 6)
"""Rows of the parts."""


@dataclass(frozen=True)
class ReviewedStation:
    """The line file with its settings."""

    path: Path
    line: Line

    @property
    def records(self) -> Path:
        return self.line.records


@pytest.fixture
def station(tmp_path: Path, make_bundle: Callable[..., Path]) -> ReviewedStation:
    tiny_bundle, folder = make_bundle(), tmp_path / "line3"
    folder.mkdir()
    path = folder / "line.toml"
    path.write_text(
        f'bundle = "{tiny_bundle}"\nplc = "serial:///dev/null"\n[pictures]\n[[camera]]\naddress = "synthetic://"\n'
        'name = "camera0"\n'
    )
    line = load_line(path)
    with BundleInspector.open(tiny_bundle) as inspector:
        manifest = inspector.bundle.manifest
    records = Records(line.records, lambda: NOON)
    for number, verdict, spot in (
        (GOOD, Verdict.OK, None), (ESCAPE, Verdict.OK, 100), (FALSE_REJECT, Verdict.NG, 60), (REJECT, Verdict.NG, 0),
        (UNSURE, Verdict.UNSURE, 20),
    ):  # fmt: skip
        frame = grey_frame(spot)
        frame[0, :6] = np.arange(number, number + 6)  # each picture differs
        records.keep(judged(number, verdict, [frame], manifest, (DARK,) if verdict is Verdict.NG else ()), 10.0)
        name = f"2026-05-04/all/120000-{number}-camera0.png"
        (line.pictures.folder / name).parent.mkdir(parents=True, exist_ok=True)
        (line.pictures.folder / name).write_bytes(encode_png(frame))
        records.note_picture(number, "camera0", name)
    records.close()
    return ReviewedStation(path, line)
