"""Generator of the Markdown tables of camera options, from the models that validate them.

`python -m edge.commands.camera_options docs/cameras.md` writes each table below its marker in the document.
"""

import re
import sys
from pathlib import Path
from typing import Any

from edge.address import AddressOptions
from edge.cameras.device import DeviceOptions
from edge.cameras.registry import FILES, load_kind

COMMON = "every live camera"
LIMITS = {"minimum": "from {}", "exclusiveMinimum": "above {}", "maximum": "to {}", "multipleOf": "in steps of {}"}
WORDS = {"integer": "whole number", "number": "number", "boolean": "0 or 1", "string": "text"}
TABLE = re.compile(r"(<!-- options of (.+?) -->\n)(?:\|.*\n)*")


def table(name: str) -> str:
    """Return the table of one kind's own options, or of the options of every live camera."""
    model = DeviceOptions if name == COMMON else load_kind(name).options
    rows = [_row(option, about, model) for option, about in _own(model).items()]
    return "| option | value | default | meaning |\n|---|---|---|---|\n" + "".join(rows)


def fill_in(document: str) -> str:
    """Replace each table of the document by the generated one."""
    return TABLE.sub(lambda found: found[1] + table(found[2]), document)


def _own(model: type[AddressOptions]) -> dict[str, dict[str, Any]]:
    """List the options that differ from those of every live camera."""
    options: dict[str, dict[str, Any]] = model.model_json_schema()["properties"]
    if model is DeviceOptions or not issubclass(model, DeviceOptions):
        return options
    common = DeviceOptions.model_json_schema()["properties"]
    return {name: about for name, about in options.items() if common.get(name) != about}


def _row(name: str, about: dict[str, Any], model: type[AddressOptions]) -> str:
    field = model.model_fields[name]
    default = "required" if field.is_required() else "-" if field.default is None else f"`{_plain(field.default)}`"
    return f"| `{name}` | {_value(about)} | {default} | {about['description']} |\n"


def _value(about: dict[str, Any]) -> str:
    kind = about.get("anyOf", [about])[0]
    choices = kind.get("enum") or ([kind["const"]] if "const" in kind else [])
    limits = [words.format(_plain(kind[limit])) for limit, words in LIMITS.items() if limit in kind]
    return ", ".join(f"`{choice}`" for choice in choices) or " ".join([WORDS[kind["type"]], *limits])


def _plain(value: object) -> str:
    return f"{value:.10g}" if isinstance(value, float) else str(int(value) if isinstance(value, bool) else value)


if __name__ == "__main__":
    path = Path(sys.argv[1])
    path.write_text(fill_in(path.read_text(encoding="utf-8")), encoding="utf-8")
    print(f"{path}: the options of {', '.join(FILES)}")
