"""A line's configuration: one TOML file."""

from pathlib import Path
from typing import Any, Literal

from pydantic import Field, ValidationError, field_validator, model_validator

from bundle import first_problem
from bundle.toml_text import parse_toml
from edge.config.challenge import ChallengeSettings
from edge.config.ejector import ConfirmationSettings, EjectorSettings
from edge.config.schema import CameraSettings, DriftSettings, PageSettings, PictureSettings, Table
from edge.errors import LineConfigError

ENTRIES_IN_MEMORY = 20_000
"""Default of the key of this name. An entry has about 1 kB; a part has two or three: its row, delivery, pictures."""


class Line(Table):
    """One line. Paths are relative to the folder of the file they stand in."""

    bundle: Path
    """Folder of the bundle."""
    camera: tuple[CameraSettings, ...] = Field(min_length=1)
    """The cameras; every trigger exposes them all, and the part is as bad as its worst view."""
    plc: str
    """Address of the PLC or reject controller, such as `serial:///dev/ttyTHS1?baud=115200`."""
    records: Path = Path("records.sqlite")
    """Database of the verdicts; made if it does not exist."""
    without_disk: Literal["fault", "memory"] = "fault"
    """What becomes of parts while the disk refuses rows: FAULT, because a verdict without a row would be lost with the
    power; or they go on, with their rows in memory. Pictures stop first, either way."""
    entries_in_memory: int = Field(default=ENTRIES_IN_MEMORY, ge=100, le=10_000_000)
    """Rows, and later notes on them, that may wait in memory for the disk, two or three of about a kilobyte for each
    part; when there is room for no more, every part is FAULT and has no row."""
    engine: str = "onnxruntime"
    """What runs the network; there is no falling back to another."""
    engine_threads: int | None = Field(default=None, ge=1, le=256)
    """CPU threads of the engine; left out, the engine chooses."""
    engine_reopens: bool = True
    """Whether a GPU's engine is opened again after its device has failed; every part until then is FAULT."""
    deadline_ms: float = Field(default=500, gt=0, le=60_000)
    """From a part's trigger to its verdict; later is TIMEOUT."""
    grab_timeout_ms: float = Field(default=200, gt=0, le=60_000)
    """From asking a camera for a frame to having it; longer is FAULT."""
    open_parts: int = Field(default=8, ge=1, le=256)
    """Parts between trigger and result at a time; a trigger beyond that is TIMEOUT."""
    record_wait_ms: float = Field(default=5, ge=0, le=1000)
    """How long a verdict waits for its row to be on disk before it is sent all the same."""
    unsure_margin: float = Field(default=0, ge=0, le=1)
    """A class whose score is below its threshold by at most this makes the part UNSURE."""

    trigger: Literal["plc", "camera", "free"] = "plc"
    """Who tells of the parts: "plc", its triggers; "camera", a camera on a sensor's wire, each frame of which is a
    part; "free", a camera that runs freely over a web or belt, each frame of which is a part as well, and whose silence
    is a FAULT. Without the PLC's triggers a part's id is its row in the records, and there is one camera."""
    every_counts: int = Field(default=0, ge=0, le=2**31 - 1)
    """Frames nearer to the last part than so many encoder counts are passed over, so that a web that stands or creeps
    is not inspected again and again; needs a PLC that sends Belt messages. 0 is off. Not for trigger = "plc"."""
    report: Literal["all", "rejects"] = "all"
    """Which results the PLC is sent; with "rejects" it has to take silence for good. Not for trigger = "plc"."""

    shadow: bool = False
    """For commissioning: verdicts are recorded, but the PLC is told OK for every part. Nothing is rejected."""
    alarm_after_rejects: int = Field(default=0, ge=0, le=10_000)
    """So many rejects in a row are an alarm in the log and a Fault message to the PLC; 0 is off."""

    recipes: dict[int, Path] = Field(default={})
    """Bundles by the PLC's recipe number, the table `[recipes]`: `2 = "models/other"`. A number that is not here is
    refused."""
    pictures: PictureSettings | None = None
    """Which pictures are kept; without this table none are."""
    drift: DriftSettings = DriftSettings()
    """When a change of parts or pictures is an alarm."""
    ejector: EjectorSettings | None = None
    """How rejected parts are thrown out; without this table the PLC does that."""
    confirmation: ConfirmationSettings | None = None
    """When a rejected part is missed in the bin; without this table nobody looks, unless a reject controller does."""
    challenge: ChallengeSettings = ChallengeSettings()
    """When the station asks for a known bad part."""
    page: PageSettings | None = None
    """What a browser sees of the running station; without this table there is no page."""

    @property
    def deadline_s(self) -> float:
        """`deadline_ms` in seconds."""
        return self.deadline_ms / 1e3

    @property
    def grab_timeout_s(self) -> float:
        """`grab_timeout_ms` in seconds."""
        return self.grab_timeout_ms / 1e3

    @property
    def record_wait_s(self) -> float:
        """`record_wait_ms` in seconds."""
        return self.record_wait_ms / 1e3

    @model_validator(mode="after")
    def _fits_the_trigger(self) -> "Line":
        if self.trigger == "plc" and (self.every_counts or self.report != "all"):
            raise ValueError(
                'found every_counts or report with trigger = "plc", expected them with another trigger only'
            )
        if self.trigger != "plc" and len(self.camera) > 1:
            found = f"found {len(self.camera)} cameras with trigger = {self.trigger!r}"
            raise ValueError(f"{found}, expected one; run a station for each")
        return self

    @field_validator("camera")
    @classmethod
    def _different_names(cls, cameras: tuple[CameraSettings, ...]) -> tuple[CameraSettings, ...]:
        names = [camera.name for camera in cameras]
        if len(set(names)) < len(names):
            raise ValueError(f"the names {names} are not all different; give each [[camera]] a name of its own")
        return cameras


def load_line(path: Path) -> Line:
    """Read a line's configuration; raises LineConfigError with file, key, value and what is allowed."""
    try:
        content = parse_toml(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise LineConfigError(f"{path}: cannot be read ({error.strerror}), expected a line's TOML file") from None
    except ValueError as error:  # TOML and UTF-8 errors alike
        raise LineConfigError(f"{path}: is not TOML ({error}); correct that line") from None
    return parse_line(content, path)


def parse_line(content: dict[str, Any], path: Path) -> Line:
    """Check the content of the file at `path`."""
    try:
        line = Line.model_validate(content)
    except ValidationError as error:
        allowed = ", ".join(Line.table_at(error.errors()[0]["loc"]).model_fields)
        raise LineConfigError(f"{path}: {first_problem(error)}; the keys are: {allowed}") from None
    folder = path.parent
    cameras = tuple(
        camera.model_copy(update={"ignore": folder / camera.ignore}) if camera.ignore else camera
        for camera in line.camera
    )
    pictures = line.pictures
    if pictures is not None:
        pictures = pictures.model_copy(update={"folder": folder / pictures.folder})
    recipes = {number: folder / bundle for number, bundle in line.recipes.items()}
    paths = {"bundle": folder / line.bundle, "records": folder / line.records, "recipes": recipes}
    return line.model_copy(update={**paths, "camera": cameras, "pictures": pictures})
