"""Rollout of a bundle to the stations of a plant, in waves, through a store that all of them reach.

The document `rollout` names bundle and waves, the bundle with its signature lies beside it, and each station writes its
own report. A station pulls: its wave begins when all stations of the waves before have confirmed, and nothing is
released any more once one of them has halted. A station that does not reach the store goes on with its bundle.
"""

from collections.abc import Callable
from datetime import datetime, timezone
from pathlib import Path
from typing import Literal
from uuid import uuid4

from pydantic import Field, ValidationError, field_validator

from bundle import BundleError, FrozenModel, first_problem, load_bundle
from edge.config.line import Line
from edge.config.schema import StationName
from edge.errors import ReleaseBusy, ReleaseError, StationError
from edge.monitoring.verdict_rates import exceeds
from edge.part import PAUSED_BY
from edge.records.database import reading
from edge.release.releases import ReleaseFolder
from edge.release.signature import signature_path
from edge.rollout.store import RolloutStore

PLAN = "rollout"
"""Name of the plan's document."""
WINDOW_PARTS = 20_000
"""Latest parts of a station that are looked at."""
FALSE_HALT = 1e-3
"""Probability that a station halts though its rejects have not risen."""
State = Literal["released", "confirmed", "halted"]


class RolloutPlan(FrozenModel):
    """A bundle and the stations that get it."""

    rollout_id: str
    """Another one each time that a rollout is published; reports about others are ignored."""
    bundle_id: str
    waves: tuple[tuple[StationName, ...], ...] = Field(min_length=1)
    parts: int = Field(ge=1)
    """Parts that a station judges with the new bundle before it confirms."""

    @field_validator("waves")
    @classmethod
    def _has_each_station_once(cls, waves: tuple[tuple[str, ...], ...]) -> tuple[tuple[str, ...], ...]:
        names = [name for wave in waves for name in wave]
        if twice := sorted({name for name in names if names.count(name) > 1}):
            raise ValueError(f"found {', '.join(twice)} more than once, expected each station in one wave")
        return waves


class StationReport(FrozenModel):
    """Where one station stands."""

    rollout_id: str
    state: State
    text: str
    time: datetime
    """UTC."""


def publish(bundle: Path, store: RolloutStore, plan_waves: list[list[str]], parts: int) -> RolloutPlan:
    """Copy a signed bundle to the store and put it up for the stations; earlier reports of theirs count no more.

    Raises BundleError, ReleaseError.
    """
    bundle_id = load_bundle(bundle).id
    if not signature_path(bundle).is_file():
        raise ReleaseError(f"{bundle}: found no signature beside it, expected one; sign it by `edge-export sign`")
    try:
        waves = tuple(map(tuple, plan_waves))
        plan = RolloutPlan(rollout_id=uuid4().hex, bundle_id=bundle_id, waves=waves, parts=parts)
    except ValidationError as error:
        raise ReleaseError(f"rollout: {first_problem(error)}") from None
    store.add_bundle(bundle, bundle_id)
    store.write(PLAN, _json(plan))
    return plan


def pull(
    line: Line, station: str, store: RolloutStore, release: Callable[[Path], None], roll_back: Callable[[], None]
) -> str:
    """Take the next step of a station, if it is due; returns what was done or what it waits for.

    release: releases a bundle to the line by signature and golden frames. A refusal is reported, and halts the rollout.
    Raises BundleError, ReleaseError, StationError.
    """
    check_line(line)
    with ReleaseFolder(line.bundle).alone(".rollout.lock"):  # a second rollback would bring the bundle back
        return _pull(line, station, store, release, roll_back)


def check_line(line: Line) -> None:
    """Refuse a line that no rollout can reach; raises ReleaseError."""
    if line.release is None:
        raise ReleaseError("line.toml: found no [release] keys, expected them; a rollout takes signed bundles only")
    if line.release.log_in:
        raise ReleaseError("line.toml: found log_in = true in [release], expected false; no person is there to log in")


def _pull(
    line: Line, station: str, store: RolloutStore, release: Callable[[Path], None], roll_back: Callable[[], None]
) -> str:
    plan = read_plan(store)
    reports = read_reports(store, plan)
    wave = next((place for place, names in enumerate(plan.waves) if station in names), None)
    if wave is None:
        raise ReleaseError(f"{store}: found no station {station!r} in its waves; name one of them")
    if halted := [name for name, report in reports.items() if report.state == "halted"]:
        return f"halted by {', '.join(halted)}: {reports[halted[0]].text}"
    mine = reports.get(station)
    if mine is None:
        earlier = [name for names in plan.waves[:wave] for name in names]
        waiting = [name for name in earlier if name not in reports or reports[name].state != "confirmed"]
        if waiting:
            return f"wave {wave + 1} waits for {', '.join(waiting)}"
        return _released(line, station, store, plan, release)
    return mine.text if mine.state == "confirmed" else _judged(line, station, store, plan, roll_back)


def read_plan(store: RolloutStore) -> RolloutPlan:
    """Read the plan of a store; raises ReleaseError."""
    content = store.read(PLAN)
    if content is None:
        raise ReleaseError(f"{store}: found no rollout; publish one there first")
    try:
        return RolloutPlan.model_validate_json(content)
    except ValidationError as error:
        raise ReleaseError(f"{store}: the rollout cannot be used ({first_problem(error)}); publish it again") from None


def read_reports(store: RolloutStore, plan: RolloutPlan) -> dict[str, StationReport]:
    """Read the reports about a rollout by station, without those not yet written; raises ReleaseError."""
    reports = {}
    for station in (name for names in plan.waves for name in names):
        content = store.read(_report_name(station))
        if content is None:
            continue
        try:
            report = StationReport.model_validate_json(content)
        except ValidationError:
            raise ReleaseError(
                f"{store}: {_report_name(station)} cannot be read; remove it, the rollout stands until then"
            ) from None
        if report.rollout_id == plan.rollout_id:
            reports[station] = report
    return reports


def _released(line: Line, station: str, store: RolloutStore, plan: RolloutPlan, release: Callable[[Path], None]) -> str:
    if ReleaseFolder(line.bundle).current != plan.bundle_id:  # else this process was killed before its report
        with store.bundle(plan.bundle_id) as bundle:  # a store that is out of reach halts nothing
            try:
                release(bundle)
            except ReleaseBusy:
                raise  # tried again by the next pull
            except (BundleError, StationError) as error:
                _write(station, store, plan, "halted", f"refused: {error}")
                raise
    return _write(station, store, plan, "released", f"released, {plan.parts} parts to judge")


def _judged(line: Line, station: str, store: RolloutStore, plan: RolloutPlan, roll_back: Callable[[], None]) -> str:
    (parts, rejects), (parts_before, rejects_before) = _counts(line.records, plan.bundle_id)
    if parts < plan.parts:
        return f"{parts} of {plan.parts} parts judged"
    rate = (rejects_before + 1) / (parts_before + 2)
    told = f"{rejects} of {parts} parts rejected, {rejects_before} of {parts_before} before"
    if exceeds(rejects, parts, rate, FALSE_HALT):
        if ReleaseFolder(line.bundle).current == plan.bundle_id:  # else this process was killed before its report
            try:
                roll_back()
            except ReleaseBusy:
                raise  # tried again by the next pull
            except (BundleError, StationError) as error:
                _write(station, store, plan, "halted", f"NOT rolled back, {error}: {told}")
                raise
        return _write(station, store, plan, "halted", f"rolled back: {told}")
    return _write(station, store, plan, "confirmed", f"confirmed: {told}")


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


def _write(station: str, store: RolloutStore, plan: RolloutPlan, state: State, text: str) -> str:
    report = StationReport(rollout_id=plan.rollout_id, state=state, text=text, time=datetime.now(timezone.utc))
    store.write(_report_name(station), _json(report))
    return text


def _json(document: FrozenModel) -> bytes:
    return f"{document.model_dump_json(indent=1)}\n".encode()


def _report_name(station: str) -> str:
    return f"station-{station}"
