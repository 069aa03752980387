"""Every key of line.toml takes effect in a running station: each case changes one key and observes what it does.

A key without a case fails by its name; the cases are in `line_keys/`, a file for some tables each. The base of all
cases waits long for everything, and has no optional table.
"""

from collections.abc import Iterator

import pytest

from edge.config.line import Line
from edge.config.schema import LineTable, table_in
from tests.edge.line_keys import challenge_and_release, ejector, forwarding, line, pictures_and_monitoring, servers
from tests.edge.line_keys.registry import BRIGHT, CASES, EJECTOR, GOOD
from tests.edge.running_line import Run

WITH_CASES = (challenge_and_release, ejector, forwarding, line, pictures_and_monitoring, servers)
"""Modules that enter their cases when they are imported."""


def keys_of(table: type[LineTable], prefix: str = "") -> Iterator[str]:
    """Every key that holds a value, in this table and in those within it."""
    for name, field in table.model_fields.items():
        inner = table_in(field.annotation)
        if inner is None:
            yield prefix + name
        else:
            yield from keys_of(inner, f"{prefix}{name}.")


@pytest.mark.parametrize("key", [*keys_of(Line)])
def test_a_key_of_line_toml_takes_effect(key: str, run: Run) -> None:
    assert key in CASES, f"line.toml: {key} has no case in line_keys/; add one that changes it and observes its effect"
    CASES[key](run)


def test_there_is_no_case_of_a_key_that_is_gone() -> None:
    assert set(CASES) <= set(keys_of(Line))


@pytest.mark.parametrize("table", ["central", "ejector", "mqtt", "opcua", "page", "pictures", "s3"])
def test_without_an_optional_table_there_is_nothing_of_it(table: str, run: Run) -> None:
    with run([BRIGHT]) as line:
        line.verdicts(1)

    found = {
        "ejector": line.outputs,
        "central": line.central,
        "mqtt": line.mqtt,
        "opcua": line.opcua,
        "page": line.pages,
        "s3": line.s3,
    }
    assert {**found, "pictures": [*line.folder.glob("pictures")]}[table] == []


def test_the_ejector_of_a_line_without_triggers_needs_no_plc(run: Run) -> None:
    with run(trigger="free", ejector=EJECTOR | {"fail_safe": "on"}, doubles={"rolls_at_once": False}) as line:
        assert not line.ejects()


def test_in_shadow_mode_no_part_is_missed_in_the_bin(run: Run) -> None:
    with run([BRIGHT], shadow=True, confirmation={"within_ms": 300}) as line:
        line.verdicts(1)
        line.clock.now = 0.301
        line.plc.drain()

        assert line.alarms == []


def test_a_station_that_can_write_no_rows_any_more_is_not_alive(run: Run) -> None:
    with run([GOOD]) as line:
        before = line.runtime.alive
        line.runtime.records.failure = KeyError("unexpected")

        assert (before, line.runtime.alive) == (True, False)
