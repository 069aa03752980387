"""Process of a candidate on trial: `python -m edge.commands.trial_process`, started by the station.

Reads the line, then the frames of one part after the other, from standard input; answers with one line of JSON each.
"""

import os
import sys
from collections.abc import Iterator
from time import monotonic
from typing import IO

from bundle import BundleError, FrameError
from edge.errors import StationError
from edge.part import Part
from edge.pipeline.inspector import Inspector
from edge.records.overlay import blobs_of
from edge.servers.channel import read_messages
from edge.station import open_inspector
from edge.trial.candidate import TrialAnswer, TrialFrames, TrialLine, TrialOutline

NICE = 19
"""Lowest priority: the line comes first."""


def answers(pipe: IO[bytes]) -> Iterator[TrialAnswer]:
    """Yield the answer to each message, until the pipe ends or an error is the answer."""
    messages = read_messages(pipe, TrialLine, TrialFrames)
    try:
        first, _ = next(messages)
        if not isinstance(first, TrialLine):
            raise StationError("trial: found no line, expected it first; start this process by the station")
        inspector = open_inspector(first.line, monotonic)
        yield TrialAnswer(bundle_id=inspector.bundle.id)
        for message, pixels in messages:
            if isinstance(message, TrialFrames):
                yield _judged(inspector, message.part(pixels))
        inspector.engine.close()
    except (BundleError, FrameError, StationError) as error:
        yield TrialAnswer(error=str(error))


def _judged(inspector: Inspector, part: Part) -> TrialAnswer:
    outcome = inspector.begin(part)()
    worst = outcome.defects[0] if outcome.defects else None
    name, score = (worst.class_name, worst.score) if worst else ("", None)
    outlines = tuple(
        TrialOutline.model_validate({"camera": view.camera, **blob})
        for view in part.views
        for blob in blobs_of(view, inspector.bundle.manifest)
    )
    return TrialAnswer(verdict=outcome.verdict, class_name=name, score=score, outlines=outlines)


def main() -> None:
    """Serve the station until it closes the pipe."""
    os.nice(NICE)
    for answer in answers(sys.stdin.buffer):
        print(answer.model_dump_json(), flush=True)


if __name__ == "__main__":
    main()
