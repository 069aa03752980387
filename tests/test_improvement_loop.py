"""From a wrong verdict at the line to a better network at the line, and back: every step by its command.

A network that knows one kind of defect runs a line on which another kind occurs. The parts are small drawn tiles, so
that both trainings take seconds.
"""

import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import cv2
import numpy as np
import pytest

from bundle import Verdict, load_bundle
from edge.cli import main as edge_inspect
from edge.config.line import load_line
from edge.records.database import reading
from edge.review.marks import Mark, MarkedDefect, add_mark
from edge.station import open_station
from export.cli import main as edge_export
from firmware_bridge.simulator.plc import PlcSimulator
from tests.train.cli.test_improve_command import RECIPE, draw
from tests.train.conftest import tile
from train.cli.main import main as train

KINDS = ["Free"] * 24 + ["Blowhole"] * 8 + ["Uneven"] * 16
"""On the line. The first network has never seen an Uneven."""
PATIENCE_S = 120.0


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


def run_line(path: Path) -> dict[str, tuple[int, Verdict]]:
    """Inspect every picture of the line once; its row and verdict by the picture's name."""
    settings = load_line(path)
    with PlcSimulator(len(KINDS), max_open=2, deadline_s=PATIENCE_S) as plc:
        line = settings.model_copy(update={"plc": plc.address})
        with open_station(line) as runtime:
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
    (tmp_path / "recipe.toml").write_text(RECIPE)
    old = draw(tmp_path / "old", ["Blowhole"] * 12 + ["Free"] * 24, seed=1)
    call(train, "--data", old, "--recipe", tmp_path / "recipe.toml", "--out", tmp_path / "run", "--threads", 1)
    call(edge_export, "bundle", tmp_path / "run/best.pt", "--out", tmp_path / "first")
    call(edge_export, "sign", tmp_path / "first", "--new-keys", tmp_path, "--key", tmp_path / "release.key")
    pictures, outlines = on_the_line(tmp_path / "parts")
    line = tmp_path / "line3.toml"
    line.write_text(
        'bundle = "releases/current"\nplc = "serial:///replaced"\ndeadline_ms = 60000\ngrab_timeout_ms = 30000\n'
        f'[release]\nkeys = ["release.pub"]\n[pictures]\none_in_good = 1\n[[camera]]\naddress = "file://{pictures}"\n'
    )

    call(edge_inspect, "release", tmp_path / "first", line, "--who", "Ada")
    before = run_line(line)
    assert passed(before, "Uneven") >= 12, "the first network must not know the second kind"
    assert passed(before, "Blowhole") == 0

    records = load_line(line).records
    for name, (row, verdict) in before.items():
        kind = KINDS[int(name[:3]) - 1]
        if kind == "Uneven" and verdict is Verdict.OK:
            defect = MarkedDefect("camera", kind, (tuple(outlines[name]),))
            add_mark(records, Mark(row, "defective", "Ada", (defect,), "missed"))
        elif kind == "Free":
            add_mark(records, Mark(row, "good", "Ada"))
    call(edge_inspect, "collect", line, "--out", tmp_path / "collected")
    call(
        train, "improve", tmp_path / "run/best.pt", "--data", old, "--data", tmp_path / "collected", "--out",
        tmp_path / "next", "--epochs", 30, "--set", "optimiser.learning_rate=5e-3", "--threads", 1,
    )  # fmt: skip
    call(edge_export, "bundle", tmp_path / "next/best.pt", "--out", tmp_path / "second")
    call(edge_export, "sign", tmp_path / "second", "--key", tmp_path / "release.key")
    call(edge_inspect, "release", tmp_path / "second", line, "--who", "Ada", "--note", "missed Uneven")

    after = run_line(line)
    assert passed(after, "Uneven") <= 1
    assert passed(after, "Blowhole") == 0
    assert passed(after, "Free") >= passed(before, "Free")

    call(edge_inspect, "rollback", line, "--who", "Bert")
    assert load_bundle(load_line(line).bundle).id == load_bundle(tmp_path / "first").id
    again = run_line(line)
    assert {name: verdict for name, (_, verdict) in again.items()} == {
        name: verdict for name, (_, verdict) in before.items()
    }
    with reading(records) as connection:
        marks = connection.execute("SELECT count(*) FROM marks").fetchone()[0]
    assert marks == passed(before, "Uneven") + KINDS.count("Free")
