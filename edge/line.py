"""A line's configuration: one TOML file."""

from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator

from bundle import first_problem
from bundle.toml_text import parse_toml
from edge.errors import LineConfigError


class Table(BaseModel):
    """A frozen table of the file; unknown keys are refused."""

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)


class CameraSettings(Table):
    """One camera, a `[[camera]]` of the file."""

    address: str
    """Such as `file:///pictures` or `synthetic://?seed=7`."""
    name: str = Field(default="camera", min_length=1)
    """Its name in records and messages; cameras of one line have different ones."""
    ignore: Path | None = None
    """Picture of the size of the camera's frames, white where nothing counts."""
    mm_per_px: float | None = Field(default=None, gt=0, le=100)
    """Millimetres on the part for one pixel of the frame; with it the records have areas in square millimetres."""


class PictureSettings(Table):
    """Which pictures are kept for how long, the table `[pictures]`. Rows are kept for ever, whatever stands here."""

    folder: Path = Path("pictures")
    """Where the pictures go, in a folder for each UTC day; made if it does not exist."""
    rejects: bool = True
    """Keep every view of parts that are NG, TIMEOUT or FAULT, as far as there are frames."""
    unsure: bool = True
    """Keep every view of parts that are UNSURE."""
    one_in_good: int = Field(default=0, ge=0, le=1_000_000)
    """Keep every view of one in so many good parts; 1 is all of them, 0 is none."""
    keep_days: int = Field(default=90, ge=1, le=36_500)
    """Pictures of earlier days than so many are removed."""
    keep_gib: float = Field(default=20, gt=0, le=100_000)
    """What is beyond so many GiB is removed: the oldest good ones first, then unsure ones, rejects last."""
    leave_free_gib: float = Field(default=1, ge=0, le=100_000)
    """Pictures never take the disk's last GiB, so that the rows always find room."""
    queue: int = Field(default=16, ge=1, le=1000)
    """Parts that may wait in memory for the disk; the pictures of one more are not kept, which the log says."""


class DriftSettings(Table):
    """The watch over brightness, sharpness, scores and rejects, the table `[drift]`."""

    baseline_parts: int = Field(default=500, ge=50, le=1_000_000)
    """The first so many parts of a bundle are what the later ones are compared with."""
    span_parts: int = Field(default=200, ge=10, le=100_000)
    """About so many of the latest parts are looked at: fewer notice sooner, more are surer."""


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

    shadow: bool = False
    """For commissioning: verdicts are recorded, but the PLC is told OK for every part. Nothing is rejected."""
    alarm_after_rejects: int = Field(default=0, ge=0, le=10_000)
    """So many rejects in a row are an alarm in the log and a Fault message to the PLC; 0 is off."""

    recipes: dict[int, Path] = {}
    """Bundles by the PLC's recipe number, the table `[recipes]`: `2 = "models/other"`. A number that is not here is
    refused."""
    pictures: PictureSettings | None = None
    """Which pictures are kept; without this table none are."""
    drift: DriftSettings = DriftSettings()
    """When a change of parts or pictures is an alarm."""

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
        allowed = ", ".join(Line.model_fields)
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
