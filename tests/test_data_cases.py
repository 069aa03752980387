"""The table of cases in docs/data.md names tests that exist."""

import ast
import re
from pathlib import Path

import pytest

TESTS = Path(__file__).resolve().parent
ROWS = re.findall(
    r"^\| (.+) \| (.*) \| (.+) \| `(.+)::(.+)` \|$", (TESTS.parent / "docs" / "data.md").read_text(), re.M
)


def test_the_table_is_read() -> None:
    lines = (TESTS.parent / "docs" / "data.md").read_text().splitlines()
    assert len(ROWS) == sum(line.startswith("| ") and not line.startswith("| case") for line in lines) > 60


@pytest.mark.parametrize("file", sorted({row[3] for row in ROWS}))
def test_the_tests_of_the_cases_exist(file: str) -> None:
    body = ast.parse((TESTS.parent / file).read_text()).body
    there = {node.name for node in body if isinstance(node, ast.FunctionDef)}
    assert {row[4] for row in ROWS if row[3] == file} <= there
