import io

from rich.console import Console

from tests.train.evaluate.test_metrics import CLASSES, ROWS
from train.evaluate.metrics import measure
from train.evaluate.rates import rate
from train.evaluate.tables import COLUMNS, metrics_table, untrained


def test_80_columns_show_every_column_whole() -> None:
    told = io.StringIO()
    Console(file=told, width=80).print(metrics_table(measure(ROWS, CLASSES), "test part"))
    lines = told.getvalue()
    assert all(word in lines for column in COLUMNS for word in column.split())
    assert "…" not in lines
    (scratch,) = (line for line in lines.splitlines() if line.startswith("Scratch"))
    assert scratch.split() == ["Scratch", "1", "1", "1", "100.0", "50.0", "66.7", "100.0", "57.1", "100.0"]


def test_a_result_that_looks_untrained_says_so() -> None:
    found = measure(ROWS, CLASSES)
    assert untrained(found) is None
    missed = rate(found.escapes.total, found.escapes.total)
    assert untrained(found.model_copy(update={"escapes": missed})) == (
        f"no defect of these {missed.total} pictures is found: train longer (--epochs), with a larger input, or with "
        "more parts"
    )
    by_chance = found.union.model_copy(update={"area_under_roc": 0.52})
    assert "hardly tell defects from good parts (AUROC 52.0 %" in str(
        untrained(found.model_copy(update={"union": by_chance}))
    )
    rejected = rate(found.false_rejects.total, found.false_rejects.total)
    assert untrained(found.model_copy(update={"false_rejects": rejected})) == (
        f"all {rejected.total} good pictures are rejected: choose other thresholds "
        "(--set thresholds.choose, .shared, .limit)"
    )
