"""Reference pages in Markdown: keys of line.toml and of recipes, and the command lines."""

from collections.abc import Iterator
from typing import get_args

import typer
import typer.cli
from pydantic import BaseModel
from pydantic.fields import FieldInfo

import edge.cli
import export.cli
import train.cli.main
from edge.config.explain import explain, meanings_of
from train.recipe import Recipe

PROGRAMS = {"edge-inspect": edge.cli.app, "edge-export": export.cli.app, "train": train.cli.main.app}


def pages() -> dict[str, str]:
    """Return every page by its file name."""
    keys = "\n".join(_table("", Recipe))
    return {
        "line.md": f"# Keys of line.toml\n\nThe text of `edge-inspect config --explain`.\n\n```\n{explain()}```\n",
        "recipe.md": f"# Keys of a recipe\n\n`train --set KEY=VALUE` overrides one.\n\n{keys}\n",
        **{f"{name}.md": _commands(name, app) for name, app in PROGRAMS.items()},
    }


def _commands(name: str, app: typer.Typer) -> str:
    command = typer.main.get_command(app)
    return typer.cli.get_docs_for_click(obj=command, ctx=typer.Context(command), name=name, title=name)


def _table(prefix: str, model: type[BaseModel]) -> Iterator[str]:
    """Tabulate the keys of a model, then those of the models within it."""
    inner = {name: found for name, field in model.model_fields.items() if (found := _model(field))}
    meanings = meanings_of(model)
    rows = [_row(prefix + name, field, meanings) for name, field in model.model_fields.items() if name not in inner]
    if prefix:
        yield f"## [{prefix[:-1]}]\n\n{' '.join((model.__doc__ or '').split())}\n"
    if rows:
        yield "| key | default | meaning |\n|---|---|---|\n" + "\n".join(rows) + "\n"
    for name, found in inner.items():
        yield from _table(f"{prefix}{name}.", found)


def _model(field: FieldInfo) -> type[BaseModel] | None:
    kinds = (field.annotation, *get_args(field.annotation))
    return next((kind for kind in kinds if isinstance(kind, type) and issubclass(kind, BaseModel)), None)


def _row(key: str, field: FieldInfo, meanings: dict[str, str]) -> str:
    default = "required" if field.is_required() else f"`{field.get_default(call_default_factory=True)!r}`"
    meaning = " ".join(meanings.get(key.rpartition(".")[2], "").split())
    return f"| `{key}` | {default} | {meaning} |".replace("<", "&lt;")
