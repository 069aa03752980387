"""Entry points of the console scripts that pyproject.toml names."""

import signal
import sys
from contextlib import suppress
from functools import partial

from console_scripts.interrupt import InterruptibleCommand


def edge_inspect() -> None:
    """Run `edge-inspect`; a SIGHUP before `run` has read its line.toml has nothing to reload.

    The process in which `run` opens its bundle first imports its packages while this one imports the station.
    """
    command = InterruptibleCommand("edge-inspect")
    children = []
    if "run" in sys.argv[1:]:
        signal.signal(signal.SIGHUP, signal.SIG_IGN)
        from edge.module_process import WaitingProcess

        with suppress(OSError):  # the station starts its own later, or says why it cannot
            children.append(WaitingProcess("edge.engines.probe"))
    try:
        from edge.cli import main

        command.run(partial(main, children=children))
    finally:
        for child in children:
            child.close()


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
