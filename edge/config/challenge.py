"""The table `[challenge]` of `line.toml`."""

from datetime import datetime

from pydantic import Field, field_validator, model_validator

from edge.config.schema import LineTable


class ChallengeSettings(LineTable):
    """Challenge tests with known bad parts. The station prompts for a test; an operator starts it by
    `edge-inspect challenge line.toml` and puts the parts on the line, where they must be rejected."""

    every_hours: float | None = Field(default=None, gt=0, le=8760)
    """Interval: the station prompts this many hours after the last passed challenge."""
    at: tuple[str, ...] = ()
    """Local times of day at which the station prompts, such as `["06:00", "14:00", "22:00"]`; excludes `every_hours`.
    Without both keys the station never prompts."""
    parts: int = Field(default=1, ge=1, le=100)
    """Number of known bad parts in a challenge: the next parts on the line, which must all be NG."""
    expected: str | None = Field(default=None, min_length=1)
    """Defect class that must be found in every part; by default any class is accepted."""
    overdue_minutes: float = Field(default=30, ge=0, le=10_000)
    """Time from the prompt to the alarm `challenge overdue`."""
    timeout_minutes: float = Field(default=10, gt=0, le=10_000)
    """Time from the start of a challenge until it is abandoned because its parts have not arrived."""

    @field_validator("at")
    @classmethod
    def _times(cls, at: tuple[str, ...]) -> tuple[str, ...]:
        for text in at:
            try:
                datetime.strptime(text, "%H:%M")
            except ValueError:
                raise ValueError(f"found {text!r}, expected a time of day such as 06:00") from None
        return at

    @model_validator(mode="after")
    def _one_of_each(self) -> "ChallengeSettings":
        if self.every_hours is not None and self.at:
            raise ValueError("found every_hours and at, expected one of them")
        return self
