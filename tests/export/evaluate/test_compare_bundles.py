"""`edge-export compare` and the acceptance protocol."""

import json
import shutil
from html import unescape

import pytest

from bundle import Threshold, load_bundle
from export.choices import ENGINES
from export.cli import main
from export.errors import ComparisonError
from export.evaluate.compare_bundles import compare_bundles
from export.evaluate.labelled_images import select
from export.evaluate.latency import milliseconds
from tests.export.conftest import write_square
from tests.export.networks import CLASSES, levels_model, spec_of, write_tiny_bundle
from train.evaluate.rates import cluster_interval
from train.report.page import page, table


@pytest.fixture
def deaf(tmp_path):
    """A bundle that finds no Crack, and otherwise is `levels_bundle`."""
    spec = spec_of()
    thresholds = {name: Threshold(score=1.0 if name == "Crack" else 0.5) for name in CLASSES}
    return write_tiny_bundle(tmp_path / "deaf", levels_model(spec), spec, thresholds=thresholds)


def run(*arguments):
    with pytest.raises(SystemExit) as stop:
        main([str(argument) for argument in (*arguments, "--threads", 1)])
    return stop.value.code


def test_changed_verdicts_and_measures_side_by_side(levels_bundle, deaf, squares, tmp_path, capsys):
    out = tmp_path / "comparison.json"
    assert run("compare", levels_bundle, deaf, "--data", squares, "--json", out) == 0
    comparison = json.loads(out.read_text())
    assert [side["metrics"]["escapes"]["count"] for side in comparison["sides"]] == [0, 8]
    assert [change["before"] for change in comparison["changed"]] == [["Crack"]] * 8
    assert [change["after"] for change in comparison["changed"]] == [[]] * 8
    assert all(comparison["images"][change["image"]].endswith(".jpg") for change in comparison["changed"])
    assert all(side["cost"]["milliseconds"] > 0 for side in comparison["sides"])
    printed = capsys.readouterr().out
    assert "changed verdicts: 8" in printed
    assert "8 of 40" in printed


@pytest.mark.parametrize(
    "command",
    [
        ("evaluate", "BUNDLE", "--data", "DATA", "--json", "OUT"),
        ("compare", "BUNDLE", "BUNDLE", "--data", "DATA"),
        ("thresholds", "BUNDLE", "--data", "DATA", "--out", "OUT", "--max-escapes", 0.5, "--part", "all"),
        ("calibrate", "BUNDLE", "--images", "DATA", "--out", "OUT", "--resize"),
    ],
    ids=lambda command: command[0],
)
def test_the_engine_is_named(command, levels_bundle, squares, tmp_path):
    words = {"BUNDLE": levels_bundle, "DATA": squares, "OUT": tmp_path / "out"}
    code = run(*(words.get(word, word) for word in command), "--engine", "abacus")
    assert f"found 'abacus', expected one of {', '.join(map(repr, ENGINES))}" in code


def test_bundles_of_other_classes_are_not_compared(levels_bundle, squares, tmp_path):
    spec, names = spec_of(), ("dent", "scratch")
    other = write_tiny_bundle(tmp_path / "other", levels_model(spec, names), spec, classes=names)
    first = load_bundle(levels_bundle)
    with pytest.raises(ComparisonError, match="found classes dent, scratch, expected those of"):
        compare_bundles((first, load_bundle(other)), select(first, squares), threads=1)


def test_engines_are_timed_in_turns():
    now, calls = iter(range(0, 10_000, 1)), []

    def engine(name, ticks):
        def infer(frame):
            calls.append(name)
            for _ in range(ticks):
                next(now)

        return infer

    times = milliseconds([engine("a", 2), engine("b", 5)], [None, None], rounds=3, clock=lambda: next(now))
    assert times == [3000.0, 6000.0]
    assert calls == ["a", "b"] * 4  # the first round warms up


def test_a_protocol_has_counts_intervals_bundle_and_date(levels_bundle, squares, tmp_path):
    write_square(squares, 60000, labelled="Crack", drawn=None)
    out = tmp_path / "protocol.html"
    assert run("evaluate", levels_bundle, "--data", squares, "--json", tmp_path / "f.json", "--protocol", out) == 0
    text = unescape(out.read_text())
    assert load_bundle(levels_bundle).id in text
    assert "<td>escapes: defective parts passed in every picture</td><td>1</td><td>41</td><td>2.44 %</td>" in text
    assert "defective pictures passed" not in text  # one picture of each part
    assert "0.06 % to 12.86 %" in text  # Clopper and Pearson, 1 of 41: beta quantiles by scipy
    assert "<td>0.00 % to 20.59 %</td>" in text  # 0 of 16: 1 - 0.025 ** (1 / 16)
    assert text.count("name, date, signature") == 2
    assert "UTC" in text or "+00:00" in text


def test_a_protocol_counts_parts_by_their_worst_view(levels_bundle, squares, tmp_path):
    """A second view of a new tile shows the Crack that the first one hides."""
    write_square(squares, 60000, labelled="Crack", drawn=None)
    write_square(squares, 60010, labelled="Crack", drawn="Crack")
    out = tmp_path / "protocol.html"
    assert run("evaluate", levels_bundle, "--data", squares, "--json", tmp_path / "f.json", "--protocol", out) == 0
    text = unescape(out.read_text())
    assert "<td>parts</td><td>57: 41 defective, 16 good</td>" in text
    assert "<td>pictures</td><td>58: 42 defective, 16 good</td>" in text
    assert "<td>escapes: defective parts passed in every picture</td><td>0</td><td>41</td>" in text
    drawn = cluster_interval([1] + [0] * 40, [2] + [1] * 40)
    interval = f"{100 * drawn[0]:.2f} % to {100 * drawn[1]:.2f} %"
    assert f"<td>escapes: defective pictures passed</td><td>1</td><td>42</td><td>2.38 %</td><td>{interval}</td>" in text


def test_a_protocol_without_defects_has_dashes(levels_bundle, squares, tmp_path):
    for folder in squares.glob("MT_[!F]*"):
        shutil.rmtree(folder)
    shutil.rmtree(squares / "MT_Fray")
    out = tmp_path / "protocol.html"
    assert run("evaluate", levels_bundle, "--data", squares, "--json", tmp_path / "f.json", "--protocol", out) == 0
    row = "<td>escapes: defective parts passed in every picture</td><td>-</td><td>0</td><td>-</td><td>-</td>"
    assert row in unescape(out.read_text())


def test_pages_escape_what_they_show():
    assert "<script>" not in page("<script>", [table(["<script>"], [["<script>", 0.5, None]])])
