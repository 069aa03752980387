"""The table [central] of line.toml: the password is in a file, and other computers are reached with encryption."""

from pathlib import Path

import pytest

from edge.config.central import CentralSettings
from edge.config.line import parse_line
from edge.errors import LineConfigError


def table(keys: dict[str, object]) -> CentralSettings | None:
    content = {"bundle": "b", "plc": "serial:///dev/x", "camera": [{"address": "synthetic://"}], "central": keys}
    return parse_line(content, Path("/lines/line.toml")).central


@pytest.mark.parametrize(
    ("database", "problem"),
    [
        ("mysql://db/quality", "'mysql://db/quality' is not the address of a database"),
        ("postgresql://db", "is not the address of a database"),
        ("postgresql://[::1/quality", "is not the address of a database"),
        ("postgresql://me:sesame@localhost/quality", "expected it in password_file"),
        ("postgresql://localhost/quality?password=sesame", "expected it in password_file"),
        ("postgresql://me:sesame@db.plant.example", "is not the address of a database"),
        ("postgresql://me@db.plant.example/quality", "on another computer without encryption"),
        ("postgresql://me@db.plant.example/quality?sslmode=prefer", "on another computer without encryption"),
    ],
)
def test_a_wrong_database_is_one_clear_line_without_its_password(database: str, problem: str) -> None:
    with pytest.raises(LineConfigError) as refused:
        table({"database": database, "station": "line3"})
    assert problem in str(refused.value)
    assert "sesame" not in str(refused.value)


@pytest.mark.parametrize(
    "database",
    [
        "postgresql://me@db.plant.example/quality?sslmode=verify-full",
        "postgresql://localhost/quality",
        "postgresql:///quality?host=/run/postgresql",
    ],
)
def test_these_databases_are_taken(database: str) -> None:
    found = table({"database": database, "station": "line3", "password_file": "secret"})

    assert found is not None
    assert (found.database, found.password_file) == (database, Path("/lines/secret"))
