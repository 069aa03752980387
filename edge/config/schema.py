"""Base of the tables of `line.toml`, and the tables of camera, pictures, drift, rates and page."""

from collections.abc import Sequence
from datetime import time
from ipaddress import ip_address
from pathlib import Path
from typing import Annotated, Any, Literal, get_args

from pydantic import AfterValidator, ConfigDict, Field, field_validator, model_validator

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

    model_config = ConfigDict(use_attribute_docstrings=True)

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


class PageSettings(LineTable):
    """Operator page in the browser. It is read-only without an `operator_token` or `inspector_token`."""

    listen: ListenAddress = "127.0.0.1:8080"
    """Address and port of the page's server. The default accepts browsers on the station itself only; `0.0.0.0:8080`
    accepts them from every network of the station: set a `token` then."""
    token: str | None = Field(default=None, min_length=8)
    """Access token. A browser opens `http://station:8080/?token=...` once; a program sends a bearer token."""
    operator_token: str | None = Field(default=None, min_length=8)
    """Token of the operators: a page that was opened with it, as with `token`, can also start challenges, acknowledge
    alarms, and pause the station."""
    inspector_token: str | None = Field(default=None, min_length=8)
    """Token of the inspectors: a page that was opened with it can also mark parts as really good or really defective,
    beside all that an operator may do."""
    inspect: bool = False
    """Whether other programs may send pictures to `/api/inspect` and get verdicts, with the `operator_token`: one
    picture at a time, in a process of the lowest priority, beside the line."""
    without_token: bool = False
    """Whether an address other than the station's own may be served without a `token`: everyone in that network sees
    the page then."""
    hosts: tuple[str, ...] = ()
    """Names of the station in the network, such as `line3.plant.example`, by which the page may be opened without a
    `token`. IP addresses, `localhost` and the computer's own name are always accepted."""
    title: str = Field(default="edge-inspect", min_length=1, max_length=60, pattern=ONE_LINE)
    """Heading of the page, such as `Line 3, glaze`."""
    lang: Literal["en", "de"] | None = None
    """Language of the page, English or German; without it, that of the browser."""
    shift_starts: tuple[str, ...] = Field(default=("06:00", "14:00", "22:00"), min_length=1)
    """Start times of the shifts, in the station's local time."""

    @model_validator(mode="after")
    def _different_tokens(self) -> "PageSettings":
        given = [token for token in (self.token, self.operator_token, self.inspector_token) if token is not None]
        if len(set(given)) < len(given):
            raise ValueError("found the same token twice, expected a different one for each role")
        return self

    @model_validator(mode="after")
    def _inspection_has_a_token(self) -> "PageSettings":
        if self.inspect and self.operator_token is None:
            raise ValueError("found inspect = true without an operator_token, expected one: programs send it")
        return self

    @model_validator(mode="after")
    def _token_outside(self) -> "PageSettings":
        if self.token is None and not self.without_token and not is_loopback(self.listen):
            raise ValueError(
                f"found listen = {self.listen!r} without a token, expected a token; "
                "with without_token = true everyone in that network sees the page"
            )
        return self

    @field_validator("shift_starts")
    @classmethod
    def _are_times(cls, starts: tuple[str, ...]) -> tuple[str, ...]:
        for start in starts:
            try:
                time.fromisoformat(start)
            except ValueError:
                raise ValueError(f"{start!r} is not a time of day, such as '06:00'") from None
        return starts

    @property
    def host_and_port(self) -> tuple[str, int]:
        """Host and port of `listen`."""
        return host_and_port(self.listen)
