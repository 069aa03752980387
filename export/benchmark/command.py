"""The subcommand `edge-export engine`."""

from pathlib import Path
from typing import Annotated, Literal

import typer
from rich.console import Console


def add_engine_command(app: typer.Typer, console: Console) -> None:
    """Add the subcommand `engine` to a command line."""

    @app.command()
    def engine(
        bundles: Annotated[list[Path], typer.Argument(help="Folders of the bundles.")],
        edition: Annotated[
            Literal["tensorrt", "tensorrt_rtx"] | None,
            typer.Option(help="Which TensorRT. (default: tensorrt; tensorrt_rtx with --ahead-of-time)"),
        ] = None,
        ahead_of_time: Annotated[
            str | None, typer.Option(help="Build for another GPU, such as sm_86; needs no GPU here.")
        ] = None,
        batch: Annotated[int, typer.Option(min=1, help="Batch size: the number of views of a part.")] = 1,
        workspace_mib: Annotated[int, typer.Option(min=16, help="Scratch memory that kernels may use.")] = 1024,
        optimization_level: Annotated[int, typer.Option(min=0, max=5, help="Build time against speed.")] = 3,
    ) -> None:
        """Build each bundle's TensorRT engine or take it from the cache, check it, and measure it on this GPU."""
        from rich.progress import Progress

        from bundle import load_bundle
        from edge.engines.tensorrt_.build import ahead_of_time_builder, build_ahead, open_on_gpu
        from edge.engines.tensorrt_.plan_key import BuildOptions, Edition
        from export.benchmark.benchmark import Speed, advice, measure, speed_table

        options = BuildOptions(workspace_mib=workspace_mib, optimization_level=optimization_level)
        loaded = [stage for folder in bundles for stage in load_bundle(folder).stages]

        def say(line: str) -> None:
            console.print(line, highlight=False, soft_wrap=True)

        terminal = Console(stderr=True)
        with Progress(console=terminal, transient=True, disable=not terminal.is_terminal) as bar:
            task = bar.add_task("building", visible=False)

            def progress(phase: str, done: int, steps: int) -> None:
                bar.update(task, description=phase, completed=done, total=steps, visible=done < steps)

            if ahead_of_time is not None:
                builder = ahead_of_time_builder(edition or "tensorrt_rtx", ahead_of_time, options, progress, say)
                for bundle in loaded:
                    build_ahead(bundle, builder, batch)
                say("not checked on golden frames, not measured: that is done on the GPU, by the same command")
                return
            speeds: list[Speed] = []
            chosen: Edition = edition or "tensorrt"
            for bundle in loaded:
                opened = open_on_gpu(chosen, bundle, batch, options, progress, say)
                say(f"{bundle.manifest.name}: {opened.description}: the golden frames agree")
                speeds.append(measure(bundle, opened))
                opened.close()
        console.print(speed_table(speeds))
        say(advice(speeds))
