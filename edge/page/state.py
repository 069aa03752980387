"""Messages from the station to its page and its OPC UA server, and responses of the page's routes."""

from datetime import datetime
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

from edge.config.challenge import ChallengeSettings
from edge.config.schema import ONE_LINE, PageSettings
from edge.part import is_pause
from edge.review.marks import Truth

VERDICTS = ("OK", "NG", "UNSURE", "TIMEOUT", "FAULT")
Condition = Literal["running", "alarm", "paused", "waiting", "stopping", "stopped", "failed", "silent"]


class PageMessage(BaseModel):
    """A frozen table; the docstring of a field is its description in the OpenAPI document."""

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)


class CameraState(PageMessage):
    """One camera."""

    name: str
    connected: bool
    frames: int
    """Received frames since the start."""
    damaged: int
    """Exposures without a usable frame."""
    lost: int
    """Number of lost connections."""
    last_error: str


class AlarmState(PageMessage):
    """One active alarm."""

    name: str
    text: str
    """Message: found, expected, action."""
    since: datetime
    part_id: int
    """Part id; 0 without a part."""
    acknowledgeable: bool = False
    """Whether it stays until an operator acknowledges it."""


class PauseInForce(PageMessage):
    """Pause by an operator; every part is FAULT."""

    who: str
    reason: str
    since: datetime


class StationState(PageMessage):
    """State of the station."""

    time: datetime
    """Time of this state, UTC."""
    started: datetime
    software: str
    bundle_name: str
    bundle_id: str
    engine: str
    thresholds: dict[str, float] = Field(default_factory=dict)
    """Score threshold of each class of the bundle."""
    shadow: bool
    """Shadow mode: verdicts are recorded, but nothing is rejected."""
    alive: bool
    """Whether every thread of the pipeline runs; the threads of a planned stop end without a failure."""
    stopping: bool = False
    """Whether the station has been told to stop."""
    paused: PauseInForce | None = None
    """Null while parts are inspected."""
    link_open: bool
    """Whether station and PLC are connected."""
    cameras: tuple[CameraState, ...]
    alarms: tuple[AlarmState, ...]
    recipe: int = 0
    """Recipe number of the bundle; 0 if it has none."""
    verdicts: dict[str, int] = Field(default_factory=dict)
    """Parts since the start, by verdict."""
    triggers: int
    """Triggers of the PLC since the start."""
    overruns: int
    """Triggers while too many parts were open; each part got TIMEOUT."""
    acknowledged: int
    """Results acknowledged by the PLC."""
    undelivered: int
    """Results that could not be delivered."""
    rows_late: int
    """Rows that reached the disk after their result was sent."""
    challenge_due: datetime | None = None
    """Time since which a challenge is due; null if none is."""
    challenge_missing: int = 0
    """Missing parts of a running challenge; 0 if none runs."""
    disk_refuses: str
    """Error of the disk that refuses rows; empty while it accepts them."""


class DefectState(PageMessage):
    """One defect."""

    class_name: str
    score: float
    area_px: float
    """In pixels of the network's input."""
    camera: str


class PartState(PageMessage):
    """One part with its verdict."""

    number: int
    """Row in the records."""
    time: datetime
    """Time of the sent result, UTC."""
    part_id: int
    encoder: int = 0
    """Encoder count of the trigger."""
    verdict: str
    told: str
    """Verdict sent to the PLC; differs only in shadow mode."""
    defects: tuple[DefectState, ...] = ()
    """The strongest first."""
    fault: str = ""
    """Reason of a TIMEOUT or FAULT."""
    latency_ms: float | None = None
    """From the trigger to the sent result."""
    bundle_id: str = ""
    recipe: int = 0
    """Recipe number of that bundle; 0 if it has none."""

    @property
    def paused(self) -> bool:
        """FAULT because an operator has paused the station."""
        return is_pause(self.fault)


class StationInfo(PageMessage):
    """First message to a page."""

    settings: PageSettings
    records: str
    """Path of the database."""
    pictures: str | None = None
    """Folder of the stored pictures; null if none are stored."""
    challenge: ChallengeSettings = ChallengeSettings()
    next_number: int
    """Row of the first part that is sent to this page; earlier parts are in the records."""


class StateUpdate(PageMessage):
    """The station's state and the parts since the last update."""

    station: StationState
    parts: tuple[PartState, ...] = ()


class ViewPicture(PageMessage):
    """Picture of one view; the JPEG follows as content."""

    number: int
    camera: str


class PartMark(PageMessage):
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


class VerdictCount(PageMessage):
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


class ChartBar(PageMessage):
    """Verdicts of one bar of the chart."""

    time: datetime
    """Start, UTC."""
    parts: int
    rejects: int


class Latency(PageMessage):
    """Latency from trigger to sent result of the latest parts."""

    parts: int
    p50_ms: float
    p99_ms: float
    worst_ms: float


class PageState(PageMessage):
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


class OperatorName(PageMessage):
    """Operator of a request."""

    who: str = Field(min_length=1, max_length=60, pattern=ONE_LINE)


class OperatorRequest(OperatorName):
    """Operator of a request, with the reason."""

    reason: str = Field(min_length=1, max_length=200, pattern=ONE_LINE)


class PageProblem(PageMessage):
    """Answer to a request that cannot be served."""

    detail: str | list[dict[str, object]]
    """In words; for a value that is not as described, a list with the place of each."""


class OperatorAnswer(PageMessage):
    """Result of an operator's request."""

    done: str


class HealthReport(PageMessage):
    """Whether parts are inspected."""

    healthy: bool
    condition: Condition
    reasons: tuple[str, ...]
    """Reasons why parts are not inspected."""
    alarms: tuple[str, ...]
    """Names of the active alarms; they do not make the station unhealthy."""
