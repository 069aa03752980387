"""Commands by which a line gets a better network: marks on parts, collected data, releases and the way back.

Each imports what it needs when it runs, so that `--help` answers at once.
"""

from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from edge.commands.options import EngineOption, console
from edge.engines.registry import DEFAULT_ENGINE
from edge.review.marks import Truth

if TYPE_CHECKING:
    from edge.rollout.store import RolloutStore

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


rollout = typer.Typer(
    no_args_is_help=True, help="A bundle for all stations of a plant, in waves, by folder or registry."
)

Place = Annotated[str, typer.Argument(help="Folder that all stations reach, or oci://host:port/repository.")]
User = Annotated[str, typer.Option(help="User of the registry. (default: none)")]
PasswordFile = Annotated[Path | None, typer.Option(help="File whose first line is the password of --user.")]
CaFile = Annotated[Path | None, typer.Option(help="Authorities of the registry's certificate, PEM.")]


@rollout.command("publish")
def rollout_publish(
    bundle: Annotated[Path, typer.Argument(help="Folder of the signed bundle.")],
    place: Place,
    wave: Annotated[list[str], typer.Option(help="Stations of a wave, with commas; repeat it for the next wave.")],
    parts: Annotated[int, typer.Option(min=1, help="Parts that a station judges before it confirms.")] = 500,
    user: User = "",
    password_file: PasswordFile = None,
    ca_file: CaFile = None,
) -> None:
    """Put a bundle up for the stations; each takes it at its next `rollout pull`."""
    from edge.rollout.rollout import publish

    store = _open_store(place, user, password_file, ca_file)
    plan = publish(bundle, store, [names.split(",") for names in wave], parts)
    console.print(f"{store}: {plan.bundle_id[:12]} for {len(plan.waves)} waves", soft_wrap=True, highlight=False)


@rollout.command("pull")
def rollout_pull(
    line: Annotated[Path, typer.Argument(help="The line's configuration; the line may be running.")],
    place: Place,
    station: Annotated[str, typer.Option(help="Name of this station in the waves.")],
    user: User = "",
    password_file: PasswordFile = None,
    ca_file: CaFile = None,
) -> None:
    """Take this station's next step of a rollout, if it is due: release, confirm, or roll back; for a timer."""
    from edge.commands.release import release_to, roll_back_to
    from edge.config.line import load_line
    from edge.rollout.rollout import pull

    def show(texts: Iterable[str]) -> None:
        for text in texts:
            console.print(text, soft_wrap=True, highlight=False)

    store = _open_store(place, user, password_file, ca_file)
    by, note = "rollout", f"rollout {store}"
    show(
        [
            pull(
                load_line(line),
                station,
                store,
                lambda bundle: show(release_to(bundle, line, by, note)),
                lambda: show(roll_back_to(line, by, note)),
            )
        ]
    )


@rollout.command("status")
def rollout_status(place: Place, user: User = "", password_file: PasswordFile = None, ca_file: CaFile = None) -> None:
    """Show where each station stands."""
    from edge.rollout.rollout import read_plan, read_reports

    store = _open_store(place, user, password_file, ca_file)
    plan = read_plan(store)
    reports = read_reports(store, plan)
    for number, names in enumerate(plan.waves, start=1):
        for name in names:
            told = f"{reports[name].state}, {reports[name].text}" if name in reports else "no report"
            console.print(f"wave {number}  {name}: {told}", soft_wrap=True, markup=False, highlight=False)


def _open_store(place: str, user: str, password_file: Path | None, ca_file: Path | None) -> "RolloutStore":
    """Open the store at a place; raises ReleaseError, ServerError for the file of the password."""
    from edge.errors import ReleaseError
    from edge.forwarding.secret import read_password
    from edge.rollout.folder import FolderStore

    if "://" not in place:
        if user or password_file or ca_file:
            raise ReleaseError(
                f"{place}: found a folder with options of a registry, expected oci://host:port/repository"
            )
        return FolderStore(Path(place))
    if bool(user) != (password_file is not None):
        raise ReleaseError("found one of --user and --password-file, expected both or neither")
    try:
        from edge.rollout.registry import RegistryStore
    except ImportError:
        raise ReleaseError(f"{place}: needs the package python-dxf; pip install 'edge-inspect[oci]'") from None
    return RegistryStore(place, user, read_password(password_file) if password_file else "", ca_file)
