"""Messages from the station to its servers: its state and the parts, as the page and the OPC UA server show them."""

from datetime import datetime

from pydantic import BaseModel, ConfigDict, Field

from edge.part import is_pause

VERDICTS = ("OK", "NG", "UNSURE", "TIMEOUT", "FAULT")


class ServerMessage(BaseModel):
    """A frozen table; the docstring of a field is its description in the OpenAPI document."""

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)


class CameraState(ServerMessage):
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


class AlarmState(ServerMessage):
    """One active alarm."""

    name: str
    text: str
    """Message: found, expected, action."""
    since: datetime
    part_id: int
    """Part id; 0 without a part."""
    acknowledgeable: bool = False
    """Whether it stays until an operator acknowledges it."""


class PauseInForce(ServerMessage):
    """Pause by an operator; every part is FAULT."""

    who: str
    reason: str
    since: datetime


class TrialState(ServerMessage):
    """Trial of a candidate bundle beside the one in force; counts since the start."""

    folder: str = ""
    """Folder of the candidate."""
    bundle_id: str = ""
    """Empty while the candidate is being opened."""
    running: bool = True
    """False after an error, which is an alarm."""
    judged: int = 0
    disagreed: int = 0
    """Parts that one of the bundles passes and the other rejects."""
    dropped: int = 0
    """Parts that came while the candidate was busy."""
    ms_per_part: float | None = None
    """Mean time of the candidate for a part, with its way to the candidate; null before the first."""


class StationState(ServerMessage):
    """State of the station."""

    time: datetime
    """Time of this state, UTC."""
    started: datetime
    software: str
    bundle_name: str
    bundle_id: str
    engine: str
    bundle_folder: str = ""
    thresholds: dict[str, float] = Field(default_factory=dict)
    """Score threshold of each class of the bundle."""
    shadow: bool
    """Shadow mode: verdicts are recorded, but nothing is rejected."""
    alive: bool
    """Whether every thread of the pipeline runs; the threads of a planned stop end without a failure."""
    threads: dict[str, bool] = Field(default_factory=dict)
    """Whether each thread of the pipeline runs, by name."""
    open_parts: int = 0
    """Parts between their trigger and their result."""
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
    trial: TrialState | None = None
    """Null without a trial."""
    disk_refuses: str
    """Error of the disk that refuses rows; empty while it accepts them."""


class DefectState(ServerMessage):
    """One defect."""

    class_name: str
    score: float
    area_px: float
    """In pixels of the network's input."""
    camera: str


class PartState(ServerMessage):
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
    stages_ms: dict[str, float] = Field(default_factory=dict)
    """End of each stage, from the trigger; empty for parts that were read from the records."""
    bundle_id: str = ""
    recipe: int = 0
    """Recipe number of that bundle; 0 if it has none."""

    @property
    def paused(self) -> bool:
        """FAULT because an operator has paused the station."""
        return is_pause(self.fault)


class StateUpdate(ServerMessage):
    """The station's state and the parts since the last update."""

    station: StationState
    parts: tuple[PartState, ...] = ()
