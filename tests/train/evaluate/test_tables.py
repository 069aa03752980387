import io

from rich.console import Console

from tests.train.evaluate.test_metrics import CLASSES, ROWS
from train.evaluate.metrics import measure
from train.evaluate.tables import COLUMNS, metrics_table


def test_80_columns_show_every_column_whole() -> None:
    told = io.StringIO()
    Console(file=told, width=80).print(metrics_table(measure(ROWS, CLASSES), "test part"))
    lines = told.getvalue()
    assert all(word in lines for column in COLUMNS for word in column.split())
    assert "…" not in lines
    (scratch,) = (line for line in lines.splitlines() if line.startswith("Scratch"))
    assert scratch.split() == ["Scratch", "1", "1", "1", "100.0", "50.0", "66.7", "100.0", "57.1", "100.0"]
