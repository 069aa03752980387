"""Entry points of the console scripts that pyproject.toml names."""

from console_scripts.interrupt import InterruptibleCommand


def edge_inspect() -> None:
    """Run `edge-inspect`."""
    command = InterruptibleCommand("edge-inspect")
    from edge.cli import main

    command.run(main)


def edge_export() -> None:
    """Run `edge-export`."""
    command = InterruptibleCommand("edge-export")
    from export.cli import main

    command.run(main)


def train() -> None:
    """Run `train`."""
    command = InterruptibleCommand("train")
    from train.cli.main import main

    command.run(main)
