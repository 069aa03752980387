"""Entry points of the console scripts that pyproject.toml names."""

import signal
import sys

from console_scripts.interrupt import InterruptibleCommand


def edge_inspect() -> None:
    """Run `edge-inspect`; a SIGHUP before `run` has read its line.toml has nothing to reload."""
    command = InterruptibleCommand("edge-inspect")
    if "run" in sys.argv[1:]:
        signal.signal(signal.SIGHUP, signal.SIG_IGN)
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
