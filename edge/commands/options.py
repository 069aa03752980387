"""Options and the console that several commands of `edge-inspect` share."""

from typing import Annotated

import typer
from rich.console import Console

from edge.config.defaults import MOST_THREADS
from edge.engines.registry import ENGINES

console = Console(markup=False, emoji=False)

EngineOption = Annotated[str, typer.Option(help=f"Engine of the network: {', '.join(ENGINES)}.")]
ThreadsOption = Annotated[
    int | None, typer.Option(min=1, max=MOST_THREADS, help="CPU threads of the engine. (default: its choice)")
]
