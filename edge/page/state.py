"""Further messages from the station to its page, and responses of the page's routes."""

from datetime import datetime
from typing import Literal

from pydantic import Field

from edge.config.challenge import ChallengeSettings
from edge.config.page import PageSettings
from edge.config.schema import ONE_LINE
from edge.review.marks import Truth
from edge.servers.state import PartState, ServerMessage, StationState

Condition = Literal["running", "alarm", "paused", "waiting", "stopping", "stopped", "failed", "silent"]


class StationInfo(ServerMessage):
    """First message to a page."""

    settings: PageSettings
    records: str
    """Path of the database."""
    pictures: str | None = None
    """Folder of the stored pictures; null if none are stored."""
    challenge: ChallengeSettings = ChallengeSettings()
    next_number: int
    """Row of the first part that is sent to this page; earlier parts are in the records."""


class ViewPicture(ServerMessage):
    """Picture of one view; the JPEG follows as content."""

    number: int
    camera: str


class InspectedDefect(ServerMessage):
    """Defect in a picture of another program."""

    class_name: str
    score: float
    box: tuple[int, int, int, int]
    """x, y, width, height in pixels of the picture."""
    area_px: float
    """In pixels of the picture."""
    outlines: tuple[tuple[tuple[int, int], ...], ...]
    """Outer contours, x and y in pixels of the picture."""


class InspectedPicture(ServerMessage):
    """Verdict on a picture of another program; it is not recorded."""

    bundle_id: str
    verdict: Literal["OK", "NG", "UNSURE"]
    scores: dict[str, float]
    """Probability of each class, 0 to 1."""
    defects: tuple[InspectedDefect, ...]


class PartMark(ServerMessage):
    """Mark of a part by an inspector."""

    who: str
    time: datetime
    truth: Truth
    classes: tuple[str, ...] = ()
    """Of a defective part."""
    note: str = ""


class ShownPart(PartState):
    """A part with its pictures."""

    pictures: dict[str, str] = Field(default_factory=dict)
    """Addresses by camera."""
    mark: PartMark | None = None
    """The latest mark; null without one, and for parts that were not read from the records."""


class VerdictCount(ServerMessage):
    """Verdicts of a period."""

    since: datetime
    parts: int
    """Parts without those of a pause."""
    passed: int
    """Parts with the verdict OK."""
    paused: int = 0
    """Parts that were FAULT because an operator had paused the station."""
    verdicts: dict[str, int]
    yield_percent: float | None
    """Share of passed parts in percent; null without parts."""


class ChartBar(ServerMessage):
    """Verdicts of one bar of the chart."""

    time: datetime
    """Start, UTC."""
    parts: int
    rejects: int


class Latency(ServerMessage):
    """Latency from trigger to sent result of the latest parts."""

    parts: int
    p50_ms: float
    p99_ms: float
    worst_ms: float


class PageState(ServerMessage):
    """Everything that the page shows."""

    title: str
    condition: Condition
    """Running, alarm, paused by an operator, waiting for the PLC, stopping, stopped as planned, failed, or silent (no
    update from the station for 2 s)."""
    silent_s: float
    """Time since the last update of the station."""
    station: StationState | None
    """Null before the first update."""
    last: ShownPart | None
    rejects: tuple[ShownPart, ...]
    """The latest parts that were not OK, the newest first."""
    hour: VerdictCount
    """Since the hour began."""
    shift: VerdictCount
    """Since the shift began."""
    latency: Latency | None


class OperatorName(ServerMessage):
    """Operator of a request."""

    who: str = Field(min_length=1, max_length=60, pattern=ONE_LINE)


class OperatorRequest(OperatorName):
    """Operator of a request, with the reason."""

    reason: str = Field(min_length=1, max_length=200, pattern=ONE_LINE)


class PageProblem(ServerMessage):
    """Answer to a request that cannot be served."""

    detail: str | list[dict[str, object]]
    """In words; for a value that is not as described, a list with the place of each."""


class OperatorAnswer(ServerMessage):
    """Result of an operator's request."""

    done: str


class HealthReport(ServerMessage):
    """Whether parts are inspected."""

    healthy: bool
    condition: Condition
    reasons: tuple[str, ...]
    """Reasons why parts are not inspected."""
    alarms: tuple[str, ...]
    """Names of the active alarms; they do not make the station unhealthy."""
