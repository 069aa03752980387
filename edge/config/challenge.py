"""The table `[challenge]` of `line.toml`."""

from datetime import datetime

from pydantic import Field, field_validator, model_validator

from edge.config.schema import Table


class ChallengeSettings(Table):
    """Challenges with a known bad part, the table `[challenge]`: the station asks for one, an operator starts it by
    `edge-inspect challenge line.toml` and puts the part on the line, which has to be found."""

    every_hours: float | None = Field(default=None, gt=0, le=8760)
    """The station asks so long after the last challenge that was passed."""
    at: tuple[str, ...] = ()
    """The station asks at these times of day, local: `["06:00", "14:00", "22:00"]` for shifts. In place of
    `every_hours`; without both it never asks."""
    parts: int = Field(default=1, ge=1, le=100)
    """Known bad parts in a challenge: so many parts, the next ones, all have to be NG."""
    expected: str | None = Field(default=None, min_length=1)
    """Class of defect that has to be found in each; left out, any will do."""
    overdue_minutes: float = Field(default=30, ge=0, le=10_000)
    """A challenge that has not been passed so long after it was asked for is an alarm."""
    timeout_minutes: float = Field(default=10, gt=0, le=10_000)
    """A challenge whose parts have not come so long after its start is given up."""

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
