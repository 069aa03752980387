"""The tables of `line.toml`; their docstrings are what `edge-inspect config --explain` prints."""

from collections.abc import Sequence
from datetime import time
from pathlib import Path
from typing import Any, get_args

from pydantic import BaseModel, ConfigDict, Field, field_validator


class Table(BaseModel):
    """A frozen table of the file; unknown keys are refused."""

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)

    @classmethod
    def table_at(cls, place: Sequence[int | str]) -> "type[Table]":
        """Return the innermost table on the way to a place, such as `("ejector", "output")`."""
        field = cls.model_fields.get(str(place[0])) if place else None
        inner = table_in(field.annotation) if field else None
        rest = [step for step in place[1:] if not isinstance(step, int)]
        return inner.table_at(rest) if inner else cls


def table_in(annotation: Any) -> type[Table] | None:
    """Return the table that a key of this type holds, once or repeated; None for a plain value."""
    if isinstance(annotation, type) and issubclass(annotation, Table):
        return annotation
    return next((found for found in map(table_in, get_args(annotation)) if found is not None), None)


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


class PageSettings(Table):
    """The operator's page, the table `[page]`; without it there is none. Whoever can reach it can look, nobody can
    change anything."""

    listen: str = "127.0.0.1:8080"
    """Address and port. The default is for a browser on the station itself: pictures of parts and figures of a plant
    are nobody else's business unless you say so. `0.0.0.0:8080` serves every network that the station is in; set a
    `token` then."""
    token: str | None = Field(default=None, min_length=8)
    """What a browser has to show once, as `http://station:8080/?token=...`; a program sends it as a bearer token."""
    title: str = Field(default="edge-inspect", min_length=1, max_length=60)
    """What stands at the top, such as `Line 3, glaze`."""
    shift_starts: tuple[str, ...] = Field(default=("06:00", "14:00", "22:00"), min_length=1)
    """When shifts begin, times of day on the station's own clock."""

    @field_validator("listen")
    @classmethod
    def _has_a_port(cls, listen: str) -> str:
        host, _, port = listen.rpartition(":")
        if not host or not port.isascii() or not port.isdigit() or int(port) > 65_535:
            raise ValueError(f"{listen!r} is not an address with a port, such as '127.0.0.1:8080' or '[::1]:8080'")
        return listen

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
        """The address, without the brackets of IPv6, and the port; port 0 takes any that is free."""
        host, _, port = self.listen.rpartition(":")
        return host.strip("[]"), int(port)
