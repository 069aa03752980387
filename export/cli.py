"""The console script `edge-export`."""

import sys
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from bundle import BundleError, FrameError, load_bundle, os_problem, write_bundle
from edge.errors import StationError
from export.errors import ExportError
from export.labelled import Part, select
from train.errors import TrainError

app = typer.Typer(no_args_is_help=True, pretty_exceptions_enable=False, add_completion=False, help=__doc__)
console = Console(width=None if sys.stdout.isatty() else 140)

OutOption = Annotated[Path, typer.Option(help="Folder of the new bundle.")]


@app.command()
def bundle(
    checkpoint: Annotated[Path, typer.Argument(help="A checkpoint of `train`, such as best.pt.")],
    out: OutOption,
    name: Annotated[str | None, typer.Option(help="Name of the bundle. [default: the folder's]")] = None,
    data: Annotated[Path | None, typer.Option(help="Data set whose test part it is compared on.")] = None,
) -> None:
    """Make a bundle of a checkpoint: ONNX graph, manifest, golden frames. This alone needs torch."""
    from export.assembly import assemble, drawn_frames, real_frames
    from export.graph import read_source

    _check_new(out)
    source = read_source(checkpoint)
    meta = source.meta
    frames = drawn_frames(meta.input) if data is None else real_frames(meta.input, meta.split, data)
    draft = assemble(source, name or out.name, frames)
    sealed = write_bundle(out, draft.manifest, draft.files)
    compared = sealed.made_from.comparison["onnxruntime with torch"]
    console.print(
        f"bundle {sealed.name} ({sealed.precision}, id {sealed.id[:12]}) in {out}\n"
        f"onnxruntime with torch on {compared['frames']}: largest difference of a score "
        f"{compared['largest_score_difference']:.1e}, of a mask {compared['largest_mask_difference']} of 255, "
        f"{len(compared['changed_verdicts'])} changed verdicts",
        highlight=False,
    )


@app.command()
def evaluate(
    bundle: Annotated[Path, typer.Argument(help="Folder of the bundle.")],
    data: Annotated[Path, typer.Option(help="Folder of labelled images.")],
    json: Annotated[Path, typer.Option(help="File for every measure.")],
    split: Annotated[
        str | None, typer.Option(help="A split file, random or by-part. [default: the bundle's own split]")
    ] = None,
    part: Annotated[Part, typer.Option(help="Which part of the split to judge on.")] = "all",
    threads: Annotated[int | None, typer.Option(min=1, help="Processor threads. [default: all cores]")] = None,
) -> None:
    """Measure a bundle on labelled images, through the station's own engine and decision."""
    from export.evaluation import evaluate as run_evaluation
    from train.tables import metrics_table

    loaded = load_bundle(bundle)
    labelled = select(loaded, data, split, part)
    if labelled.warning:
        console.print(f"warning: {labelled.warning}", style="yellow", highlight=False)
    result = run_evaluation(loaded, labelled, threads)
    json.write_text(result.model_dump_json(indent=1) + "\n", encoding="utf-8")
    title = (
        f"{result.bundle} ({result.bundle_id[:12]}) on {result.dataset}, part {part}: {result.metrics.images} images"
    )
    console.print(metrics_table(result.metrics, title))


def main() -> None:
    """Run the command; what goes wrong is one line on standard error, exit status 1."""
    try:
        app()
    except (ExportError, BundleError, FrameError, StationError, TrainError) as error:
        sys.exit(f"edge-export: {error}")
    except OSError as error:
        sys.exit(f"edge-export: {os_problem(error)}")


def _check_new(out: Path) -> None:
    """Say at once what `write_bundle` would say after minutes of work."""
    if out.exists():
        raise BundleError(f"{out}: exists already, and bundles are never changed; choose another name or remove it")


if __name__ == "__main__":
    main()
