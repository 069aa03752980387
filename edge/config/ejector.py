"""The tables `[ejector]` and `[confirmation]` of `line.toml`."""

from typing import Literal

from pydantic import Field, model_validator

from edge.config.schema import Table

LONGEST = 2**31 - 1
"""Half a revolution of the u32 encoder: farther apart, nobody knows which of two places comes first."""


class EjectorSettings(Table):
    """An ejector that the station times itself, for lines whose PLC does not; a part is thrown out `distance_counts`
    behind its trigger, or after `delay_ms`."""

    output: str
    """Wire to the ejector: `gpio:///dev/gpiochip0?line=105` (a pin, by number or name), `serial:///dev/ttyUSB1?pin=rts`
    (or `dtr`: a control line of a serial port that is used for nothing else) or `simulated://`. With `active=low` the
    wire is low while the ejector fires; choose the level that a dead computer leaves it at."""
    distance_counts: int | None = Field(default=None, ge=1, le=LONGEST)
    """Encoder counts from the place of the trigger to the ejector. Needs a PLC that sends counts with its triggers, and
    better Belt messages (the belt block of Modbus) in between."""
    delay_ms: float | None = Field(default=None, gt=0, le=600_000)
    """For a belt without an encoder, whose speed never changes: time from the trigger to the ejector."""
    length_counts: int | None = Field(default=None, ge=1, le=LONGEST)
    """How far a pulse reaches along the belt. One that has begun while the belt stops stays on."""
    length_ms: float | None = Field(default=None, gt=0, le=60_000)
    """How long a pulse is, in place of `length_counts`."""
    default: Literal["reject", "pass"] = "reject"
    """What happens to a part that has no verdict when it reaches the ejector. With "reject", whatever lies between
    camera and ejector when the station starts is thrown out as well."""
    fail_safe: Literal["on", "off"] = "on"
    """The output while the station cannot tell where the parts are, has no line to the PLC, or has stopped: "on" throws
    out whatever passes. Choose "off" for a pusher, and let the PLC stop the line."""
    coast_ms: float = Field(default=100, ge=0, le=60_000)
    """How long the belt is taken to go on at its speed after the last count that was read: 100 for a PLC that sends
    Belt messages. Where counts come with triggers only, the longest time between two parts; a belt that stops within
    is then not noticed."""
    belt_silence_ms: float = Field(default=1000, gt=0, le=3_600_000)
    """No count for so long while parts are on their way: an alarm, and `fail_safe`."""
    belt_stop_s: float = Field(default=60, ge=0, le=86_400)
    """A belt that stands for so long with parts before the ejector is an alarm; 0 is off. Nothing fires and nothing is
    forgotten meanwhile."""
    queue: int = Field(default=256, ge=1, le=4096)
    """Parts between camera and ejector that are kept apart. If there are more, the last one stands for all of them,
    they are thrown out together, and that is an alarm."""

    @model_validator(mode="after")
    def _one_of_each(self) -> "EjectorSettings":
        for pair in (("distance_counts", "delay_ms"), ("length_counts", "length_ms")):
            given = [name for name in pair if getattr(self, name) is not None]
            if len(given) != 1:
                raise ValueError(f"found {' and '.join(given) or 'neither'}, expected {pair[0]} or {pair[1]}")
        if self.delay_ms is not None and self.length_ms is None:
            raise ValueError("found delay_ms with length_counts, expected length_ms: without an encoder nothing counts")
        return self


class ConfirmationSettings(Table):
    """A sensor in the reject bin, whose count the PLC sends in its Belt messages; a rejected part that does not arrive
    is an alarm."""

    within_counts: int | None = Field(default=None, ge=1, le=LONGEST)
    """Encoder counts from a part's trigger to its arrival in the bin, at most."""
    within_ms: float | None = Field(default=None, gt=0, le=3_600_000)
    """Time from a part's trigger to its arrival, at most, in place of `within_counts`."""

    @model_validator(mode="after")
    def _one(self) -> "ConfirmationSettings":
        if (self.within_counts is None) == (self.within_ms is None):
            raise ValueError("found both or neither of within_counts and within_ms, expected one of them")
        return self
