"""The console script `edge-export`.

Nothing heavy is imported before a command runs, so that `--help` answers at once.
"""

import os
import sys
from collections.abc import Sequence
from datetime import datetime, timezone
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer
from rich.console import Console

from export.benchmark.command import add_engine_command
from export.choices import ENGINES, MOST_THREADS, Around, Method, Part
from export.errors import ExportError, StageError

if TYPE_CHECKING:
    from bundle import Bundle

app = typer.Typer(no_args_is_help=True, pretty_exceptions_enable=False, add_completion=False, help=__doc__)
console = Console(width=None if sys.stdout.isatty() else 140, markup=False, emoji=False)
add_engine_command(app, console)

OutOption = Annotated[Path, typer.Option(help="Folder of the new bundle.")]
BundleArgument = Annotated[Path, typer.Argument(help="Folder of the bundle.")]
DataOption = Annotated[Path, typer.Option(help="Folder of labelled images.")]
SplitOption = Annotated[
    str | None,
    typer.Option(
        help="A split file, random or by-part; or a part of the bundle's split. (default: the bundle's split)"
    ),
]
PartOption = Annotated[Part, typer.Option(help="Part of the split; all needs no split.")]
ShareOption = Annotated[float | None, typer.Option(min=0, max=1, help="Largest share of such images, 0 to 1.")]
ThreadsOption = Annotated[
    int | None, typer.Option(min=1, max=MOST_THREADS, help="Processor threads. (default: all cores)")
]
EngineOption = Annotated[str, typer.Option(help=f"What runs the networks: {', '.join(ENGINES)}.")]


def _print_version(asked: bool) -> None:
    from importlib.metadata import version

    if asked:
        typer.echo(f"edge-inspect {version('edge-inspect')}")
        raise typer.Exit


@app.callback()
def options(
    show_version: Annotated[
        bool, typer.Option("--version", is_eager=True, callback=_print_version, help="Show the version and exit.")
    ] = False,
) -> None:
    """Options of every subcommand; see `--help` of each."""


@app.command()
def bundle(
    checkpoint: Annotated[Path, typer.Argument(help="A checkpoint of `train`, such as best.pt.")],
    out: OutOption,
    name: Annotated[str | None, typer.Option(help="Name of the bundle. (default: the folder's)")] = None,
    data: Annotated[Path | None, typer.Option(help="Data set whose test part it is compared on.")] = None,
    precision: Annotated[Around, typer.Option(help="Precision of the network.")] = "fp32",
    size: Annotated[
        tuple[int, int] | None, typer.Option(help="Height and width of the input. (default: the recipe's)")
    ] = None,
) -> None:
    """Export a checkpoint to a bundle: ONNX graph, manifest, golden frames. The only command that needs torch."""
    from bundle import write_bundle
    from export.bundles.assemble import assemble, drawn_frames, real_frames
    from export.graph.from_checkpoint import read_source

    _check_new(out)
    source = read_source(checkpoint, size)
    _warn(source.meta.unfinished(checkpoint))
    frames = (
        drawn_frames(source.input, source.example)
        if data is None
        else real_frames(source.input, source.meta.split, data)
    )
    draft = assemble(source, name or out.name, frames, precision)
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
    bundle: BundleArgument,
    data: DataOption,
    json: Annotated[Path | None, typer.Option(help="JSON file for all metrics.")] = None,
    split: SplitOption = None,
    part: PartOption = "all",
    protocol: Annotated[Path | None, typer.Option(help="HTML file for the acceptance protocol.")] = None,
    threads: ThreadsOption = None,
    engine: EngineOption = ENGINES[0],
) -> None:
    """Evaluate a bundle on labelled images, with the engine and decision of the station."""
    from bundle import load_bundle, write_whole
    from export.evaluate.acceptance_protocol import protocol_page
    from export.evaluate.evaluate import evaluate as run_evaluation
    from export.evaluate.labelled_images import select
    from train.evaluate.tables import metrics_table

    loaded = load_bundle(bundle)
    labelled = select(loaded, data, split, part)
    _warn(labelled.warning)
    result = run_evaluation(loaded, labelled, threads, engine)
    console.print(f"engine {result.engine}", highlight=False, soft_wrap=True)
    what = f"{result.metrics.images} images of {result.dataset}, part {labelled.part}"
    console.print(metrics_table(result.metrics, f"{result.bundle} ({result.bundle_id[:12]}) on {what}"))
    if json is not None:
        write_whole(json, result.model_dump_json(indent=1) + "\n")
    if protocol is not None:
        write_whole(protocol, protocol_page(result, _now()))


@app.command()
def calibrate(
    bundle: BundleArgument,
    images: Annotated[Path, typer.Option(help="Folder of pictures for calibration.")],
    out: OutOption,
    data: Annotated[
        Path | None, typer.Option(help="Labelled images for the accuracy gate. (default: decisions of the fp32 bundle)")
    ] = None,
    split: SplitOption = None,
    part: Annotated[Part, typer.Option(help="Part of --data for the gate.")] = "val",
    method: Annotated[Method | None, typer.Option(help="Method of choosing ranges. (default: the best of all)")] = None,
    around: Annotated[Around, typer.Option(help="Precision of the other layers.")] = "fp32",
    gpu_weights: Annotated[
        bool, typer.Option("--gpu-weights", help="8-bit weights, which saturate on processors without VNNI.")
    ] = False,
    metric: Annotated[
        str | None,
        typer.Option(help="Metric of the gate. (default: mean_iou_positives; without labelled defects mean_iou_pairs)"),
    ] = None,
    max_drop: Annotated[
        float | None,
        typer.Option(
            min=0, max=1, help="Largest drop of the metric. (default: 0.01; 0.05 where the gate draws the defects)"
        ),
    ] = None,
    resize: Annotated[bool, typer.Option("--resize", help="Resize pictures as the station resizes frames.")] = False,
    limit: Annotated[int, typer.Option(min=1, help="Largest number of pictures, evenly spread.")] = 256,
    force: Annotated[bool, typer.Option("--force", help="Calibrate on fewer pictures than recommended.")] = False,
    report: Annotated[Path | None, typer.Option(help="Folder of the report. (default: OUT.report)")] = None,
    threads: ThreadsOption = None,
    engine: EngineOption = ENGINES[0],
) -> None:
    """Calibrate an INT8 bundle (explicit Q/DQ); it is written only if it passes the accuracy gate."""
    from export.int8.accuracy_gate import MAX_DROP, MAX_DROP_OF_AGREEMENT, check_metric, gate_on
    from export.int8.calibrate import Calibration, CalibrationSettings
    from export.int8.calibration_files import write_calibration
    from export.int8.calibration_images import collect
    from export.int8.gate_images import labelled_gate_images, unlabelled_gate_images

    _check_new(out)
    if metric is not None:
        check_metric(metric)
    loaded = _load_one_network(bundle)
    pictures = collect(images, loaded, resize, limit, force)
    gate_images = (
        labelled_gate_images(loaded, pictures, data, split, part, threads, engine)
        if data
        else unlabelled_gate_images(loaded, pictures, threads, engine)
    )
    outlines = gate_images.labelled and not gate_images.disturbed
    gate = gate_on(
        metric or ("mean_iou_positives" if outlines else "mean_iou_pairs"),
        max_drop if max_drop is not None else MAX_DROP_OF_AGREEMENT if gate_images.disturbed else MAX_DROP,
        knows_good_alone=gate_images.disturbed,
    )
    calibration = Calibration(
        loaded,
        out.name,
        gate_images.pictures,
        CalibrationSettings(gate, method, around, threads, 8 if gpu_weights else 7),
    )
    result = calibration.run(gate_images.images, gate_images.description, gate_images.labelled, _now())
    for warning in result.report.warnings:
        _warn(warning)
    console.print(
        *write_calibration(result, gate_images.images, out, report or out.with_name(f"{out.name}.report")), sep="\n"
    )


@app.command()
def sign(
    bundle: Annotated[Path | None, typer.Argument(help="Folder of the bundle.", show_default=False)] = None,
    key: Annotated[Path | None, typer.Option(help="Private Ed25519 key, a PEM file.")] = None,
    new_keys: Annotated[Path | None, typer.Option(help="Folder for a new pair of keys.")] = None,
) -> None:
    """Sign a bundle for lines with a table `release` in line.toml: writes BUNDLE.sig beside its folder."""
    from bundle import load_bundle
    from edge.release.signature import make_keys
    from edge.release.signature import sign as write_signature

    if new_keys is not None:
        private, public = make_keys(new_keys)
        console.print(f"{private}: keep it secret; {public}: name it in [release] keys of line.toml", soft_wrap=True)
    if bundle is not None and key is not None:
        console.print(f"{write_signature(load_bundle(bundle), key)}", soft_wrap=True)
    elif bundle is not None or key is not None or new_keys is None:
        raise ExportError("sign: found only one of BUNDLE and --key, expected both, or --new-keys FOLDER")


@app.command()
def compare(
    first: BundleArgument,
    second: Annotated[Path, typer.Argument(help="Folder of the other bundle.")],
    data: DataOption,
    json: Annotated[Path | None, typer.Option(help="JSON file for the metrics of both.")] = None,
    split: SplitOption = None,
    part: PartOption = "all",
    threads: ThreadsOption = None,
    engine: EngineOption = ENGINES[0],
) -> None:
    """Compare two bundles on the same labelled images: changed verdicts, metrics, latency."""
    from bundle import load_bundle, write_whole
    from export.evaluate.compare_bundles import compare_bundles, comparison_tables
    from export.evaluate.labelled_images import select

    bundles = load_bundle(first), load_bundle(second)
    labelled = select(bundles[0], data, split, part)
    _warn(labelled.warning)
    comparison = compare_bundles(bundles, labelled, threads, engine)
    console.print(*comparison_tables(comparison))
    if json is not None:
        write_whole(json, comparison.model_dump_json(indent=1) + "\n")


@app.command()
def thresholds(
    bundle: BundleArgument,
    data: DataOption,
    out: OutOption,
    max_escapes: ShareOption = None,
    max_false_rejects: ShareOption = None,
    split: SplitOption = None,
    part: Annotated[Part, typer.Option(help="Part of --data to choose them on.")] = "val",
    by: Annotated[
        Literal["picture", "part"], typer.Option(help="What the goal counts: pictures, or parts by their worst view.")
    ] = "picture",
    threads: ThreadsOption = None,
    engine: EngineOption = ENGINES[0],
    force: Annotated[
        bool,
        typer.Option("--force", help="Write thresholds even if they reject every good image."),
    ] = False,
) -> None:
    """Copy a bundle with score thresholds that meet a goal on labelled images.

    Of the thresholds that meet it, those with the fewest mistakes of the other kind are chosen.
    """
    from bundle import write_bundle
    from export.bundles.set_thresholds import goal_of, retuned
    from export.evaluate.labelled_images import select

    _check_new(out)
    goal = goal_of(max_escapes, max_false_rejects)
    loaded = _load_one_network(bundle)
    labelled = select(loaded, data, split, part)
    _warn(labelled.warning)
    tuned = retuned(loaded, out.name, labelled, goal, by, threads, engine, force)
    sealed = write_bundle(out, tuned.draft.manifest, tuned.draft.files)
    console.print(tuned.table, f"bundle {sealed.name} (id {sealed.id[:12]}) in {out}")


@app.command()
def first_stage(
    tiled: Annotated[Path, typer.Argument(help="Folder of the bundle with tiles.")],
    first: Annotated[Path, typer.Argument(help="Folder of the bundle of a small network on the whole picture.")],
    data: DataOption,
    out: OutOption,
    most_lost: Annotated[
        float, typer.Option(min=0, max=1, help="Largest share of the defects found that the first stage may lose.")
    ] = 0.0,
    split: SplitOption = None,
    part: Annotated[Part, typer.Option(help="Part of --data to choose the level on.")] = "val",
    threads: ThreadsOption = None,
    engine: EngineOption = ENGINES[0],
) -> None:
    """Join a bundle with tiles and a small network on the whole picture, which chooses the tiles to judge.

    The level is the highest that loses at most --most-lost of the defects that all tiles find.
    """
    from bundle import load_bundle, write_bundle
    from export.bundles.first_stage import join
    from export.evaluate.labelled_images import select

    _check_new(out)
    tiles, small = _load_one_network(tiled), load_bundle(first)
    labelled = select(tiles, data, split, part)
    _warn(labelled.warning)
    joined = join(tiles, small, out.name, labelled, most_lost, threads, engine)
    sealed = write_bundle(out, joined.manifest, tiles.read_files(), small)
    console.print(joined.table, f"bundle {sealed.name} (id {sealed.id[:12]}) in {out}")


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command line; an error is one line on standard error, with exit status 1."""
    try:
        app(None if arguments is None else list(arguments), prog_name="edge-export")
    except SystemExit:
        raise
    except _expected() as error:
        sys.exit(f"edge-export: {error}")
    except OSError as error:
        from bundle import os_problem

        sys.exit(f"edge-export: {os_problem(error)}")


def _expected() -> tuple[type[Exception], ...]:
    """Errors that the user can correct; a command that raises one has loaded their modules."""
    from bundle import BundleError, FrameError
    from edge.errors import StationError
    from train.errors import TrainError

    return ExportError, BundleError, FrameError, StationError, TrainError


def _load_one_network(folder: Path) -> "Bundle":
    """Load a bundle that is to be changed, which only works on one network at a time."""
    from bundle import load_bundle

    loaded = load_bundle(folder)
    if loaded.first_stage is not None:
        raise StageError(
            f"{folder}: found a bundle with a first stage, expected one without; change the bundle of the tiles, then "
            "join both again by `edge-export first-stage`"
        )
    return loaded


def _warn(warning: str | None) -> None:
    if warning:
        console.print(f"warning: {warning}", style="yellow", highlight=False, soft_wrap=True)


def _now() -> str:
    return datetime.now(timezone.utc).isoformat(timespec="seconds")


def _check_new(out: Path) -> None:
    """Raise at once what `write_bundle` would raise after minutes of work."""
    from bundle import BundleError

    there = next(folder for folder in out.absolute().parents if folder.exists())
    if not there.is_dir():
        raise BundleError(f"{out}: {there} is a file, expected a folder; choose another place")
    if not os.access(there, os.W_OK | os.X_OK):
        raise BundleError(
            f"{out}: found no permission to write into {there}; choose another place, or change its owner"
        )
    if out.exists():
        raise BundleError(f"{out}: exists already, and bundles are never changed; choose another name or remove it")


if __name__ == "__main__":
    main()
