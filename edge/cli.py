"""The console script `edge-inspect`."""

import json
import logging
import os
import sys
from dataclasses import replace
from datetime import datetime
from enum import Enum
from functools import partial
from pathlib import Path
from typing import Annotated

import typer
from rich.text import Text

from bundle import BundleError, FrameError, Verdict, load_bundle, os_problem
from edge.commands import improvement, users
from edge.commands.options import EngineOption, ThreadsOption, console
from edge.commands.rollout.command import rollout
from edge.engines.registry import DEFAULT_ENGINE, ENGINES
from edge.errors import LineConfigError, StationError
from edge.log_lines import JsonLines, log_handler
from edge.module_process import WaitingProcess
from edge.overview.command import overview
from edge.rate_limited_log import RateLimitedHandler
from firmware_bridge.errors import LinkError

app = typer.Typer(no_args_is_help=True, pretty_exceptions_enable=False, add_completion=False, help=__doc__)


class ExportTable(Enum):
    """Tables that can be exported."""

    PARTS = "parts"
    VIEWS = "views"
    DEFECTS = "defects"
    ALARMS = "alarms"


NO_THREAD = "can't start new thread"
"""Message of the RuntimeError where the system refuses a thread, threading.Thread.start."""
SHIPPED = next(
    (folder for root in Path(__file__).resolve().parents[:2] if (folder := root / "models" / "demo-tiles").is_dir()),
    Path("models/demo-tiles"),
)
"""Bundle of the demo: in the installed package, or in the repository."""


def _print_version(asked: bool) -> None:
    from importlib.metadata import version

    from bundle.manifest import FORMAT, NEWEST_FORMAT
    from edge.records.database import VERSION

    if asked:
        formats = f"bundle formats {FORMAT} to {NEWEST_FORMAT}"
        typer.echo(f"edge-inspect {version('edge-inspect')}, records version {VERSION}, {formats}")
        raise typer.Exit


@app.callback()
def options(
    show_version: Annotated[
        bool, typer.Option("--version", is_eager=True, callback=_print_version, help="Show the versions and exit.")
    ] = False,
    log_json: Annotated[bool, typer.Option("--log-json", help="Write the log as JSON, one object a line.")] = False,
) -> None:
    """Options of every subcommand; see `--help` of each."""
    if log_json:
        handler = logging.StreamHandler()
        handler.setFormatter(JsonLines())
        logging.basicConfig(level=logging.INFO, handlers=[RateLimitedHandler(handler)], force=True)


@app.command()
def run(
    context: typer.Context, line: Annotated[Path, typer.Argument(help="The line's configuration, such as line.toml.")]
) -> None:
    """Inspect a line until it is stopped (SIGTERM, Ctrl-C), or until its folder of pictures has been played.

    SIGHUP reads the configuration again and changes over to its bundle without losing a part.
    """
    from edge.config.line import load_line
    from edge.engines.probe import announce, open_probed
    from edge.signal_events import reload_on_sighup

    reload_asked = reload_on_sighup()
    settings = load_line(line)
    children: list[WaitingProcess] = context.obj or []
    for child in children if settings.engine in ENGINES else ():
        announce(child, settings.engine, ENGINES[settings.engine])

    from edge.records.database import next_number
    from edge.records.summary import closing_report
    from edge.service import serve
    from edge.station import REAL, open_station
    from edge.stopping import ends_within

    equipment = replace(REAL, open_engine=partial(open_probed, children=children))
    first = next_number(settings.records)
    with ends_within() as stopping, open_station(settings, equipment=equipment) as runtime:
        serve(line, settings, runtime, equipment, reload_asked)
        stopping()
    console.print(*closing_report(settings.records, first))
    if runtime.failure is not None:
        raise StationError(f"the station stopped: {runtime.failure!r}; the log above has the details")


@app.command()
def inspect(
    bundle: Annotated[Path, typer.Argument(help="Folder of the bundle.")],
    pictures: Annotated[list[Path], typer.Argument(help="Image files, or folders of image files.")],
    engine: EngineOption = DEFAULT_ENGINE,
    threads: ThreadsOption = None,
    csv: Annotated[Path | None, typer.Option(help="Write one row per defect to this file.")] = None,
    drawn: Annotated[
        Path | None, typer.Option("--pictures", help="Folder for the pictures with outlined defects.")
    ] = None,
    mm_per_px: Annotated[
        float | None, typer.Option(min=1e-6, help="Millimetres on the part per pixel, for areas in mm2.")
    ] = None,
) -> None:
    """Judge image files without a line: one verdict per file.

    Exit status 0 if every file is OK, 1 if a file is NG or cannot be read. An unreadable file is a FAULT and does not
    stop the others.
    """
    from edge.bundle_inspector import BundleInspector
    from edge.commands.inspect_files import find_files, inspect_files

    files = find_files(pictures)
    with BundleInspector.open(bundle, engine, threads=threads, mm_per_px=mm_per_px) as inspector:
        rejected = 0
        for found in inspect_files(inspector, files, csv, drawn):
            rejected += found.verdict is not Verdict.OK
            console.print(str(found), soft_wrap=True, markup=False, highlight=False)
    console.print(f"{len(files)} files, {rejected} not OK")
    if rejected:
        raise typer.Exit(1)


@app.command()
def demo(
    parts: Annotated[int, typer.Option(min=1, help="Parts on the virtual line.")] = 200,
    seed: Annotated[int, typer.Option(min=0, help="Another seed, other parts.")] = 2026,
    bundle: Annotated[Path, typer.Option(help="The bundle to inspect with.")] = SHIPPED,
    out: Annotated[Path, typer.Option(help="Folder for the records and the contact sheet.")] = Path("demo-output"),
    page: Annotated[bool, typer.Option("--page", help="Show the operator's page, and go slowly.")] = False,
) -> None:
    """Run a virtual line: drawn tiles, the shipped bundle, a simulated PLC that triggers each part."""
    from edge.commands.demo import run_demo

    out.mkdir(parents=True, exist_ok=True)
    if not run_demo(bundle, out, parts, seed, console, page):
        raise StationError("the demo's PLC did not acknowledge every part; see the table above")


@app.command(
    "plc-simulator",
    add_help_option=False,
    context_settings={"allow_extra_args": True, "ignore_unknown_options": True},
)
def plc_simulator(context: typer.Context) -> None:
    """Simulate a line with its PLC at the other end of a pseudo-terminal; `--help` lists its options."""
    from firmware_bridge.simulator.screen import main as simulate

    raise typer.Exit(simulate(context.args))


@app.command()
def bench(
    bundle: Annotated[Path, typer.Argument(help="Folder of the bundle.")],
    engine: EngineOption = DEFAULT_ENGINE,
    threads: ThreadsOption = None,
    parts: Annotated[int, typer.Option(min=10, help="Parts in each round of each way to run.")] = 50,
    fitted: Annotated[
        bool, typer.Option("--fitted", help="Frames have the input's size and need no resizing.")
    ] = False,
    output: Annotated[Path | None, typer.Option("--json", help="Write every figure to this file.")] = None,
) -> None:
    """Measure what the runtime costs over the bare engine on the same frames, and the latency by stage.

    Five rounds, in each of them the bare engine, then the runtime without and with pictures being kept: with four parts
    open at a time for the throughput, and with one for the latency.
    """
    from edge.commands.bench import measure
    from edge.commands.bench_report import overhead_table, stage_tables, throughput_table

    if output is not None:
        output.touch()  # what cannot be written is said before the minutes are spent
    found = measure(load_bundle(bundle), engine, threads, parts, fitted=fitted)
    console.print(found.engine, throughput_table(found), overhead_table(found), *stage_tables(found))
    if output is not None:
        output.write_text(json.dumps(found.to_json(), indent=1) + "\n", encoding="utf-8")


@app.command("bench-tiles")
def bench_tiles(
    bundle: Annotated[Path, typer.Argument(help="Folder of a bundle that judges in tiles.")],
    engine: EngineOption = DEFAULT_ENGINE,
    threads: ThreadsOption = None,
    rounds: Annotated[int, typer.Option(min=1, help="Pictures to measure.")] = 5,
) -> None:
    """Measure the time per megapixel of pictures in tiles, beside the network on one tile alone."""
    from edge.commands.bench_tiles import measure_tiles

    loaded = load_bundle(bundle)
    manifest = loaded.manifest
    console.print(
        measure_tiles(loaded, engine, threads, rounds).table(f"{manifest.name}, {engine}, {manifest.precision}")
    )


@app.command()
def report(
    records: Annotated[Path, typer.Argument(help="Database of verdicts, such as records.sqlite, or line.toml.")],
    html: Annotated[Path | None, typer.Option(help="Write the report of a shift to this file, with pictures.")] = None,
    pdf: Annotated[Path | None, typer.Option(help="The same as PDF; needs the extra `pdf`.")] = None,
    since: Annotated[datetime | None, typer.Option(help="Begin, local time. (default: of the present shift)")] = None,
    until: Annotated[datetime | None, typer.Option(help="End, local time. (default: now)")] = None,
) -> None:
    """Print the verdicts and latencies that a line has recorded, or write the report of a shift."""
    from edge.records.summary import report as tables
    from edge.reports.command import ReportSource, write_report

    if html is not None or pdf is not None:
        for text in write_report(records, html, pdf, since, until):
            console.print(text, soft_wrap=True)
    else:
        console.print(*tables(ReportSource.at(records).records))


@app.command()
def export(
    records: Annotated[Path, typer.Argument(help="Database of verdicts, such as records.sqlite.")],
    out: Annotated[Path, typer.Option(help="The file to write: .csv or .parquet.")],
    table: Annotated[ExportTable, typer.Option(help="What a row is.")] = ExportTable.PARTS,
) -> None:
    """Write the records as a table, also while the station runs."""
    from edge.records.export import export as write

    console.print(f"{out}: {write(records, out, table.value)} rows", soft_wrap=True)


@app.command("calibrate-scale")
def calibrate_scale(
    source: Annotated[Path, typer.Argument(help="A picture of a chessboard, or line.toml to take one.")],
    square_mm: Annotated[float, typer.Option(min=0.01, max=1000, help="Edge of a square in millimetres.")],
    camera: Annotated[str | None, typer.Option(help="Name of the camera, where the line has several.")] = None,
    pattern: Annotated[str, typer.Option(help="Inner corners, columns x rows.")] = "9x6",
) -> None:
    """Measure millimetres per pixel on a chessboard at the position of the parts; writes nothing."""
    from edge.commands.scale import calibrate

    for line in calibrate(source, camera, pattern, square_mm):
        console.print(line, soft_wrap=True, markup=False, highlight=False)


@app.command()
def unit(
    line: Annotated[Path, typer.Argument(help="The line's configuration, such as line.toml.")],
    user: Annotated[str, typer.Option(help="User of the service; not root.")] = "edge-inspect",
) -> None:
    """Print a systemd unit that starts this line at boot; docs/operation.md shows how to install it."""
    from edge.commands.systemd_unit import unit_text

    typer.echo(unit_text(line, user), nl=False)


@app.command()
def challenge(
    line: Annotated[Path, typer.Argument(help="The configuration of the line that runs.")],
    who: Annotated[str, typer.Option(help="Name of the operator, for the records.")] = "",
) -> None:
    """Start a challenge of the running station, then put known bad parts on the line."""
    from getpass import getuser

    from edge.config.line import load_line
    from edge.monitoring.operator_requests import challenge as ask

    settings = load_line(line)
    found = ask(settings.records, settings.challenge, who or getuser(), console.print)
    console.print(f"passed: {found}")


@app.command()
def acknowledge(
    line: Annotated[Path, typer.Argument(help="The configuration of the line that runs.")],
    who: Annotated[str, typer.Option(help="Name of the operator, for the records.")] = "",
    reason: Annotated[str, typer.Option(help="What was found and done, for the records.")] = "",
) -> None:
    """Acknowledge the running station's alarms about events: an escaped part, a failed challenge."""
    from getpass import getuser

    from edge.config.line import load_line
    from edge.monitoring.operator_requests import acknowledge as ask

    ended = ask(load_line(line).records, who or getuser(), reason)
    console.print(f"ended: {ended}" if ended else "there was no such alarm")


@app.command()
def pause(
    line: Annotated[Path, typer.Argument(help="The configuration of the line that runs.")],
    reason: Annotated[str, typer.Option(help="Why, for the records.")],
    who: Annotated[str, typer.Option(help="Name of the operator, for the records.")] = "",
) -> None:
    """Pause the running station: every part is FAULT until `resume`, also after a restart."""
    from getpass import getuser

    from edge.config.line import load_line
    from edge.monitoring.operator_requests import pause as ask

    ask(load_line(line).records, who or getuser(), reason)
    console.print("paused: every part is FAULT")


@app.command()
def resume(
    line: Annotated[Path, typer.Argument(help="The configuration of the line that runs.")],
    who: Annotated[str, typer.Option(help="Name of the operator, for the records.")] = "",
) -> None:
    """End a pause of the running station."""
    from getpass import getuser

    from edge.config.line import load_line
    from edge.monitoring.operator_requests import resume as ask

    ask(load_line(line).records, who or getuser())
    console.print("parts are inspected")


@app.command()
def doctor(line: Annotated[Path, typer.Argument(help="The line's configuration, such as line.toml.")]) -> None:
    """Check this machine for a line that is not running: each check reports fine, or what to do."""
    from edge.commands.doctor import examine

    wrong = 0
    for finding in examine(line):
        wrong += not finding.fine
        mark = ("fine ", "green") if finding.fine else ("WRONG", "bold red")
        console.print(Text.assemble(mark, f" {finding.name}: {finding.words}"), soft_wrap=True)
    if wrong:
        raise StationError(f"doctor: {wrong} of the checks above say WRONG, with what to do")


@app.command()
def config(
    explain: Annotated[bool, typer.Option("--explain", help="Describe every key of line.toml.")] = False,
    example: Annotated[
        str, typer.Option(help="Print one: triggered, several-cameras, several-exposures, web or shadow.")
    ] = "",
) -> None:
    """Describe every key of line.toml, or print an example file."""
    from edge.config import explain as texts

    if explain == bool(example):
        raise LineConfigError("config: found neither or both of --explain and --example, expected one of them")
    typer.echo(texts.explain() if explain else texts.example(example), nl=False)


for command in (
    overview,
    improvement.mark,
    improvement.queue,
    improvement.collect,
    improvement.release,
    improvement.rollback,
    improvement.releases,
    improvement.agreement,
):
    app.command()(command)
app.add_typer(improvement.trial, name="trial")
app.add_typer(rollout, name="rollout")
app.add_typer(users.user, name="user")


def limit_words(error: MemoryError | RuntimeError) -> str:
    """Say which limit of the system a program met; any other RuntimeError is raised again."""
    if isinstance(error, RuntimeError) and str(error) != NO_THREAD:
        raise error
    return f"found no room ({str(error) or 'out of memory'}); raise the limits of memory and tasks"


def main(arguments: list[str] | None = None, children: list[WaitingProcess] | None = None) -> None:
    """Run the command line; an error is one line on standard error, with exit status 1.

    children: of `edge.engines.probe`, for `run`.
    """
    limited = RateLimitedHandler(log_handler(journal="JOURNAL_STREAM" in os.environ))
    logging.basicConfig(level=logging.INFO, handlers=[limited])
    try:
        app(arguments, obj=children)
    except (BundleError, FrameError, LinkError, StationError) as error:
        sys.exit(f"edge-inspect: {error}")
    except OSError as error:
        sys.exit(f"edge-inspect: {os_problem(error)}")
    except (MemoryError, RuntimeError) as error:
        sys.exit(f"edge-inspect: {limit_words(error)}")
