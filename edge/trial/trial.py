"""Trial of a candidate bundle: it judges the frames of the parts after their results are sent."""

import logging
import queue
import threading
from collections.abc import Callable
from contextlib import suppress

from bundle import BundleError, Verdict
from edge.alarms import Alarms, Area
from edge.config.line import Line
from edge.errors import StationError
from edge.part import Part
from edge.records.writer import Records
from edge.servers.state import TrialState
from edge.trial.candidate import Candidate

log = logging.getLogger(__name__)

TRIAL = "trial"
"""Name of the alarm for a trial that has ended with an error."""
END_S = 4.0
"""Time that a stopping station waits for the candidate to end."""
COMPARED = (Verdict.OK, Verdict.NG, Verdict.UNSURE)
"""Verdicts of a bundle; TIMEOUT and FAULT are the station's."""


class Trial:
    """Runs the candidate of a line from construction to `close`.

    A thread of its own hands it one part at a time; one more waits, and a further one is dropped. Any error ends the
    trial with an alarm; the line continues.
    """

    def __init__(
        self,
        line: Line,
        open_candidate: Callable[[Line, Callable[[], bool]], Candidate],
        records: Records,
        alarms: Alarms,
        recipe: int,
    ) -> None:
        """`line`: with the candidate in force. `recipe`: of the parts that it is for."""
        self.state = TrialState()
        """Counts, replaced by a new state at each part."""
        self._line, self._open, self._records, self._alarms = line, open_candidate, records, alarms
        self._recipe = recipe
        self._inbox: queue.Queue[Part | None] = queue.Queue(maxsize=1)
        self._stop, self._dropped = threading.Event(), 0
        # a daemon thread: a candidate that hangs must not keep the station from ending
        self._thread = threading.Thread(target=self._run, name="trial", daemon=True)
        self._thread.start()

    def current(self) -> TrialState:
        """Return the state with the parts dropped so far."""
        return self.state.model_copy(update={"dropped": self._dropped})

    def offer(self, part: Part) -> None:
        """Hand over a part whose result is sent, or drop it; a watcher of the parts, which never waits.

        Parts of another recipe, parts without a bundle's verdict, and parts of the candidate itself once it is in force
        are not compared.
        """
        state = self.state
        if not (state.running and state.bundle_id) or part.recipe != self._recipe:
            return
        if part.outcome is None or part.outcome.verdict not in COMPARED or part.bundle_id == state.bundle_id:
            return
        try:
            self._inbox.put_nowait(part)
        except queue.Full:
            self._drop(part, state.bundle_id)

    def close(self) -> None:
        """End the trial."""
        self._stop.set()
        with suppress(queue.Full):  # then the thread has a part to take, and ends at that
            self._inbox.put_nowait(None)
        self._thread.join(END_S)

    def _drop(self, part: Part, bundle_id: str) -> None:
        self._dropped += 1
        self._records.note_trial(part.number, bundle_id, None)

    def _run(self) -> None:
        try:
            self._judge_all()
        except Exception as error:  # the outermost loop: the line continues without the trial
            self.state = self.state.model_copy(update={"running": False})
            if self._stop.is_set():
                return
            known = isinstance(error, (BundleError, StationError))
            if not known:
                log.exception("trial: failed")
            found = str(error) if known else f"{type(error).__name__}: {error}"
            advice = "the line continues without it; correct the bundle or [trial], then restart the station"
            self._alarms.raise_(TRIAL, f"trial of {self._line.bundle}: {found}; {advice}", Area.BUNDLE)

    def _judge_all(self) -> None:
        candidate = self._open(self._line, self._stop.is_set)
        try:
            self.state = self.state.model_copy(update={"bundle_id": candidate.bundle_id})
            log.info("trial: candidate %s of %s judges too", candidate.bundle_id[:12], self._line.bundle)
            while (part := self._inbox.get()) is not None:
                if self._stop.is_set():
                    self._drop(part, candidate.bundle_id)
                    return
                self._judge(candidate, part)
        finally:
            candidate.close()

    def _judge(self, candidate: Candidate, part: Part) -> None:
        answer = candidate.judge(part)
        if answer.verdict is None or part.outcome is None:
            raise ValueError(f"part {part.number}: found no verdict of the candidate")
        self._records.note_trial(part.number, candidate.bundle_id, answer.verdict, answer.class_name, answer.score)
        disagree = (answer.verdict is Verdict.OK) != (part.outcome.verdict is Verdict.OK)
        counts = {"judged": self.state.judged + 1, "disagreed": self.state.disagreed + disagree}
        self.state = self.state.model_copy(update=counts)
