"""Base of the tables of `line.toml`, and the tables of camera, pictures, drift and rates."""

import re
from collections.abc import Sequence
from ipaddress import ip_address
from pathlib import Path
from typing import Annotated, Any, get_args

from pydantic import AfterValidator, Field, model_validator

from bundle import FrozenModel

ONE_LINE = r"^[^\x00-\x1f\x7f\u0085\u2028\u2029]*$"
"""Text without control characters or line breaks."""


def _has_a_port(listen: str) -> str:
    host, _, port = listen.rpartition(":")
    if not host or not port.isascii() or not port.isdigit() or int(port) > 65_535:
        raise ValueError(f"{listen!r} is not an address with a port, such as '127.0.0.1:8080' or '[::1]:8080'")
    return listen


ListenAddress = Annotated[str, AfterValidator(_has_a_port)]
"""Address and port of a server; an address of IPv6 is in brackets."""


STATION_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,59}")
"""One level of a topic and of an object's name, and part of a tag: without wildcards, slashes and blanks."""


def _is_a_station(name: str) -> str:
    if not STATION_NAME.fullmatch(name):
        raise ValueError(
            f"{name!r} is no name of a station, such as 'line3': at most 60 letters, digits, dots, dashes and "
            "underscores, a letter or digit first"
        )
    return name


StationName = Annotated[str, AfterValidator(_is_a_station)]
"""Name of a station in the plant."""


def host_and_port(listen: str) -> tuple[str, int]:
    """Split an address into host without the brackets of IPv6, and port; port 0 selects a free one."""
    host, _, port = listen.rpartition(":")
    return host.strip("[]"), int(port)


def is_loopback(listen: str) -> bool:
    """Whether an address accepts connections of this computer only."""
    host, _ = host_and_port(listen)
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


class LineTable(FrozenModel):
    """Table of `line.toml`; `edge-inspect config --explain` prints its docstring and those of its keys."""

    @classmethod
    def table_at(cls, place: Sequence[int | str]) -> "type[LineTable]":
        """Return the innermost table on the path to a key, such as `("ejector", "output")`."""
        field = cls.model_fields.get(str(place[0])) if place else None
        inner = table_in(field.annotation) if field else None
        rest = [step for step in place[1:] if not isinstance(step, int)]
        return inner.table_at(rest) if inner else cls


def table_in(annotation: Any) -> type[LineTable] | None:
    """Return the table that a key of this type holds, once or as an array; None for a plain value."""
    if isinstance(annotation, type) and issubclass(annotation, LineTable):
        return annotation
    return next((found for found in map(table_in, get_args(annotation)) if found is not None), None)


class CameraSettings(LineTable):
    """A camera of the line."""

    address: str
    """Camera address, such as `v4l2:///dev/video0` or `synthetic://?seed=7`; docs/cameras.md lists the kinds."""
    name: str = Field(default="camera", min_length=1)
    """Name in records and messages; must be unique in the line."""
    ignore: Path | None = None
    """Ignore mask: an image of the size of the camera's frames, white where defects are ignored."""
    mm_per_px: float | None = Field(default=None, gt=0, le=100)
    """Scale in millimetres on the part per pixel of the frame; adds areas in square millimetres to the records."""
    exposures: int = Field(default=1, ge=1, le=16)
    """Frames of each part, such as one for each light or exposure time, which the PLC or the camera's own sequencer
    switches. Each is a view of its own, named `name-1`, `name-2` and so on; all are inspected in one batch. Only with
    trigger = "plc"."""
    exposure_interval_ms: float = Field(default=0, ge=0, le=10_000)
    """Time from one exposure of a part to the next one. With a hardware trigger the time between two pulses."""

    @model_validator(mode="after")
    def _has_an_interval_for_exposures(self) -> "CameraSettings":
        if self.exposures == 1 and self.exposure_interval_ms:
            raise ValueError(
                f"found exposure_interval_ms = {self.exposure_interval_ms:g} with exposures = 1, expected 2 or more"
            )
        return self

    @property
    def views(self) -> tuple[str, ...]:
        """Names of its views of a part, in the order of the exposures."""
        return (self.name,) if self.exposures == 1 else tuple(f"{self.name}-{1 + at}" for at in range(self.exposures))

    @property
    def due_s(self) -> tuple[float, ...]:
        """Time from the trigger to each of its exposures of a part, in seconds."""
        return tuple(at * self.exposure_interval_ms / 1e3 for at in range(self.exposures))


class PictureSettings(LineTable):
    """Storage of pictures: which parts, for how long. Rows of the records are never deleted."""

    folder: Path = Path("pictures")
    """Folder of the pictures, with one subfolder per UTC day; created if it does not exist."""
    rejects: bool = True
    """Store all views of parts that are NG, TIMEOUT or FAULT, if they have frames."""
    unsure: bool = True
    """Store all views of parts that are UNSURE."""
    one_in_good: int = Field(default=0, ge=0, le=1_000_000)
    """Store all views of every n-th good part; 1 stores all good parts, 0 none."""
    keep_days: int = Field(default=90, ge=1, le=36_500)
    """Age limit: pictures older than this many days are deleted."""
    keep_gib: float = Field(default=20, gt=0, le=100_000)
    """Size limit of the folder in GiB: beyond it the oldest good parts are deleted first, then unsure parts, then
    rejects."""
    leave_free_gib: float = Field(default=1, ge=0, le=100_000)
    """Free space of the disk, in GiB, that pictures never use, so that the records can still be written."""
    queue: int = Field(default=16, ge=1, le=1000)
    """Parts whose pictures may wait in memory for the disk; pictures of further parts are not stored, which is
    logged."""


class DriftSettings(LineTable):
    """Drift monitoring of brightness, sharpness, scores and reject rate."""

    baseline_parts: int = Field(default=500, ge=50, le=1_000_000)
    """Number of parts in the baseline: the first parts that a new bundle inspects."""
    span_parts: int = Field(default=200, ge=10, le=100_000)
    """Span of the moving average, in parts: a smaller span reports drift sooner, a larger one has fewer false
    alarms."""


class RateSettings(LineTable):
    """Alarms for too many parts that are TIMEOUT, FAULT or rejected, by an exact binomial test on the latest parts."""

    window_parts: int = Field(default=200, ge=5, le=10_000)
    """Number of latest parts that are looked at."""
    minimum_parts: int = Field(default=20, ge=5, le=10_000)
    """Number of parts before the first alarm, and of parts within the tolerated share that end one."""
    timeouts: float = Field(default=0.01, ge=0, le=0.99)
    """Tolerated share of TIMEOUT."""
    faults: float = Field(default=0.01, ge=0, le=0.99)
    """Tolerated share of FAULT."""
    rejects: float = Field(default=0.5, ge=0, le=0.99)
    """Tolerated share of NG and UNSURE; smaller changes are an alarm of the drift monitoring, against its baseline."""

    @model_validator(mode="after")
    def _window_holds_the_minimum(self) -> "RateSettings":
        if self.minimum_parts > self.window_parts:
            raise ValueError(
                f"found minimum_parts = {self.minimum_parts}, expected at most window_parts = {self.window_parts}"
            )
        return self
