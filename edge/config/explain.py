"""Reference of the keys of `line.toml`, generated from the models that validate it."""

import ast
import inspect
import types
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from textwrap import wrap
from typing import Annotated, Any, Literal, Union, get_args, get_origin

from pydantic import BaseModel
from pydantic.fields import FieldInfo

from edge.config.line import Line
from edge.config.schema import LineTable, table_in
from edge.errors import LineConfigError

EXAMPLES = Path(__file__).with_name("examples")
"""Folder of example files, one per kind of line."""
WIDTH = 100

_KINDS = {str: "text", int: "whole number", float: "number", bool: "true or false", Path: "path"}
_BOUNDS = {"gt": "above", "ge": "at least", "lt": "below", "le": "at most", "min_length": "length at least"}


def explain(table: type[LineTable] = Line, header: str = "") -> str:
    """Describe a table and its keys (type, default, range, meaning), followed by its inner tables."""
    lines = [*wrap(header, WIDTH), *wrap(_words(table.__doc__), WIDTH), ""]
    within: list[tuple[type[LineTable], str]] = []  # with their headers
    meanings = meanings_of(table)
    for name, field in table.model_fields.items():
        inner = table_in(field.annotation)
        if inner is None:
            lines += [f"{name}: {', '.join(_facts(field))}", *_indented(meanings[name]), ""]
        else:
            repeated = get_origin(field.annotation) is tuple
            title = f"[[{name}]]: one or more" if repeated else f"[{name}]: optional"
            within.append((inner, f"{title}. {_words(meanings[name])}"))
    return "\n".join(lines) + "".join(f"\n{explain(inner, title)}" for inner, title in within)


def example(kind: str) -> str:
    """Return the example of one kind of line; raises LineConfigError with the known kinds."""
    known = sorted(path.stem for path in EXAMPLES.glob("*.toml"))
    if kind not in known:
        raise LineConfigError(f"example: found {kind!r}, expected one of {', '.join(known)}")
    return (EXAMPLES / f"{kind}.toml").read_text(encoding="utf-8")


def meanings_of(table: type[BaseModel]) -> dict[str, str]:
    """Docstring of each key. Read from the source here, because pydantic would read it at every start of a station."""
    (definition,) = ast.parse(inspect.getsource(table)).body
    assert isinstance(definition, ast.ClassDef)
    return {
        key.target.id: meaning.value.value
        for key, meaning in pairwise(definition.body)
        if isinstance(key, ast.AnnAssign)
        and isinstance(key.target, ast.Name)
        and isinstance(meaning, ast.Expr)
        and isinstance(meaning.value, ast.Constant)
        and isinstance(meaning.value.value, str)
    }


def _facts(field: FieldInfo) -> Iterator[str]:
    yield _kind(field.annotation)
    if field.is_required():
        yield "required"
    elif field.default is None or field.default == {}:
        yield "optional"
    else:
        yield f"default {_value(field.default)}"
    for bound in field.metadata:
        yield from (f"{words} {getattr(bound, name)}" for name, words in _BOUNDS.items() if hasattr(bound, name))


def _kind(annotation: Any) -> str:
    arguments = [argument for argument in get_args(annotation) if argument is not type(None)]
    origin = get_origin(annotation)
    if origin is Annotated:
        return _kind(arguments[0])
    if origin is Literal:
        return " or ".join(_value(argument) for argument in arguments)
    if origin in (Union, types.UnionType):
        return " or ".join(_kind(argument) for argument in arguments)
    if origin is dict:
        return "table of {} = {}".format(*(_kind(argument) for argument in arguments))
    if origin is tuple:
        return f"list of {_kind(arguments[0])}"
    return _KINDS[annotation]


def _value(value: object) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, (str, Path)):
        return f'"{value}"'
    if isinstance(value, tuple):
        return f"[{', '.join(_value(one) for one in value)}]"
    return f"{value:g}" if isinstance(value, float) else str(value)


def _indented(text: str | None) -> list[str]:
    return wrap(_words(text), WIDTH, initial_indent="    ", subsequent_indent="    ")


def _words(text: str | None) -> str:
    return " ".join((text or "").split())
