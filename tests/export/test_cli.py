"""The command line of export."""

import pytest
from rich.table import Table

from export.cli import console


@pytest.mark.parametrize("name", ["[/red]", "[bold]crack", ":warning:", "=1+1"])
def test_a_class_name_is_printed_as_it_is(name: str) -> None:
    table = Table("class")
    table.add_row(name)

    with console.capture() as printed:
        console.print(table, f"bundle {name}")

    assert printed.get().count(name) == 2
