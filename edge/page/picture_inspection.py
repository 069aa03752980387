"""Verdicts on pictures that other programs send, in a child process: `python -m edge.page.picture_inspection BUNDLE`.

The station's engine and thread take no part in it. The child runs onnxruntime in one thread at the lowest priority of
the processor, one picture at a time; it ends after each picture, so that nothing stays in the station's memory.
"""

import os
import subprocess
import sys
import threading
from pathlib import Path

from bundle import BundleError, FrameError
from bundle.images import decode_image
from edge.bundle_inspector import BundleInspector, Inspection
from edge.errors import StationError
from edge.module_process import module_command
from edge.page.state import InspectedDefect, InspectedPicture

INSPECT_S = 60.0
"""Time limit of one picture, the start of its process included."""
LOWEST_PRIORITY = 19
"""Of nice(2): beside a thread of the station it gets 15 of 1,039 parts of a core (Linux, sched_prio_to_weight)."""
EXIT_REFUSED = 3
"""Exit status for a picture that cannot be inspected, with the reason on standard output."""


class PictureRefused(Exception):
    """A picture cannot be inspected; the message says why."""


class InspectionBusy(Exception):
    """No picture can be inspected now; the message says why."""


class PictureInspector:
    """Inspects pictures one at a time, each in a process of its own."""

    def __init__(self, nice: int = LOWEST_PRIORITY, limit_s: float = INSPECT_S) -> None:
        self._nice, self._limit_s = nice, limit_s
        self._one = threading.Lock()

    def inspect(self, bundle: str, picture: bytes) -> InspectedPicture:
        """Inspect an encoded picture with the bundle in this folder.

        Raises PictureRefused for one that cannot be decoded, InspectionBusy where another one is inspected or the
        process does not answer in time.
        """
        if not self._one.acquire(blocking=False):
            raise InspectionBusy("another picture is being inspected; send one at a time")
        try:
            return self._inspected(bundle, picture)
        finally:
            self._one.release()

    def _inspected(self, bundle: str, picture: bytes) -> InspectedPicture:
        command = module_command(__name__, bundle, str(self._nice))
        try:
            done = subprocess.run(command, input=picture, capture_output=True, timeout=self._limit_s, check=False)
        except subprocess.TimeoutExpired:
            raise InspectionBusy(
                f"the picture was not inspected within {self._limit_s:g} s: the processor is busy with the line"
            ) from None
        if done.returncode == EXIT_REFUSED:
            raise PictureRefused(done.stdout.decode("utf-8", "replace").strip())
        if done.returncode != 0:
            reason = done.stderr.decode("utf-8", "replace").strip().splitlines()[-1:] or [f"status {done.returncode}"]
            raise InspectionBusy(f"the process of the inspection has failed: {reason[0]}")
        return InspectedPicture.model_validate_json(done.stdout)


def main(arguments: list[str]) -> int:
    """Inspect the picture on standard input; write the answer as JSON, or the reason why not."""
    folder, nice = arguments
    os.nice(int(nice))
    try:
        image = decode_image(Path("picture"), sys.stdin.buffer.read())
        with BundleInspector.open(folder, threads=1) as inspector:
            answer = answer_of(inspector.inspect(image), inspector.bundle.id)
    except FrameError as error:
        print(error)
        return EXIT_REFUSED
    except (BundleError, StationError) as error:
        print(error, file=sys.stderr)
        return 1
    print(answer.model_dump_json())
    return 0


def answer_of(inspection: Inspection, bundle_id: str) -> InspectedPicture:
    """Return the answer to a program."""
    return InspectedPicture(
        bundle_id=bundle_id,
        verdict=inspection.verdict.name,  # type: ignore[arg-type]  # one of the three
        scores=inspection.scores,
        defects=tuple(
            InspectedDefect(
                class_name=defect.class_name,
                score=defect.score,
                box=defect.box,
                area_px=defect.area_px,
                outlines=tuple(tuple((int(x), int(y)) for x, y in outline) for outline in defect.outlines),
            )
            for defect in inspection.defects
        ),
    )


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
