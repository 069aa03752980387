"""A wrong value in line.toml, for each key of the schema: one line that names the key, what was found and expected."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal, get_args, get_origin

import pytest
from pydantic.fields import FieldInfo

from edge.cli import main
from edge.config.line import Line, load_line
from edge.config.schema import LineTable, table_in
from edge.errors import LineConfigError

REQUIRED = {
    "": {"bundle": '"b"', "plc": '"serial:///dev/ttyS0"'},
    "camera": {"address": '"synthetic://"'},
    "ejector": {"output": '"simulated://"', "delay_ms": "5", "length_ms": "5"},
    "confirmation": {"within_ms": "300"},
    "release": {"keys": '["k.pub"]'},
    "trial": {"bundle": '"b"'},
    "mqtt": {"broker": '"mqtt://broker"', "station": '"s"'},
    "s3": {"endpoint": '"https://store"', "bucket": '"quality"', "station": '"s"'},
    "central": {"database": '"postgresql://localhost/plant"', "station": '"s"'},
}
"""Table -> keys without which it is refused, with values in TOML."""
WRONG_TYPES = ("1979-05-27", "[[1]]", "{ a = { b = 1 } }")
"""Values in TOML that no key takes."""


def fields_of(table: type[LineTable], prefix: str = "") -> Iterator[tuple[str, FieldInfo]]:
    """Every key that holds a value, with its field, in this table and in those within it."""
    for name, field in table.model_fields.items():
        inner = table_in(field.annotation)
        if inner is None:
            yield prefix + name, field
        else:
            yield from fields_of(inner, f"{prefix}{name}.")


FIELDS = dict(fields_of(Line))


def line_text(key: str, value: str) -> str:
    """The smallest line in which a key has this value, in TOML."""
    tables: dict[str, dict[str, str]] = {"": dict(REQUIRED[""]), "camera": dict(REQUIRED["camera"])}
    table, _, name = key.rpartition(".")
    tables.setdefault(table, dict(REQUIRED.get(table, {})))[name] = value
    lines = [f"{name} = {found}" for name, found in tables.pop("").items()]
    for table, keys in tables.items():
        inline = "{ " + ", ".join(f"{name} = {found}" for name, found in keys.items()) + " }"
        lines.append(f"{table} = {f'[{inline}]' if table == 'camera' else inline}")
    return "\n".join(lines) + "\n"


def outside(field: FieldInfo) -> Iterator[str]:
    """Values in TOML of the right type beyond the field's limits or choices."""
    for limit in field.metadata:
        for name, beyond in (("ge", -1), ("gt", 0), ("le", 1), ("lt", 0)):
            if (bound := getattr(limit, name, None)) is not None:
                yield repr(bound + beyond)
    if choices(field.annotation):
        yield '"unheard-of"'
    if {int, float} & set(kinds(field.annotation)):
        yield from ("nan", "-inf")


def choices(annotation: Any) -> bool:
    return get_origin(annotation) is Literal or any(map(choices, get_args(annotation)))


def kinds(annotation: Any) -> Iterator[Any]:
    yield annotation
    for each in get_args(annotation):
        yield from kinds(each)


def refused(tmp_path: Path, key: str, value: str) -> str:
    """The one line that a wrong value leads to."""
    path = tmp_path / "line.toml"
    path.write_text(line_text(key, value), encoding="utf-8")
    with pytest.raises(LineConfigError) as refusal:
        load_line(path)
    return str(refusal.value)


@pytest.mark.parametrize("key", FIELDS)
def test_each_key_refuses_a_wrong_type_and_what_is_out_of_its_range(key: str, tmp_path: Path) -> None:
    for value in (*WRONG_TYPES, *outside(FIELDS[key])):
        words = refused(tmp_path, key, value)

        assert "\n" not in words
        place = key.replace("camera.", "camera.0.")
        assert words.startswith(f"{tmp_path / 'line.toml'}: {place}"), words
        assert "found" in words, words
        assert "expected" in words, words


@pytest.mark.parametrize(
    ("key", "value"), [("deadline_ms", "-1"), ("page.idle_minutes", '"a"'), ("without_disk", '"no"')]
)
def test_run_ends_with_that_line_and_doctor_finds_it(
    key: str, value: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = refused(tmp_path, key, value)
    endings = []
    for command in ("run", "doctor"):
        with pytest.raises(SystemExit) as ended:
            main([command, str(tmp_path / "line.toml")])
        endings.append(ended.value.code)

    assert endings == [
        f"edge-inspect: {words}",
        "edge-inspect: doctor: 1 of the checks above say WRONG, with what to do",
    ]
    assert words in capsys.readouterr().out


def test_the_limits_of_the_schema_are_read() -> None:
    assert sum(len(list(outside(field))) for field in FIELDS.values()) > len(FIELDS)
