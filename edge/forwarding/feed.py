"""Feed of a forwarder: the station's state four times a second; a lasting problem of its peer is an alarm."""

import logging
from collections.abc import Callable

from pydantic import ValidationError

from edge.alarms import Alarms
from edge.errors import ServerError
from edge.forwarding.messages import ForwarderAnswer, ForwardingTask
from edge.servers.channel import ServerPipe, write_message
from edge.servers.process_feed import HANG_S, RETRY_S, TICK_S, ProcessFeed
from edge.servers.state import StateUpdate, StationState

log = logging.getLogger(__name__)

PATIENCE_S = 10.0
"""Age of a problem that becomes an alarm; a broker that restarts is back by then."""


class ForwardingFeed(ProcessFeed):
    """Runs and updates a forwarder."""

    def __init__(
        self,
        peer: str,
        task: ForwardingTask,
        station: Callable[[], StationState],
        alarms: Alarms,
        change_over: Callable[[int], None] = lambda recipe: None,
        retry_s: float = RETRY_S,
        hang_s: float = HANG_S,
        patience_s: float = PATIENCE_S,
    ) -> None:
        """`station`: current state. `change_over`: requests a changeover. `patience_s`: until a problem is an alarm."""
        self.updates = 0
        """Number of updates that the forwarder has taken."""
        self._task, self._station, self._change_over, self._patience_s = task, station, change_over, patience_s
        self._troubled, self._problem = 0, ""  # updates since a problem began; the latest one
        super().__init__(peer, alarms, retry_s, hang_s)

    def _serve(self) -> None:
        self._run_process()

    def _begin(self, pipe: ServerPipe) -> None:
        write_message(pipe, self._task)

    def _update(self, pipe: ServerPipe) -> None:
        write_message(pipe, StateUpdate(station=self._station()))
        try:
            answer = ForwarderAnswer.model_validate_json(pipe.answer())
        except ValidationError:
            raise ServerError("its process has answered something else than JSON") from None
        self.updates += 1
        for recipe in answer.changeovers:
            self._change_over(recipe)
        self._note(answer.problem)

    def _note(self, problem: str) -> None:
        named = problem if not problem or self._peer in problem else f"{self._peer}: {problem}"
        if named and named != self._problem:
            log.warning("%s", named)
        self._troubled, self._problem = (self._troubled + 1 if problem else 0), named
        if not problem:
            self._alarms.clear(self.alarm)
        elif self._troubled * TICK_S >= self._patience_s:
            self._updates_sent = 0
            self._alarms.raise_(self.alarm, f"{named}; rows wait in the records, the line continues")
