"""Requests and responses of the routes with which inspectors review parts."""

from datetime import datetime

from pydantic import Field

from edge.config.schema import ONE_LINE
from edge.page.state import OperatorName, PartMark, ShownPart
from edge.review.marks import MOST_POINTS, Polygon, Truth
from edge.servers.state import PartState, ServerMessage

NOTE = r"^[^\x00-\x1f\x7f]*$"
"""Empty, or one line."""
MOST_MARKS = 200
"""Parts that are marked by one request, at most."""


class QueuedPart(ShownPart):
    """A part of the review queue."""

    reason: str
    sampled: bool
    """Whether it was drawn at random from the passed ones, also where another reason lists it."""


class SampleShare(ServerMessage):
    """Share of defective parts among those that the bundle in use passed, estimated on the random sample."""

    marked: int
    """Parts of the random sample that were marked as good or defective."""
    defective: int
    share: float | None
    """Null without marked parts."""
    low: float | None
    """Ends of the exact 95 % interval of the share."""
    high: float | None


class ProposedOutline(ServerMessage):
    """Outline of one blob of the network's mask."""

    class_name: str
    score: float
    polygon: Polygon


class MarkedOutline(ServerMessage):
    """Outlines of one class in the frame of one camera."""

    camera: str
    class_name: str = Field(min_length=1, max_length=100, pattern=ONE_LINE)
    polygons: tuple[Polygon, ...] = Field(default=(), max_length=MOST_POINTS)
    """Corners x, y in pixels of the frame; empty if it was not outlined."""


class ReviewedView(ServerMessage):
    """Frame of one camera, with the network's defects."""

    camera: str
    width: int
    height: int
    frame: str | None
    """Address of the whole frame, without outlines; null if it was not kept."""
    proposals: tuple[ProposedOutline, ...] = ()
    candidate: tuple[ProposedOutline, ...] = ()
    """Outlines of the candidate on trial, where it disagrees."""


class CandidateOpinion(ServerMessage):
    """Verdict of a candidate on trial."""

    bundle_id: str
    verdict: str
    class_name: str
    """Of the strongest defect; empty without one."""
    score: float | None


class GivenMark(PartMark):
    """A mark with its outlines."""

    outlines: tuple[MarkedOutline, ...] = ()


class ReviewedPart(PartState):
    """A part with all that its review needs."""

    views: tuple[ReviewedView, ...]
    marks: tuple[GivenMark, ...]
    """The latest last."""
    candidate: CandidateOpinion | None = None
    """Of a candidate that disagrees, if there is one; null if none judged the part."""


class AskedMark(ServerMessage):
    """Opinion about one part."""

    part: int = Field(ge=0, lt=2**62)
    """Its row in the records."""
    truth: Truth
    note: str = Field(default="", max_length=200, pattern=NOTE)
    defects: tuple[MarkedOutline, ...] = Field(default=(), max_length=100)
    """Of a defective part: at least one."""
    sampled: bool = False
    """Whether the queue drew the part at random from the passed ones."""


class MarksRequest(OperatorName):
    """Marks on some parts; all are written or none."""

    marks: tuple[AskedMark, ...] = Field(min_length=1, max_length=MOST_MARKS)


class MarksAnswer(ServerMessage):
    """Written marks."""

    numbers: tuple[int, ...]
    """Their rows."""
    time: datetime
