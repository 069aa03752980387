"""Commands of a rollout: `edge-inspect rollout publish`, `pull`, `status` and `timer`."""

from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from edge.commands.options import console

if TYPE_CHECKING:
    from edge.rollout.store import RolloutStore


rollout = typer.Typer(
    no_args_is_help=True, help="A bundle for all stations of a plant, in waves, by folder or registry."
)

Place = Annotated[str, typer.Argument(help="Folder that all stations reach, or oci://host:port/repository.")]
User = Annotated[str, typer.Option(help="User of the registry. (default: none)")]
Station = Annotated[str, typer.Option(help="Name of this station in the waves.")]
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
    plan = publish(bundle, store, [[name.strip() for name in names.split(",")] for names in wave], parts)
    console.print(f"{store}: {plan.bundle_id[:12]} for {len(plan.waves)} waves", soft_wrap=True, highlight=False)


@rollout.command("pull")
def rollout_pull(
    line: Annotated[Path, typer.Argument(help="The line's configuration; the line may be running.")],
    place: Place,
    station: Station,
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
    console.print(f"bundle {plan.bundle_id[:12]}, {plan.parts} parts a station", soft_wrap=True, highlight=False)
    for number, names in enumerate(plan.waves, start=1):
        for name in names:
            report = reports.get(name)
            told = f"{report.text}, {report.time:%Y-%m-%d %H:%M} UTC" if report else "no report"
            told = f"halted, {told}" if report and report.state == "halted" else told
            console.print(f"wave {number}  {name}: {told}", soft_wrap=True, markup=False, highlight=False)


@rollout.command("timer")
def rollout_timer(
    line: Annotated[Path, typer.Argument(help="The line's configuration.")],
    place: Place,
    station: Station,
    out: Annotated[Path, typer.Option(help="Folder of the units, such as /etc/systemd/system.")],
    minutes: Annotated[int, typer.Option(min=1, max=1440, help="Pause between two steps.")] = 5,
    run_as: Annotated[str, typer.Option(help="User of the service; that of the station.")] = "edge-inspect",
    user: User = "",
    password_file: PasswordFile = None,
    ca_file: CaFile = None,
) -> None:
    """Write systemd units that take this station's steps of rollouts: by time, and at once on an MQTT command."""
    from edge.commands.rollout.timer import timer_units, write_units

    _open_store(place, user, password_file, ca_file)  # refuses what no pull could use
    options = {"--user": user, "--password-file": password_file, "--ca-file": ca_file}
    given = {name: value.resolve() if isinstance(value, Path) else value for name, value in options.items() if value}
    for text in write_units(timer_units(line, place, station, given, minutes, run_as), out):
        console.print(text, soft_wrap=True, highlight=False)


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
