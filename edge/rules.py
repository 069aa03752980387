"""What a line asks of the loop."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Rules:
    """See the fields of the same names in `Line`."""

    deadline_s: float = 0.5
    grab_timeout_s: float = 0.2
    open_parts: int = 8
    record_wait_s: float = 0.005
    shadow: bool = False
    alarm_after_rejects: int = 0
    trigger: str = "plc"
    every_counts: int = 0
    report: str = "all"
