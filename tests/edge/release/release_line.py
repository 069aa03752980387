"""A line whose bundle is released, and the commands that do it."""

from pathlib import Path

import pytest

from edge.cli import main


def write_line(folder: Path, more: str = "") -> Path:
    path = folder / "line.toml"
    path.write_text(
        f'bundle = "releases/current"\nplc = "serial:///x"\ncamera = [{{ address = "synthetic://" }}]\n{more}'
    )
    return path


def opened(bundle: object) -> None:
    """Stands for an engine that can be opened."""


def run(*arguments: object) -> str:
    """Run edge-inspect; returns its error, empty for none."""
    with pytest.raises(SystemExit) as ended:
        main([str(one) for one in arguments])
    return str(ended.value.code or "")
