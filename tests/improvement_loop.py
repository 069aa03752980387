"""Steps from a wrong verdict at the line to a better network at the line, and back, each by its command or request.

The first network knows one kind of defect. It passes another kind, and rejects a harmless tool mark. A scripted
inspector marks these parts on the page. The parts are small drawn tiles, so that both trainings take seconds.
"""

import sqlite3
import time
from collections.abc import Callable, Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from pathlib import Path

import cv2
import numpy as np
import pytest

from bundle import Verdict, load_bundle
from edge.cli import main as edge_inspect
from edge.config.line import Line, load_line
from edge.config.page import PageSettings
from edge.records.database import reading
from edge.reports.trial import DROPPED, NEW_PASSES, NEW_REJECTS, trial_counts
from edge.station import REAL, Equipment, open_station
from edge.trial.candidate import CandidateProcess
from export.cli import main as edge_export
from firmware_bridge.simulator.plc import PlcSimulator
from tests.train.cli.test_improve_command import RECIPE, draw
from tests.train.conftest import tile
from train.cli.main import main as train

UNKNOWN, HARMLESS, KNOWN, GOOD = "Uneven", "tool mark", "Blowhole", "Free"
KINDS = [GOOD] * 12 + [HARMLESS] * 12 + [KNOWN] * 8 + [UNKNOWN] * 12
"""Of the parts on the line, in order."""
MARKED = 12
"""Misses that the inspector marks, and false rejects."""
PATIENCE_S = 120.0
TOKEN = "inspectors-own"


@dataclass(frozen=True)
class Opinion:
    """Part that the inspector marks."""

    row: int
    part_id: int
    class_name: str
    """Of its defect; empty for a good part."""
    outline: tuple[tuple[int, int], ...] = ()
    """Corners of the defect."""


Marking = Callable[[Line, Sequence[Opinion]], None]
"""Marks parts on the page of a line; the page is up if its settings have an address to listen on."""
Judged = dict[str, tuple[int, int, Verdict]]
"""Row, part id and verdict by the picture's name."""


def request_of(opinions: Sequence[Opinion]) -> dict[str, object]:
    """Content of the request that marks these parts."""
    marks: list[dict[str, object]] = []
    for one in opinions:
        defect = {"camera": "camera", "class_name": one.class_name, "polygons": [one.outline]}
        truth = {"truth": "defective", "defects": [defect]} if one.class_name else {"truth": "good"}
        marks.append({"part": one.row, **truth})
    return {"who": "Ada", "marks": marks}


def run_the_loop(folder: Path, mark: Marking, page: PageSettings | None = None) -> None:
    """Run every step in an empty folder, print it with its time, and check its outcome.

    page: of the station during the marking; None for a station without one.
    """
    say = _clock()
    (folder / "recipe.toml").write_text(RECIPE)
    old = draw(folder / "old", [KNOWN] * 12 + [GOOD] * 24, seed=1)
    _call(train, "--data", old, "--recipe", folder / "recipe.toml", "--out", folder / "run", "--threads", 1)
    _call(edge_export, "bundle", folder / "run/best.pt", "--out", folder / "first")
    _call(edge_export, "sign", folder / "first", "--new-keys", folder, "--key", folder / "release.key")
    line, outlines = _line(folder)
    _call(edge_inspect, "release", folder / "first", line, "--who", "Ada")
    say("the first network is trained and released")

    marked: list[Opinion] = []

    def mark_wrong_ones(settings: Line, judged: Judged) -> None:
        say(f"{len(judged)} parts inspected: {_words(judged)}")
        marked.extend(_wrong(judged, outlines))
        mark(settings, marked)

    before = _run(line, page=page, then=mark_wrong_ones)
    assert (_passed(before, KNOWN), _passed(before, GOOD)) == (0, KINDS.count(GOOD))
    assert [bool(one.class_name) for one in marked].count(True) == MARKED
    assert [bool(one.class_name) for one in marked].count(False) == MARKED
    say(f"{MARKED} misses and {MARKED} false rejects marked")

    _call(edge_inspect, "collect", line, "--out", folder / "collected")
    _call(
        train, "improve", folder / "run/best.pt", "--data", old, "--data", folder / "collected", "--out",
        folder / "next", "--epochs", 30, "--set", "optimiser.learning_rate=5e-3", "--threads", 1,
    )  # fmt: skip
    _call(edge_export, "bundle", folder / "next/best.pt", "--out", folder / "second")
    _call(edge_export, "sign", folder / "second", "--key", folder / "release.key")
    say("collected, trained further, exported")

    say(_trial(line, folder / "second"))

    _call(edge_inspect, "release", folder / "second", line, "--who", "Ada", "--note", "missed Uneven")
    after = _run(line)
    say(f"released; the same parts again: {_words(after)}")
    assert {kind: _passed(after, kind) for kind in (GOOD, KNOWN)} == {GOOD: KINDS.count(GOOD), KNOWN: 0}
    assert _passed(after, UNKNOWN) <= 1
    assert _passed(after, HARMLESS) >= KINDS.count(HARMLESS) - 1

    _call(edge_inspect, "rollback", line, "--who", "Bert")
    assert load_bundle(load_line(line).bundle).id == load_bundle(folder / "first").id
    again = _run(line)
    assert [verdict for *_, verdict in again.values()] == [verdict for *_, verdict in before.values()]
    with reading(load_line(line).records) as connection:
        assert connection.execute("SELECT count(*) FROM marks").fetchone() == (2 * MARKED,)
    say("rolled back: the verdicts are those of the first network")


def _clock() -> Callable[[str], None]:
    began = time.monotonic()

    def say(step: str) -> None:
        minutes, seconds = divmod(time.monotonic() - began, 60)
        print(f"{minutes:.0f} min {seconds:04.1f} s  {step}", flush=True)

    return say


def _call(command: Callable[[list[str]], object], *arguments: object) -> None:
    """Run a command in this process; fail unless its exit status is 0."""
    with pytest.raises(SystemExit) as ended:
        command([str(argument) for argument in arguments])
    assert not ended.value.code, f"{arguments}: {ended.value.code}"


def _line(folder: Path) -> tuple[Path, dict[str, tuple[tuple[int, int], ...]]]:
    """Write the line with the pictures of its parts; returns the outline of each defect by its picture too."""
    generator, outlines = np.random.default_rng(7), {}
    (folder / "parts").mkdir()
    for number, kind in enumerate(KINDS, start=1):
        image, mask = tile(generator, GOOD if kind == HARMLESS else kind)
        if kind == HARMLESS:
            left = int(generator.integers(4, 16))
            image[20:46, left : left + 3] = image[20:46, left : left + 3] - 80
        cv2.imwrite(str(folder / f"parts/{number:03d}.png"), image)
        if mask.any():
            x, y, width, height = cv2.boundingRect(mask)
            right, bottom = x + width - 1, y + height - 1
            outlines[f"{number:03d}.png"] = ((x, y), (right, y), (right, bottom), (x, bottom))
    path = folder / "line3.toml"
    path.write_text(
        'bundle = "releases/current"\nplc = "serial:///replaced"\ndeadline_ms = 60000\ngrab_timeout_ms = 30000\n'
        f'[release]\nkeys = ["release.pub"]\n[pictures]\none_in_good = 1\n[page]\ninspector_token = "{TOKEN}"\n'
        f'[[camera]]\naddress = "file://{folder / "parts"}"\n'
    )
    return path, outlines


def _run(
    path: Path,
    equipment: Equipment = REAL,
    page: PageSettings | None = None,
    then: Callable[[Line, Judged], None] = lambda *_: None,
) -> Judged:
    """Inspect every picture of the line once, then call `then` while the station still runs."""
    settings = load_line(path)
    with PlcSimulator(len(KINDS), max_open=2, deadline_s=PATIENCE_S) as plc:
        line = settings.model_copy(update={"plc": plc.address, "page": page})
        with open_station(line, equipment=equipment) as runtime:
            assert plc.wait(PATIENCE_S)
            first = runtime.records.last_number - len(KINDS) + 1
            with closing(sqlite3.connect(settings.records)) as connection:
                query = "SELECT number, part_id, verdict, source FROM parts JOIN views ON part = number"
                rows = connection.execute(f"{query} WHERE number >= ?", (first,)).fetchall()
            judged = {Path(source).name: (row, part_id, Verdict(verdict)) for row, part_id, verdict, source in rows}
            then(settings if page is None else line, judged)
    return judged


def _kind(name: str) -> str:
    return KINDS[int(name[:3]) - 1]


def _passed(judged: Judged, kind: str) -> int:
    return sum(verdict is Verdict.OK for name, (*_, verdict) in judged.items() if _kind(name) == kind)


def _words(judged: Judged) -> str:
    rejected = {kind: KINDS.count(kind) - _passed(judged, kind) for kind in dict.fromkeys(KINDS)}
    return ", ".join(f"{kind}: {count} of {KINDS.count(kind)} rejected" for kind, count in rejected.items())


def _wrong(judged: Judged, outlines: dict[str, tuple[tuple[int, int], ...]]) -> list[Opinion]:
    """Opinions about the misses, then about the false rejects."""
    misses, rejects = [], []
    for name, (row, part_id, verdict) in judged.items():
        if _kind(name) == UNKNOWN and verdict is Verdict.OK:
            misses.append(Opinion(row, part_id, UNKNOWN, outlines[name]))
        elif _kind(name) in (GOOD, HARMLESS) and verdict is not Verdict.OK:
            rejects.append(Opinion(row, part_id, ""))
    return misses + rejects


def _trial(path: Path, bundle: Path) -> str:
    """Run the line with a candidate on trial, which is open before the first part; returns the outcome in words."""
    text = path.read_text()
    path.write_text(f'{text}[trial]\nbundle = "{bundle}"\n')
    alone = load_line(path).of_candidate
    assert alone is not None
    candidate = CandidateProcess(alone, lambda: False)
    _run(path, replace(REAL, open_candidate=lambda *_: candidate))
    path.write_text(text)
    with reading(load_line(path).records) as connection:
        counts = trial_counts(connection)
    compared = [one for one in counts if one.outcome != DROPPED]
    assert compared
    assert sum(one.parts for one in counts) >= len(KINDS) - 2  # the last ones may meet the end of the station
    assert {one.class_name for one in compared if one.outcome == NEW_REJECTS} <= {UNKNOWN}
    assert {one.class_name for one in compared if one.outcome == NEW_PASSES} <= {KNOWN}  # the tool marks' wrong class
    return f"trial: {sum(one.parts for one in compared)} of {len(KINDS)} parts judged by the candidate too"
