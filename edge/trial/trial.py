"""Trial of a candidate bundle: it judges the frames of the parts after their results are sent."""

import json
import logging
import queue
import threading
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path

from bundle import BundleError, Verdict
from edge.alarms import Alarms, Area
from edge.cameras.camera import Clock
from edge.config.line import Line
from edge.config.release import TrialSettings
from edge.errors import StationError
from edge.part import Part
from edge.records.writer import Records
from edge.servers.state import TrialState
from edge.trial.candidate import Candidate, TrialOutline

log = logging.getLogger(__name__)

TRIAL = "trial"
"""Name of the alarm for a trial that has ended with an error."""
END_S = 4.0
"""Time that a stopping station waits for the candidate to end."""
MOST_OUTLINES_BYTES = 200_000
"""Size of the outlines of a part that are stored, at most."""
COMPARED = (Verdict.OK, Verdict.NG, Verdict.UNSURE)
"""Verdicts of a bundle; TIMEOUT and FAULT are the station's."""


OpenCandidate = Callable[[Line, Callable[[], bool]], Candidate]
"""Opens the bundle of a line; the second value says whether the station stops."""


class Trial:
    """Runs the candidate of a line from construction to `close`.

    A thread of its own hands it one part at a time; one more waits, and a further one is dropped. Any error ends the
    trial with an alarm; the line continues.
    """

    def __init__(
        self,
        line: Line,
        open_candidate: OpenCandidate,
        records: Records,
        alarms: Alarms,
        recipe: int,
        clock: Clock,
    ) -> None:
        """`line`: with the candidate in force. `recipe`: of the parts that it is for."""
        self.state = TrialState(folder=str(line.bundle))
        """Counts, replaced by a new state at each part."""
        self._line, self._open, self._records, self._alarms = line, open_candidate, records, alarms
        self._recipe, self._clock, self._judging_s = recipe, clock, 0.0
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

    def end(self) -> None:
        """Tell the trial to end; returns at once."""
        self._stop.set()
        with suppress(queue.Full):  # then the thread has a part to take, and ends at that
            self._inbox.put_nowait(None)

    def close(self) -> None:
        """End the trial, waiting at most `END_S`."""
        self.end()
        self._thread.join(END_S)

    @property
    def alive(self) -> bool:
        """Whether its thread runs."""
        return self._thread.is_alive()

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
            advice = "the line continues without it; correct the bundle, then run `edge-inspect trial start`"
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
        began = self._clock()
        answer = candidate.judge(part)
        self._judging_s += self._clock() - began
        if answer.verdict is None or part.outcome is None:
            raise ValueError(f"part {part.number}: found no verdict of the candidate")
        disagree = (answer.verdict is Verdict.OK) != (part.outcome.verdict is Verdict.OK)
        opinion = answer.verdict, answer.class_name, answer.score
        outlines = _stored(answer.outlines) if disagree else None
        self._records.note_trial(part.number, candidate.bundle_id, *opinion, outlines)
        judged = self.state.judged + 1
        counts = {"judged": judged, "disagreed": self.state.disagreed + disagree}
        self.state = self.state.model_copy(update={**counts, "ms_per_part": self._judging_s / judged * 1e3})


class TrialSwitch:
    """Trial of a station: the one of its line, then those that operators start and stop while it runs.

    `offer` is a watcher of the parts; `start` and `stop` are called by one other thread.
    """

    def __init__(
        self, line: Line, open_candidate: OpenCandidate, records: Records, alarms: Alarms, clock: Clock
    ) -> None:
        self._line, self._open, self._records, self._alarms, self._clock = line, open_candidate, records, alarms, clock
        self._trial: Trial | None = None
        self._ended: list[Trial] = []
        if line.trial is not None:
            self._begin(line.trial.bundle)

    def offer(self, part: Part) -> None:
        """Hand a part whose result is sent to the trial, if there is one; see `Trial.offer`."""
        trial = self._trial
        if trial is not None:
            trial.offer(part)

    def current(self) -> TrialState | None:
        """Return the state of the trial; None without one."""
        trial = self._trial
        return None if trial is None else trial.current()

    def start(self, folder: Path, who: str) -> None:
        """Put the bundle of this folder on trial, in place of one that is; returns at once."""
        self._end()
        log.warning("trial of %s: started by %s", folder, who)
        self._begin(folder)

    def stop(self, who: str) -> None:
        """End the trial, if there is one; returns at once."""
        if self._trial is not None:
            log.warning("trial: stopped by %s", who)
        self._end()

    def close(self) -> None:
        """End the trial and wait for it."""
        self._end()
        for trial in self._ended:
            trial.close()

    def _begin(self, folder: Path) -> None:
        candidate = self._line.model_copy(update={"trial": TrialSettings(bundle=folder)}).of_candidate
        assert candidate is not None  # it has a trial
        alone = candidate.model_copy(update={"engine_threads": 1})  # of the processor, which the line needs
        self._trial = Trial(alone, self._open, self._records, self._alarms, self._line.recipe, self._clock)

    def _end(self) -> None:
        trial, self._trial = self._trial, None
        if trial is not None:
            trial.end()
            self._ended.append(trial)
        self._ended = [one for one in self._ended if one.alive]
        self._alarms.clear(TRIAL)


def _stored(outlines: Sequence[TrialOutline]) -> str | None:
    """The outlines as JSON; None for none, and for too many."""
    text = json.dumps([one.model_dump() for one in outlines], separators=(",", ":"))
    return text if outlines and len(text) <= MOST_OUTLINES_BYTES else None
