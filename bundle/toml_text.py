"""TOML text as a dictionary, on every Python from 3.10 on."""

import sys
from typing import Any

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

MOST_CHARACTERS = 1_000_000
MOST_LEVELS = 20
"""Of tables and lists in each other; configurations have four."""


class TomlError(ValueError):
    """Text that is no TOML, or longer or nested deeper than any configuration."""


def parse_toml(text: str) -> dict[str, Any]:
    """Parse TOML. Raises TomlError, also for text that is longer or nested deeper than any configuration."""
    if len(text) > MOST_CHARACTERS:
        raise TomlError(f"found {len(text)} characters, expected at most {MOST_CHARACTERS}")
    try:
        content: dict[str, Any] = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise TomlError(str(error)) from None
    except RecursionError:
        raise TomlError(f"found lists in each other, expected at most {MOST_LEVELS} levels") from None
    level: list[Any] = [content]
    for _ in range(MOST_LEVELS):
        level = [inner for value in level for inner in (value.values() if isinstance(value, dict) else value)]
        level = [value for value in level if isinstance(value, (dict, list))]
    if level:
        raise TomlError(f"found tables in each other, expected at most {MOST_LEVELS} levels")
    return content
