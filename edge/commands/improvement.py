"""Commands by which a line gets a better network: marks on parts, collected data, releases and the way back.

Each imports what it needs when it runs, so that `--help` answers at once.
"""

from pathlib import Path
from typing import Annotated

import typer

from edge.commands.options import EngineOption, console
from edge.engines.registry import DEFAULT_ENGINE
from edge.review.marks import Truth

trial = typer.Typer(no_args_is_help=True, help="The candidate bundle of the table trial beside the bundle in force.")


@trial.command("report")
def trial_report(
    line: Annotated[Path, typer.Argument(help="The line's configuration, or its database of verdicts.")],
) -> None:
    """Count where candidate and bundle in force agree, by class, and which of them the inspectors' marks confirm."""
    from edge.reports.command import ReportSource
    from edge.reports.trial import trial_tables

    console.print(*trial_tables(ReportSource.at(line).records))


@trial.command("start")
def trial_start(
    bundle: Annotated[Path, typer.Argument(help="Folder of the candidate bundle.")],
    line: Annotated[Path, typer.Argument(help="The configuration of the line that runs.")],
    who: Annotated[str, typer.Option(help="Name of the engineer. (default: the user)")] = "",
) -> None:
    """Put a candidate on trial at the running station, in place of one that is; lasts until the station ends."""
    from getpass import getuser

    from bundle import load_bundle
    from bundle.manifest import read_manifest
    from edge.config.line import load_line
    from edge.errors import OperatorRequestError
    from edge.monitoring.operator_requests import switch_trial

    settings, candidate = load_line(line), load_bundle(bundle)
    if candidate.id == read_manifest(settings.bundle).id:
        raise OperatorRequestError(f"{bundle}: found the bundle in force, expected another; nothing would be compared")
    switch_trial(settings.records, candidate.folder, who or getuser())
    told = (
        "the station opens it now; an alarm says if it cannot. The page and `edge-inspect trial report` show the trial"
    )
    console.print(f"trial of {candidate.id[:12]}, {candidate.folder}: {told}", soft_wrap=True, highlight=False)


@trial.command("stop")
def trial_stop(
    line: Annotated[Path, typer.Argument(help="The configuration of the line that runs.")],
    who: Annotated[str, typer.Option(help="Name of the engineer. (default: the user)")] = "",
) -> None:
    """Stop the trial at the running station; what it found stays on record."""
    from getpass import getuser

    from edge.config.line import load_line
    from edge.monitoring.operator_requests import switch_trial

    switch_trial(load_line(line).records, None, who or getuser())
    console.print("the station runs no trial; `edge-inspect trial report` shows what it found", soft_wrap=True)


def mark(
    line: Annotated[Path, typer.Argument(help="The line's configuration; the line may be running.")],
    truth: Annotated[Truth, typer.Argument(help="The part is good, defective, or unclear.")],
    row: Annotated[int | None, typer.Option(help="Row of the part in the records.")] = None,
    part_id: Annotated[int | None, typer.Option(help="Instead of the row: the PLC's part id, the latest one.")] = None,
    near: Annotated[str | None, typer.Option(help="With --part-id: UTC time near which it was inspected.")] = None,
    classes: Annotated[
        list[str] | None, typer.Option("--class", help="Class of a defect; several are possible.")
    ] = None,
    camera: Annotated[str | None, typer.Option(help="Camera that shows it, where the line has several.")] = None,
    confirm: Annotated[bool, typer.Option("--confirm", help="The outlines of the network are right.")] = False,
    who: Annotated[str, typer.Option(help="Name of the inspector. (default: the user)")] = "",
    note: Annotated[str, typer.Option(help="Remark.")] = "",
) -> None:
    """Mark a part as really good or really defective; the station's verdict stays on record as it is."""
    from getpass import getuser

    from edge.commands.review import mark_part
    from edge.config.line import load_line

    settings = load_line(line)
    found = mark_part(settings, truth, row, part_id, near, classes or [], camera, confirm, who or getuser(), note)
    console.print(found, soft_wrap=True)


def queue(
    line: Annotated[Path, typer.Argument(help="The line's configuration; the line may be running.")],
    most: Annotated[int, typer.Option(min=1, help="Parts to list.")] = 50,
) -> None:
    """List parts worth a person's look: unsure ones, those near a threshold, and good ones at random."""
    from edge.commands.review import queue_tables
    from edge.config.line import load_line

    for table in queue_tables(load_line(line), most):
        console.print(table, soft_wrap=isinstance(table, str), highlight=False)


def collect(
    lines: Annotated[list[Path], typer.Argument(help="Configurations of one or several stations.")],
    out: Annotated[Path, typer.Option(help="Data set to write, or to add to.")],
    engine: EngineOption = DEFAULT_ENGINE,
) -> None:
    """Write the marked parts as a data set for `train improve`: frames, masks, classes, and where each comes from."""
    from edge.commands.review import collect_lines

    for text in collect_lines(lines, out, engine):
        console.print(text, soft_wrap=True, highlight=False)


def release(
    bundle: Annotated[Path, typer.Argument(help="Folder of the bundle.")],
    line: Annotated[Path, typer.Argument(help="The line's configuration; the line may be running.")],
    who: Annotated[str, typer.Option(help="Name of the engineer. (default: the user)")] = "",
    note: Annotated[str, typer.Option(help="Reason.")] = "",
    anyway: Annotated[int, typer.Option("--anyway", count=True, help="Twice: in spite of its trial, or of none.")] = 0,
) -> None:
    """Bring a bundle to the line: verify signature and golden frames on this machine, then switch between two parts."""
    from edge.commands.release import release_to

    for text in release_to(bundle, line, who, note, anyway):
        console.print(text, soft_wrap=True, highlight=False)


def rollback(
    line: Annotated[Path, typer.Argument(help="The line's configuration; the line may be running.")],
    who: Annotated[str, typer.Option(help="Name of the engineer. (default: the user)")] = "",
    note: Annotated[str, typer.Option(help="Reason.")] = "",
) -> None:
    """Switch the line back to the bundle that was in force before."""
    from edge.commands.release import roll_back_to

    for text in roll_back_to(line, who, note):
        console.print(text, soft_wrap=True, highlight=False)


def releases(line: Annotated[Path, typer.Argument(help="The line's configuration.")]) -> None:
    """List the bundles that were in force on the line, the latest last."""
    from edge.commands.release import releases_table
    from edge.config.line import load_line

    console.print(releases_table(load_line(line)))


def agreement(
    line: Annotated[Path, typer.Argument(help="The line's configuration, or its database of verdicts.")],
    parts: Annotated[
        Path | None,
        typer.Option(help="CSV of known parts: part, truth, row. (default: the known bad parts of challenges)"),
    ] = None,
) -> None:
    """Tabulate how station and people agree about known parts: within, between, and against the truth."""
    from edge.reports.agreement import agreement_tables
    from edge.reports.command import ReportSource

    console.print(*agreement_tables(ReportSource.at(line).records, parts))
