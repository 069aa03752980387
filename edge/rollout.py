"""Rollout of a bundle to the stations of a plant, in waves, through one folder that all of them reach.

`rollout.json` names bundle and waves, the bundle with its signature lies beside it, and each station writes its own
report. A station pulls: its wave begins when all stations of the waves before have confirmed, and nothing is
released any more once one of them has halted. A station that does not reach the folder goes on with its bundle.
"""

from collections.abc import Callable
from datetime import datetime, timezone
from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field, StringConstraints, ValidationError

from bundle import BundleError, FrozenModel, first_problem, load_bundle, write_whole
from edge.config.line import Line
from edge.errors import ReleaseError, StationError
from edge.monitoring.verdict_rates import exceeds
from edge.part import PAUSED_BY
from edge.records.database import reading
from edge.release.releases import ReleaseFolder
from edge.release.signature import signature_path

PLAN = "rollout.json"
WINDOW_PARTS = 20_000
"""Latest parts of a station that are looked at."""
FALSE_HALT = 1e-3
"""Probability that a station halts though its rejects have not risen."""
StationName = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9][A-Za-z0-9_-]*$", max_length=60)]


class RolloutPlan(FrozenModel):
    """A bundle and the stations that get it."""

    bundle_id: str
    waves: tuple[tuple[StationName, ...], ...] = Field(min_length=1)
    parts: int = Field(ge=1)
    """Parts that a station judges with the new bundle before it confirms."""


class StationReport(FrozenModel):
    """Where one station stands."""

    bundle_id: str
    state: Literal["released", "confirmed", "halted"]
    text: str
    time: datetime


def publish(bundle: Path, folder: Path, plan_waves: list[list[str]], parts: int) -> RolloutPlan:
    """Copy a signed bundle to the folder and put it up for the stations; earlier reports of theirs are removed.

    Raises BundleError, ReleaseError.
    """
    bundle_id = load_bundle(bundle).id
    if not signature_path(bundle).is_file():
        raise ReleaseError(f"{bundle}: found no signature beside it, expected one; sign it by `edge-export sign`")
    try:
        plan = RolloutPlan(bundle_id=bundle_id, waves=tuple(map(tuple, plan_waves)), parts=parts)
    except ValidationError as error:
        raise ReleaseError(f"rollout: {first_problem(error)}") from None
    ReleaseFolder(folder / "latest").add(bundle, bundle_id)
    for name in (name for names in plan.waves for name in names):
        _report_path(folder, name).unlink(missing_ok=True)
    write_whole(folder / PLAN, plan.model_dump_json(indent=1) + "\n")
    return plan


def pull(line: Line, station: str, folder: Path, release: Callable[[Path], None], roll_back: Callable[[], None]) -> str:
    """Take the next step of a station, if it is due; returns what was done or what it waits for.

    release: releases a bundle to the line by signature and golden frames. A refusal is reported, and halts the rollout.
    Raises BundleError, ReleaseError, StationError.
    """
    if line.release is None:
        raise ReleaseError("line.toml: found no [release] keys, expected them; a rollout takes signed bundles only")
    plan = read_plan(folder)
    reports = read_reports(folder, plan)
    wave = next((place for place, names in enumerate(plan.waves) if station in names), None)
    if wave is None:
        raise ReleaseError(f"{folder / PLAN}: found no station {station!r} in its waves; name one of them")
    if halted := [name for name, report in reports.items() if report.state == "halted"]:
        return f"halted by {', '.join(halted)}: {reports[halted[0]].text}"
    mine = reports.get(station)
    if mine is None:
        earlier = [name for names in plan.waves[:wave] for name in names]
        waiting = [name for name in earlier if name not in reports or reports[name].state != "confirmed"]
        if waiting:
            return f"wave {wave + 1} waits for {', '.join(waiting)}"
        return _released(line, station, folder, plan, release)
    return mine.text if mine.state == "confirmed" else _judged(line, station, folder, plan, roll_back)


def read_plan(folder: Path) -> RolloutPlan:
    """Read the plan of a folder; raises ReleaseError."""
    try:
        return RolloutPlan.model_validate_json((folder / PLAN).read_bytes())
    except (OSError, ValidationError) as error:
        words = first_problem(error) if isinstance(error, ValidationError) else error.strerror
        raise ReleaseError(f"{folder / PLAN}: cannot be used ({words}); publish the rollout again") from None


def read_reports(folder: Path, plan: RolloutPlan) -> dict[str, StationReport]:
    """Read the reports about the plan's bundle by station, without those not yet written; raises ReleaseError."""
    reports = {}
    for station in (name for names in plan.waves for name in names):
        path = _report_path(folder, station)
        try:
            report = StationReport.model_validate_json(path.read_bytes())
        except FileNotFoundError:
            continue
        except (OSError, ValidationError):
            raise ReleaseError(f"{path}: cannot be read; correct or remove it, the rollout stands until then") from None
        if report.bundle_id == plan.bundle_id:
            reports[station] = report
    return reports


def _released(line: Line, station: str, folder: Path, plan: RolloutPlan, release: Callable[[Path], None]) -> str:
    if ReleaseFolder(line.bundle).current != plan.bundle_id:  # else this process was killed before its report
        try:
            release(folder / plan.bundle_id)
        except (BundleError, StationError) as error:
            _write(folder, station, plan, "halted", f"refused: {error}")
            raise
    return _write(folder, station, plan, "released", f"released, {plan.parts} parts to judge")


def _judged(line: Line, station: str, folder: Path, plan: RolloutPlan, roll_back: Callable[[], None]) -> str:
    (parts, rejects), (parts_before, rejects_before) = _counts(line.records, plan.bundle_id)
    if parts < plan.parts:
        return f"{parts} of {plan.parts} parts judged"
    rate = (rejects_before + 1) / (parts_before + 2)
    told = f"{rejects} of {parts} parts rejected, {rejects_before} of {parts_before} before"
    if exceeds(rejects, parts, rate, FALSE_HALT):
        roll_back()
        return _write(folder, station, plan, "halted", f"rolled back: {told}")
    return _write(folder, station, plan, "confirmed", f"confirmed: {told}")


def _counts(records: Path, bundle_id: str) -> tuple[tuple[int, int], tuple[int, int]]:
    """Count parts and rejects with the bundle, and with all others, of the latest parts without those of a pause."""
    query = (
        "SELECT bundle_id = ?, count(*), sum(verdict <> 1) FROM parts "
        "WHERE number > (SELECT coalesce(max(number), 0) FROM parts) - ? AND substr(fault, 1, ?) <> ? GROUP BY 1"
    )
    with reading(records) as connection:
        values = bundle_id, WINDOW_PARTS, len(PAUSED_BY), PAUSED_BY
        found = {bool(new): (int(parts), int(rejects)) for new, parts, rejects in connection.execute(query, values)}
    return found.get(True, (0, 0)), found.get(False, (0, 0))


def _write(
    folder: Path, station: str, plan: RolloutPlan, state: Literal["released", "confirmed", "halted"], text: str
) -> str:
    report = StationReport(bundle_id=plan.bundle_id, state=state, text=text, time=datetime.now(timezone.utc))
    write_whole(_report_path(folder, station), report.model_dump_json(indent=1) + "\n")
    return text


def _report_path(folder: Path, station: str) -> Path:
    return folder / "stations" / f"{station}.json"
