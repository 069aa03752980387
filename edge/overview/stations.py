"""Summary of each station: latest state, yield and rejects of the last hour, from the central records."""

from datetime import datetime, timedelta, timezone
from typing import Any

from pydantic import BaseModel, ConfigDict, ValidationError

from bundle import Verdict
from edge.central.database import CentralDatabase
from edge.servers.state import StationState

SILENT_S = 15.0
"""Age of a state after which a station is said to be silent; it writes one every two seconds."""
HOUR = timedelta(hours=1)
QUERY = """
    SELECT stations.station, stations.state, extract(epoch FROM now() - stations.seen)::float, hour.parts, hour.passed,
           hour.classes
    FROM edge_inspect.stations LEFT JOIN (
        SELECT station, sum(count)::bigint AS parts,
               coalesce(sum(count) FILTER (WHERE verdict = %(ok)s), 0)::bigint AS passed,
               jsonb_object_agg(cause, count) FILTER (WHERE verdict <> %(ok)s) AS classes
        FROM (SELECT station, verdict, verdict || ' ' || coalesce(class, '') AS cause, count(*) AS count
              FROM edge_inspect.parts WHERE time >= %(since)s GROUP BY station, verdict, class) AS counted
        GROUP BY station) AS hour ON hour.station = stations.station
    ORDER BY stations.station"""


class RejectCount(BaseModel):
    """Rejects of one verdict and class."""

    model_config = ConfigDict(frozen=True)

    verdict: str
    class_name: str
    parts: int


class StationSummary(BaseModel):
    """One station."""

    model_config = ConfigDict(frozen=True)

    name: str
    condition: str
    """As on the station's page: running, alarm, paused, waiting (for its PLC), stopped, failed; silent without news."""
    age_s: float | None
    """Age of the state; None if there is none yet."""
    alarms: tuple[str, ...] = ()
    bundle_name: str = ""
    bundle_id: str = ""
    recipe: int = 0
    shadow: bool = False
    parts: int = 0
    """Parts of the last hour."""
    passed: int = 0
    rejects: tuple[RejectCount, ...] = ()
    """Rejects of the last hour, the most frequent first."""


def read_summaries(database: CentralDatabase, now: datetime | None = None) -> list[StationSummary]:
    """Read all stations, none where no station has written yet; raises ServerError."""
    if not database.version():
        return []
    since = (now or datetime.now(timezone.utc)) - HOUR
    with database.transaction() as cursor:
        cursor.execute(QUERY, {"since": since, "ok": Verdict.OK.value})
        return [summarise(*row) for row in cursor.fetchall()]


def summarise(
    name: str, state: Any, age_s: float | None, parts: int | None, passed: int | None, causes: dict[str, int] | None
) -> StationSummary:
    """Summarise one station from its row."""
    counted = sorted((causes or {}).items(), key=lambda item: (-item[1], item[0]))
    rejects = [
        RejectCount(verdict=Verdict(int(verdict)).name, class_name=class_name, parts=count)
        for cause, count in counted
        for verdict, _, class_name in [cause.partition(" ")]
    ]
    counts: dict[str, Any] = {"parts": parts or 0, "passed": passed or 0, "rejects": tuple(rejects)}
    try:
        known = None if state is None else StationState.model_validate(state)
    except ValidationError:  # of another version of the software
        known = None
    if known is None:
        return StationSummary(name=name, condition="silent", age_s=age_s, **counts)
    return StationSummary(
        name=name,
        condition=condition_of(known, age_s),
        age_s=age_s,
        alarms=tuple(alarm.name for alarm in known.alarms),
        bundle_name=known.bundle_name,
        bundle_id=known.bundle_id,
        recipe=known.recipe,
        shadow=known.shadow,
        **counts,
    )


def condition_of(state: StationState, age_s: float | None) -> str:
    """Condition of a station whose latest state has this age."""
    if state.stopping:
        return "stopped"
    if age_s is None or age_s > SILENT_S:
        return "silent"
    if not state.alive:
        return "failed"
    if state.paused is not None:
        return "paused"
    if not state.link_open:
        return "waiting"
    return "alarm" if state.alarms else "running"
