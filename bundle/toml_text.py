"""TOML text as a dictionary, on every Python from 3.10 on."""

import sys
from typing import Any

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

TomlError = tomllib.TOMLDecodeError


def parse_toml(text: str) -> dict[str, Any]:
    """Parse TOML. Raises TomlError."""
    content: dict[str, Any] = tomllib.loads(text)
    return content
