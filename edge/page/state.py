"""What the station tells its page, and the page tells its readers."""

from datetime import datetime
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

VERDICTS = ("OK", "NG", "UNSURE", "TIMEOUT", "FAULT")
Condition = Literal["running", "alarm", "waiting", "failed", "silent"]


class PageMessage(BaseModel):
    """A frozen table; what stands beside a key is its description in the page's OpenAPI document."""

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)


class CameraState(PageMessage):
    """One camera."""

    name: str
    connected: bool
    frames: int
    """Handed over since the start."""
    damaged: int
    """Exposures without a usable frame."""
    lost: int
    """How often the connection was given up."""
    last_error: str


class AlarmState(PageMessage):
    """One thing that somebody has to look after."""

    name: str
    text: str
    """What was found, what was expected, what to do."""
    since: datetime
    part_id: int
    """The part that it concerns, 0 where it is none."""


class StationState(PageMessage):
    """The station at one moment."""

    time: datetime
    """Of this state, UTC."""
    started: datetime
    software: str
    bundle_name: str
    bundle_id: str
    engine: str
    shadow: bool
    """Verdicts are recorded, but nothing is rejected."""
    alive: bool
    """Whether every thread of the loop runs."""
    link_open: bool
    """Whether messages pass both ways between station and PLC."""
    cameras: tuple[CameraState, ...]
    alarms: tuple[AlarmState, ...]
    triggers: int
    """Parts that the PLC has triggered since the start."""
    overruns: int
    """Those of them that came while too many were open; each got TIMEOUT."""
    acknowledged: int
    """Results that the PLC has acknowledged."""
    undelivered: int
    """Results that were given up."""
    rows_late: int
    """Rows that reached the disk after their result was sent."""
    challenge_due: datetime | None = None
    """Since when the station asks for known bad parts, null while it does not."""
    challenge_missing: int = 0
    """Parts that a running challenge waits for, 0 if none runs."""
    disk_refuses: str
    """Why the disk refuses rows at present, empty while it takes them."""


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
    """Its row in the records."""
    time: datetime
    """When its result was sent, UTC."""
    part_id: int
    verdict: str
    told: str
    """What the PLC was told; another verdict in shadow mode only."""
    defects: tuple[DefectState, ...] = ()
    """The strongest first."""
    fault: str = ""
    """Why it is TIMEOUT or FAULT."""
    latency_ms: float | None = None
    """From the trigger to the sent result."""
    bundle_id: str = ""


class StationInfo(PageMessage):
    """The first thing that a page is told."""

    title: str
    token: str | None
    shift_starts: tuple[str, ...]
    """Local times of day, such as `06:00`."""
    records: str
    """Path of the database."""
    next_number: int
    """Row of the first part that this page will be told of; the earlier ones stand in the records."""


class StateUpdate(PageMessage):
    """What is new: the station's state, and the parts since the last update."""

    station: StationState
    parts: tuple[PartState, ...] = ()


class ViewPicture(PageMessage):
    """The picture of one view follows, as JPEG."""

    number: int
    camera: str


class ShownPart(PartState):
    """A part with its pictures."""

    pictures: dict[str, str] = Field(default_factory=dict)
    """Addresses by camera."""


class VerdictCount(PageMessage):
    """Verdicts of a span of time."""

    since: datetime
    parts: int
    passed: int
    """Parts with the verdict OK."""
    verdicts: dict[str, int]
    yield_percent: float | None
    """Passed parts of a hundred; null without any part."""


class ChartBar(PageMessage):
    """Verdicts of one bar of the chart."""

    time: datetime
    """Its beginning, UTC."""
    parts: int
    rejects: int


class Latency(PageMessage):
    """Trigger to sent result, over the latest parts."""

    parts: int
    p50_ms: float
    p99_ms: float
    worst_ms: float


class PageState(PageMessage):
    """All that the page shows."""

    title: str
    condition: Condition
    """Running; in alarm; waiting for the PLC; failed; or silent, which is when the station has said nothing for 2 s."""
    silent_s: float
    """For how long the station has said nothing."""
    station: StationState | None
    """Null until the station has said something."""
    last: ShownPart | None
    rejects: tuple[ShownPart, ...]
    """The latest parts that were not OK, the newest first."""
    hour: VerdictCount
    """Since the hour began."""
    shift: VerdictCount
    """Since the shift began."""
    latency: Latency | None


class HealthReport(PageMessage):
    """Whether parts are being inspected."""

    healthy: bool
    condition: Condition
    reasons: tuple[str, ...]
    """What is in the way."""
    alarms: tuple[str, ...]
    """Names of the active ones; they do not make the station unhealthy."""
