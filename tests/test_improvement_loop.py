"""From a wrong verdict at the line to a better network at the line, and back: every step by its command or request.

A network that knows one kind of defect runs a line on which another kind occurs. A scripted inspector marks the misses
through the page. The parts are small drawn tiles, so that both trainings take seconds. `make demo-loop` runs this file
and prints the steps with their times.
"""

import json
import sqlite3
import time
from collections.abc import Callable
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest

from bundle import Verdict, load_bundle
from edge.cli import main as edge_inspect
from edge.config.line import load_line
from edge.page.page_model import PageModel
from edge.page.state import StationInfo
from edge.records.database import reading
from edge.reports.trial import DROPPED, NEW_REJECTS, trial_counts
from edge.station import REAL, Equipment, open_station
from edge.trial.candidate import CandidateProcess
from export.cli import main as edge_export
from firmware_bridge.simulator.plc import PlcSimulator
from tests.edge.running_line import ask
from tests.train.cli.test_improve_command import RECIPE, draw
from tests.train.conftest import tile
from train.cli.main import main as train

KINDS = ["Free"] * 24 + ["Blowhole"] * 8 + ["Uneven"] * 16
"""On the line. The first network has never seen an Uneven."""
PATIENCE_S = 120.0
MISSES = 12
"""Fewest parts with a missed defect for the inspector to mark."""
TOKEN = "inspectors-own"


def call(command: Callable[[list[str]], object], *arguments: object) -> None:
    """Run a command in this process; fail unless its exit status is 0."""
    with pytest.raises(SystemExit) as ended:
        command([str(argument) for argument in arguments])
    assert not ended.value.code, f"{arguments}: {ended.value.code}"


def on_the_line(folder: Path) -> tuple[Path, dict[str, list[tuple[int, int]]]]:
    """Pictures of the line's parts, and the outline of each defect by its picture."""
    generator, outlines = np.random.default_rng(7), {}
    folder.mkdir()
    for number, kind in enumerate(KINDS, start=1):
        image, mask = tile(generator, kind)
        cv2.imwrite(str(folder / f"{number:03d}.png"), image)
        if kind != "Free":
            x, y, width, height = cv2.boundingRect(mask)
            corners = ((x, y), (x + width - 1, y), (x + width - 1, y + height - 1), (x, y + height - 1))
            outlines[f"{number:03d}.png"] = [(int(column), int(row)) for column, row in corners]
    return folder, outlines


def say(step: str, began: float) -> None:
    """Print a step with the time since the beginning."""
    print(f"{time.monotonic() - began:6.1f} s  {step}", flush=True)


def mark(path: Path, marks: list[dict[str, object]]) -> None:
    """Send marks to the page of a line as its review does."""
    from edge.page.app import make_app  # needs FastAPI

    line = load_line(path)
    assert line.page is not None
    app = make_app(PageModel(StationInfo(settings=line.page, records=str(line.records), next_number=1), time.monotonic))
    headers = {"authorization": f"Bearer {TOKEN}", "content-type": "application/json"}
    status, answer = ask(app, "/api/marks", headers, json.dumps({"who": "Ada", "marks": marks}).encode())
    assert (status, len(json.loads(answer).get("numbers", ()))) == (200, len(marks)), answer


def mark_of(row: int, kind: str, outline: list[tuple[int, int]]) -> dict[str, object]:
    """The mark of a part of this kind, with the outline of its defect."""
    if kind == "Free":
        return {"part": row, "truth": "good"}
    defect = {"camera": "camera", "class_name": kind, "polygons": [outline]}
    return {"part": row, "truth": "defective", "note": "missed", "defects": [defect]}


def trial(path: Path, bundle: Path) -> None:
    """Run the line with a candidate on trial, which is open before the first part."""
    text = path.read_text()
    path.write_text(f'{text}[trial]\nbundle = "{bundle}"\n')
    alone = load_line(path).of_candidate
    assert alone is not None
    candidate = CandidateProcess(alone, lambda: False)
    run_line(path, replace(REAL, open_candidate=lambda *_: candidate))
    path.write_text(text)


def run_line(path: Path, equipment: Equipment = REAL) -> dict[str, tuple[int, Verdict]]:
    """Inspect every picture of the line once; its row and verdict by the picture's name."""
    settings = load_line(path)
    with PlcSimulator(len(KINDS), max_open=2, deadline_s=PATIENCE_S) as plc:
        line = settings.model_copy(update={"plc": plc.address, "page": None})
        with open_station(line, equipment=equipment) as runtime:
            assert plc.wait(PATIENCE_S)
            first = runtime.records.last_number - len(KINDS) + 1
    with closing(sqlite3.connect(settings.records)) as connection:
        rows = connection.execute(
            "SELECT number, verdict, source FROM parts JOIN views ON part = number WHERE number >= ?", (first,)
        ).fetchall()
    return {Path(source).name: (number, Verdict(verdict)) for number, verdict, source in rows}


def passed(verdicts: dict[str, tuple[int, Verdict]], kind: str) -> int:
    """Number of parts of a kind that were passed."""
    return sum(verdict is Verdict.OK for name, (_, verdict) in verdicts.items() if KINDS[int(name[:3]) - 1] == kind)


def test_missed_defects_are_marked_learned_released_and_rolled_back(tmp_path: Path) -> None:
    pytest.importorskip("cryptography", reason="cryptography is not installed: pip install 'edge-inspect[release]'")
    pytest.importorskip("fastapi", reason="FastAPI is not installed: pip install 'edge-inspect[page]'")
    began = time.monotonic()
    (tmp_path / "recipe.toml").write_text(RECIPE)
    old = draw(tmp_path / "old", ["Blowhole"] * 12 + ["Free"] * 24, seed=1)
    call(train, "--data", old, "--recipe", tmp_path / "recipe.toml", "--out", tmp_path / "run", "--threads", 1)
    call(edge_export, "bundle", tmp_path / "run/best.pt", "--out", tmp_path / "first")
    call(edge_export, "sign", tmp_path / "first", "--new-keys", tmp_path, "--key", tmp_path / "release.key")
    pictures, outlines = on_the_line(tmp_path / "parts")
    line = tmp_path / "line3.toml"
    line.write_text(
        'bundle = "releases/current"\nplc = "serial:///replaced"\ndeadline_ms = 60000\ngrab_timeout_ms = 30000\n'
        f'[release]\nkeys = ["release.pub"]\n[pictures]\none_in_good = 1\n[page]\ninspector_token = "{TOKEN}"\n'
        f'[[camera]]\naddress = "file://{pictures}"\n'
    )

    call(edge_inspect, "release", tmp_path / "first", line, "--who", "Ada")
    before = run_line(line)
    assert passed(before, "Uneven") >= MISSES, "the first network must not know the second kind"
    assert passed(before, "Blowhole") == 0
    say(f"{passed(before, 'Uneven')} of {KINDS.count('Uneven')} defects of the unknown kind pass", began)

    records = load_line(line).records
    kinds = {name: KINDS[int(name[:3]) - 1] for name in before}
    missed = [name for name, (_, verdict) in before.items() if kinds[name] == "Uneven" and verdict is Verdict.OK]
    marked = missed + [name for name, kind in kinds.items() if kind == "Free"]
    mark(line, [mark_of(before[name][0], kinds[name], outlines.get(name, [])) for name in marked])
    say(f"{len(marked)} parts marked through the page, {len(missed)} of them misses", began)
    call(edge_inspect, "collect", line, "--out", tmp_path / "collected")
    call(
        train, "improve", tmp_path / "run/best.pt", "--data", old, "--data", tmp_path / "collected", "--out",
        tmp_path / "next", "--epochs", 30, "--set", "optimiser.learning_rate=5e-3", "--threads", 1,
    )  # fmt: skip
    call(edge_export, "bundle", tmp_path / "next/best.pt", "--out", tmp_path / "second")
    call(edge_export, "sign", tmp_path / "second", "--key", tmp_path / "release.key")
    say("collected, trained further, exported", began)
    trial(line, tmp_path / "second")
    with reading(records) as connection:
        counts = trial_counts(connection)
    compared = [one for one in counts if one.outcome != DROPPED]
    assert compared
    assert sum(one.parts for one in counts) >= len(KINDS) - 2  # the last ones may meet the end of the station
    assert {one.class_name for one in compared if one.outcome == NEW_REJECTS} <= {"Uneven"}
    say(f"trial: {sum(one.parts for one in compared)} of {len(KINDS)} parts judged by the candidate too", began)
    call(edge_inspect, "release", tmp_path / "second", line, "--who", "Ada", "--note", "missed Uneven")

    after = run_line(line)
    assert passed(after, "Uneven") <= 1
    assert passed(after, "Blowhole") == 0
    assert passed(after, "Free") >= passed(before, "Free")

    say(f"released: {passed(after, 'Uneven')} of {KINDS.count('Uneven')} pass", began)

    call(edge_inspect, "rollback", line, "--who", "Bert")
    assert load_bundle(load_line(line).bundle).id == load_bundle(tmp_path / "first").id
    again = run_line(line)
    assert {name: verdict for name, (_, verdict) in again.items()} == {
        name: verdict for name, (_, verdict) in before.items()
    }
    with reading(records) as connection:
        marks = connection.execute("SELECT count(*) FROM marks").fetchone()[0]
    assert marks == len(missed) + KINDS.count("Free")
    say("rolled back: the verdicts are those of the first network", began)
