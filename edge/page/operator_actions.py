"""Operator's actions from the page, as requests in the records of the station."""

from pathlib import Path

from edge.monitoring.operator_requests import acknowledge, begin_challenge, pause, resume
from edge.page.state import StationInfo


class OperatorActions:
    """Each method waits until the station has taken the request, and returns what was done.

    All raise OperatorRequestError or RecordsError.
    """

    def __init__(self, station: StationInfo) -> None:
        self._records = Path(station.records)
        self._challenge = station.challenge

    def pause(self, who: str, reason: str) -> str:
        """Pause the station."""
        pause(self._records, who, reason)
        return "paused: every part is FAULT"

    def resume(self, who: str) -> str:
        """End the pause."""
        resume(self._records, who)
        return "parts are inspected"

    def challenge(self, who: str, reason: str) -> str:
        """Start a challenge."""
        begin_challenge(self._records, self._challenge, who, reason)
        return f"put {self._challenge.parts} known bad part(s) on the line now, before any other part"

    def acknowledge(self, who: str, reason: str) -> str:
        """Acknowledge alarms."""
        ended = acknowledge(self._records, who, reason)
        return f"ended: {ended}" if ended else "there was no such alarm"
