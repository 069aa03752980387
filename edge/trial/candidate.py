"""Candidate bundle in a child process with the lowest priority: messages to it, and its verdicts.

A process of its own, because a thread of low priority that holds Python's lock would delay the threads of the line.
"""

import subprocess
from collections.abc import Callable
from contextlib import suppress
from typing import Protocol

import numpy as np

from bundle import Verdict
from edge.cameras.camera import Frame
from edge.config.line import Line
from edge.errors import ServerError
from edge.module_process import module_command
from edge.part import Part, View
from edge.servers.channel import ServerPipe, write_message
from edge.servers.state import ServerMessage

MODULE = "edge.commands.trial_process"
"""Module of the process."""
HANG_S = 300.0
"""A process that answers nothing for this long is ended; the opening of a bundle has 120 s, a plan more."""
END_S = 2.0
"""Longest wait for the process at its end."""


class TrialLine(ServerMessage):
    """The line with the candidate in force."""

    line: Line


class TrialFrames(ServerMessage):
    """The frames of a part, one per view; their pixels follow, uint8 in C order."""

    shapes: tuple[tuple[int, ...], ...]
    cameras: tuple[str, ...]

    @classmethod
    def of(cls, part: Part) -> tuple["TrialFrames", bytes]:
        """Return the message of a part whose frames are complete, with its pixels."""
        frames = [view.frame.pixels for view in part.views if view.frame is not None]
        cameras = tuple(view.camera for view in part.views)
        pixels = b"".join(np.ascontiguousarray(frame).data for frame in frames)
        return cls(shapes=tuple(frame.shape for frame in frames), cameras=cameras), pixels

    def part(self, pixels: bytes) -> Part:
        """Return a part with these frames, which are read-only."""
        views, at = [], 0
        for camera, shape in zip(self.cameras, self.shapes, strict=True):
            size = int(np.prod(shape))
            frame = np.frombuffer(pixels, np.uint8, size, at).reshape(shape)
            views.append(View(camera, 0, Frame(frame, 0, 0.0, camera)))
            at += size
        return Part(0, 0, 0, 0.0, 0.0, tuple(views))


class TrialOutline(ServerMessage):
    """Outline of one blob of the candidate's mask."""

    camera: str
    class_name: str
    score: float
    polygon: tuple[tuple[int, int], ...]
    """Corners x, y in pixels of the frame."""


class TrialAnswer(ServerMessage):
    """Answer of the process: the candidate's id once it is open, then its verdict on each part, or an error."""

    bundle_id: str = ""
    verdict: Verdict | None = None
    class_name: str = ""
    """Of the strongest defect; empty without one."""
    score: float | None = None
    outlines: tuple[TrialOutline, ...] = ()
    error: str = ""


class Candidate(Protocol):
    """Opened candidate. Used by one thread; its calls raise ServerError or OSError."""

    bundle_id: str

    def judge(self, part: Part) -> TrialAnswer:
        """Judge the frames of a part."""

    def close(self) -> None:
        """Release it."""


class CandidateProcess:
    """Candidate in a process of its own, from construction to `close`."""

    def __init__(self, line: Line, stopped: Callable[[], bool], module: str = MODULE, hang_s: float = HANG_S) -> None:
        """Open the bundle of `line`. `stopped`: whether the station stops, which ends each wait.

        Raises ServerError with the cause.
        """
        self._process = subprocess.Popen(
            module_command(module), stdin=subprocess.PIPE, stdout=subprocess.PIPE, start_new_session=True
        )
        assert self._process.stdin is not None  # PIPE was requested
        assert self._process.stdout is not None
        self._pipe = ServerPipe(self._process.stdin, self._process.stdout, hang_s, stopped)
        try:
            self.bundle_id = self._ask(TrialLine(line=line), b"").bundle_id
        except BaseException:
            self.close()
            raise

    def judge(self, part: Part) -> TrialAnswer:
        """Judge the frames of a part; raises ServerError."""
        return self._ask(*TrialFrames.of(part))

    def close(self) -> None:
        """End the process."""
        process = self._process
        if process.stdin is not None:
            with suppress(OSError):
                process.stdin.close()
        try:
            process.wait(END_S)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        finally:
            if process.stdout is not None:
                process.stdout.close()

    def _ask(self, message: ServerMessage, content: bytes) -> TrialAnswer:
        try:
            write_message(self._pipe, message, content)
            answer = TrialAnswer.model_validate_json(self._pipe.answer())
        except OSError:
            raise ServerError("its process has ended; the log has the cause") from None
        if answer.error:
            raise ServerError(answer.error)
        return answer
