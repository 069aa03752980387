"""The tables `[ejector]` and `[confirmation]` of `line.toml`."""

from typing import Literal

from pydantic import Field, model_validator

from edge.config.schema import LineTable

HALF_REVOLUTION = 2**31 - 1
"""Largest distance in counts of a u32 encoder at which the order of two positions is unambiguous."""


class EjectorSettings(LineTable):
    """Ejector that is timed by the station, for lines whose PLC does not time it. A part is ejected `distance_counts`
    behind its trigger, or `delay_ms` after it."""

    output: str
    """Output to the ejector: `gpio:///dev/gpiochip0?line=105` (GPIO line by number or name),
    `serial:///dev/ttyUSB1?pin=rts` (or `dtr`: a control line of a serial port with no other use) or `simulated://`.
    With `active=low` the output is low while the ejector fires; choose the level that a dead computer leaves it at."""
    distance_counts: int | None = Field(default=None, ge=1, le=HALF_REVOLUTION)
    """Encoder counts from the trigger position to the ejector. Requires a PLC that sends the count with each trigger,
    preferably with BeltPosition messages (the belt block of Modbus) in between."""
    delay_ms: float | None = Field(default=None, gt=0, le=600_000)
    """Time from the trigger to the ejector, for a belt of constant speed without an encoder."""
    length_counts: int | None = Field(default=None, ge=1, le=HALF_REVOLUTION)
    """Length of the pulse in encoder counts; the output stays on if the belt stops during a pulse."""
    length_ms: float | None = Field(default=None, gt=0, le=60_000)
    """Length of the pulse in milliseconds, instead of `length_counts`."""
    default: Literal["reject", "pass"] = "reject"
    """Action on a part without a verdict at the ejector. "reject" also ejects everything between camera and ejector
    when the station starts."""
    fail_safe: Literal["on", "off"] = "on"
    """Output while the part positions are unknown, the PLC is not connected, or the station is stopped. "on" ejects
    everything that passes; for a pusher choose "off", and let the PLC stop the line."""
    coast_ms: float = Field(default=100, ge=0, le=60_000)
    """Extrapolation: time for which the belt is assumed to keep its speed after the last count; 100 for a PLC that
    sends BeltPosition messages. If counts come with triggers only, the longest time between two parts; a belt stop
    within this time is not noticed."""
    belt_silence_ms: float = Field(default=1000, gt=0, le=3_600_000)
    """Time without a count, while parts are before the ejector, after which the alarm `ejector without counts` is
    raised and `fail_safe` applies."""
    belt_stop_s: float = Field(default=60, ge=0, le=86_400)
    """Standstill of the belt, with parts before the ejector, after which the alarm `belt stands` is raised; 0 disables
    it. A stopped belt fires nothing and loses no part."""
    queue: int = Field(default=256, ge=1, le=4096)
    """Parts between camera and ejector that are tracked separately. Beyond that the last entry stands for all further
    parts, which are ejected together, and the alarm `ejector queue full` is raised."""

    @model_validator(mode="after")
    def _one_of_each(self) -> "EjectorSettings":
        for pair in (("distance_counts", "delay_ms"), ("length_counts", "length_ms")):
            given = [name for name in pair if getattr(self, name) is not None]
            if len(given) != 1:
                raise ValueError(f"found {' and '.join(given) or 'neither'}, expected {pair[0]} or {pair[1]}")
        if self.delay_ms is not None and self.length_ms is None:
            raise ValueError("found delay_ms with length_counts, expected length_ms: there is no encoder to count")
        return self


class ConfirmationSettings(LineTable):
    """Sensor in the reject bin, whose count the PLC sends in its BeltPosition messages. A rejected part that does not
    arrive raises the alarm `eject not confirmed`."""

    within_counts: int | None = Field(default=None, ge=1, le=HALF_REVOLUTION)
    """Limit in encoder counts from a part's trigger to its arrival in the bin."""
    within_ms: float | None = Field(default=None, gt=0, le=3_600_000)
    """Limit in milliseconds from a part's trigger to its arrival in the bin, instead of `within_counts`."""

    @model_validator(mode="after")
    def _one(self) -> "ConfirmationSettings":
        if (self.within_counts is None) == (self.within_ms is None):
            raise ValueError("found both or neither of within_counts and within_ms, expected one of them")
        return self
