"""Configuration of a line, read from `line.toml`."""

from pathlib import Path
from typing import Any, Literal

from pydantic import Field, ValidationError, field_validator, model_validator

from bundle import first_problem
from bundle.toml_text import parse_toml
from edge.config.central import CentralSettings
from edge.config.challenge import ChallengeSettings
from edge.config.defaults import DEFAULT_ENGINE, ENTRIES_IN_MEMORY, LATE_ROWS, MOST_THREADS
from edge.config.ejector import ConfirmationSettings, EjectorSettings
from edge.config.mqtt import MqttSettings
from edge.config.opcua import OpcUaSettings
from edge.config.page import PageSettings
from edge.config.release import ReleaseSettings, TrialSettings
from edge.config.s3 import S3Settings
from edge.config.schema import CameraSettings, DriftSettings, LineTable, PictureSettings, RateSettings
from edge.errors import LineConfigError


class Line(LineTable):
    """Configuration of one line. Relative paths start at the folder of the file."""

    bundle: Path
    """Folder of the bundle."""
    camera: tuple[CameraSettings, ...] = Field(min_length=1)
    """The cameras of the line. Every trigger exposes all of them; a part's verdict is the worst of its views."""
    plc: str
    """Address of the PLC or reject controller, such as `serial:///dev/ttyTHS1?baud=115200`."""
    records: Path = Path("records.sqlite")
    """SQLite database of the verdicts; created if it does not exist."""
    without_disk: Literal["fault", "memory"] = "fault"
    """Behaviour while the disk refuses rows: "fault" makes every part FAULT, because a verdict without a row on disk
    would be lost at a power failure; "memory" keeps the verdicts and holds the rows in memory. Pictures stop first in
    both cases."""
    entries_in_memory: int = Field(default=ENTRIES_IN_MEMORY, ge=100, le=10_000_000)
    """Capacity of the queue of rows and row updates that wait for the disk: two or three entries of about 1 kB per
    part. When the queue is full, every part becomes FAULT and is not recorded."""
    engine: str = DEFAULT_ENGINE
    """Inference engine: "onnxruntime" or "openvino" on the CPU ("openvino-bf16", "openvino-fp16" where it has the
    type), "tensorrt" or "tensorrt_rtx" on a GPU. There is no fall-back to another engine, except with "cpu": the
    fastest engine of the CPU here that agrees with onnxruntime."""
    engine_threads: int | None = Field(default=None, ge=1, le=MOST_THREADS)
    """CPU threads of the engine; chosen by the engine by default."""
    engine_reopens: bool = True
    """Open a GPU engine again after its device has failed. Parts in the meantime are FAULT."""
    deadline_ms: float = Field(default=500, gt=0, le=60_000)
    """Deadline from a part's trigger to its verdict; a later part is TIMEOUT."""
    grab_timeout_ms: float = Field(default=200, gt=0, le=60_000)
    """Timeout for a frame, from the request to the camera; without a frame the part is FAULT."""
    open_parts: int = Field(default=8, ge=1, le=256)
    """Maximum number of parts between trigger and result; a further trigger is TIMEOUT."""
    record_wait_ms: float = Field(default=5, ge=0, le=1000)
    """Longest time that a result waits for its row to be on disk; then it is sent, and the row follows."""
    late_rows: int = Field(default=LATE_ROWS, ge=0, le=100_000)
    """Maximum number of rows that were not on disk when their results were sent and still are not. A crash loses no
    more rows of parts that were told OK. A further part meets a disk that refuses rows (see `without_disk`)."""
    unsure_margin: float = Field(default=0, ge=0, le=1)
    """A part is UNSURE if the score of a class is below its threshold by at most this margin."""

    trigger: Literal["plc", "camera", "free"] = "plc"
    """Source of the parts. "plc": each trigger message is a part. "camera": each frame of a camera that is triggered by
    a sensor is a part. "free": each frame of a free-running camera over a web or belt is a part, and a silent camera is
    a FAULT. With "camera" and "free" the part id is the row in the records, and the line has one camera."""
    every_counts: int = Field(default=0, ge=0, le=2**31 - 1)
    """Minimum distance in encoder counts between two inspected frames; frames in between are skipped, so that a web
    that stands or creeps is not inspected repeatedly. Requires a PLC that sends BeltPosition messages; 0 inspects every
    frame. Not for trigger = "plc"."""
    report: Literal["all", "rejects"] = "all"
    """Results that are sent to the PLC; with "rejects" a part without a result is a good one. Not for
    trigger = "plc"."""

    shadow: bool = False
    """Shadow mode for commissioning: verdicts are recorded, but every result to the PLC is OK. Nothing is rejected."""
    alarm_after_rejects: int = Field(default=0, ge=0, le=10_000)
    """Number of consecutive rejects that raises the alarm `rejects in a row`; 0 disables it."""

    recipes: dict[int, Path] = Field(default={})
    """Bundles by the PLC's recipe number, the table `[recipes]`: `2 = "models/other"`. A changeover to another number
    is refused."""
    pictures: PictureSettings | None = None
    """Without this table no pictures are stored."""
    drift: DriftSettings = DriftSettings()
    """Drift monitoring is always on; this table changes its defaults."""
    rates: RateSettings = RateSettings()
    """Rates of TIMEOUT, FAULT and rejects are always watched; this table changes the defaults."""
    ejector: EjectorSettings | None = None
    """Without this table the PLC ejects rejected parts."""
    confirmation: ConfirmationSettings | None = None
    """Without this table the arrival in the bin is checked by the reject controller only, if there is one."""
    challenge: ChallengeSettings = ChallengeSettings()
    """Without this table the station never prompts for a challenge."""
    release: ReleaseSettings | None = None
    """Without this table bundles need no signature."""
    trial: TrialSettings | None = None
    """Without this table no candidate is on trial."""
    page: PageSettings | None = None
    """Without this table there is no page."""
    opcua: OpcUaSettings | None = None
    """Without this table there is no OPC UA server."""
    mqtt: MqttSettings | None = None
    """Without this table there is no MQTT client."""
    central: CentralSettings | None = None
    """Without this table the rows stay at the station."""
    s3: S3Settings | None = None
    """Without this table the pictures stay at the station."""

    @property
    def deadline_s(self) -> float:
        """`deadline_ms` in seconds."""
        return self.deadline_ms / 1e3

    @property
    def recipe(self) -> int:
        """Recipe number of `bundle`; 0 if `recipes` does not contain it."""
        return next((number for number, folder in self.recipes.items() if folder == self.bundle), 0)

    @property
    def views(self) -> tuple[str, ...]:
        """Names of the views of a part: of each camera, those of its exposures."""
        return tuple(name for camera in self.camera for name in camera.views)

    @property
    def of_candidate(self) -> "Line | None":
        """The line as if its candidate were in force; None without `[trial]`."""
        if self.trial is None:
            return None
        return self.model_copy(update={"bundle": self.trial.bundle, "trial": None})

    @property
    def grab_timeout_s(self) -> float:
        """`grab_timeout_ms` in seconds."""
        return self.grab_timeout_ms / 1e3

    @property
    def record_wait_s(self) -> float:
        """`record_wait_ms` in seconds."""
        return self.record_wait_ms / 1e3

    @model_validator(mode="after")
    def _has_engineers(self) -> "Line":
        if self.release is not None and self.release.log_in and (self.page is None or self.page.users is None):
            raise ValueError('found log_in = true in [release], expected users = "users.json" in [page]')
        return self

    @model_validator(mode="after")
    def _has_pictures_to_upload(self) -> "Line":
        if self.s3 is not None and self.pictures is None:
            raise ValueError("found [s3] without [pictures], expected both; no picture is stored")
        return self

    @model_validator(mode="after")
    def _fits_the_trigger(self) -> "Line":
        if self.trigger == "plc" and (self.every_counts or self.report != "all"):
            raise ValueError(
                'found every_counts or report with trigger = "plc", expected them with another trigger only'
            )
        if self.trigger != "plc" and len(self.camera) > 1:
            found = f"found {len(self.camera)} cameras with trigger = {self.trigger!r}"
            raise ValueError(f"{found}, expected one; run one station per camera")
        if self.trigger != "plc" and len(self.views) > 1:
            raise ValueError(
                f"found exposures = {len(self.views)} with trigger = {self.trigger!r}, expected 1: only the PLC tells "
                "which frames are of one part"
            )
        return self

    @model_validator(mode="after")
    def _fits_the_signals(self) -> "Line":
        """Refuse what a PLC on 24 V signals cannot say: counts, recipes, or parts that it has not triggered."""
        counts = [self.ejector and self.ejector.distance_counts, self.confirmation and self.confirmation.within_counts]
        wrong = {
            f"trigger = {self.trigger!r}": self.trigger != "plc",
            "distances in encoder counts": any(counts),
            "recipes": bool(self.recipes),
        }
        found = " and ".join(name for name, is_wrong in wrong.items() if is_wrong)
        if self.plc.startswith("io-") and found:
            raise ValueError(
                f"found {found} with plc = {self.plc.split(':')[0]!r}, whose 24 V signals carry no such thing"
            )
        return self

    @field_validator("camera")
    @classmethod
    def _different_names(cls, cameras: tuple[CameraSettings, ...]) -> tuple[CameraSettings, ...]:
        """Of the cameras, and of their views."""
        for names in ([camera.name for camera in cameras], [name for camera in cameras for name in camera.views]):
            if len(set(names)) < len(names):
                raise ValueError(f"the names {names} are not all different; give each [[camera]] a unique name")
        return cameras


def load_line(path: Path) -> Line:
    """Read `line.toml`; raises LineConfigError with the file, the key, its value and the allowed ones."""
    try:
        content = parse_toml(path.read_text(encoding="utf-8-sig"))
    except OSError as error:
        raise LineConfigError(
            f"{path}: cannot be read ({error.strerror}), expected a line.toml; check the path"
        ) from None
    except ValueError as error:  # TOML and UTF-8 errors alike
        raise LineConfigError(f"{path}: is not TOML ({error}); correct the file") from None
    return parse_line(content, path)


def parse_line(content: dict[str, Any], path: Path) -> Line:
    """Validate the content of the file at `path`, and make its paths absolute; raises LineConfigError."""
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
    release = line.release
    if release is not None:
        release = release.model_copy(update={"keys": tuple(folder / key for key in release.keys)})
    trial = line.trial
    if trial is not None:
        trial = trial.model_copy(update={"bundle": folder / trial.bundle})
    opcua = line.opcua and line.opcua.below(folder)
    page = line.page and line.page.below(folder)
    forwarders = {
        "mqtt": line.mqtt and line.mqtt.below(folder),
        "central": line.central and line.central.below(folder),
        "s3": line.s3 and line.s3.below(folder),
    }
    tables = {**forwarders, "pictures": pictures, "release": release, "trial": trial, "opcua": opcua, "page": page}
    return line.model_copy(update={**paths, **tables, "camera": cameras})
