"""Trigger line from the sensor to the camera: a named pipe with one message per part."""

import os
import select
import struct
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from firmware_bridge.messages import Trigger

EDGE = struct.Struct("<Id")
"""The part in front of the camera, with the moment in seconds of the monotonic clock, one for all processes."""


class Sensor:
    """The sensor's end, created by the triggering process."""

    def __init__(self, path: Path, clock: Callable[[], float]) -> None:
        os.mkfifo(path)
        self._clock = clock
        # Open for both ways, so that it opens without a camera and does not end when the camera is gone.
        self._wire = os.open(path, os.O_RDWR | os.O_NONBLOCK)

    def edge(self, trigger: Trigger) -> None:
        """Show that a part has arrived; lost where no camera reads and the pipe is full."""
        with suppress(BlockingIOError):
            os.write(self._wire, EDGE.pack(trigger.part_id, self._clock()))

    def close(self) -> None:
        """Close the pipe."""
        os.close(self._wire)


class TriggerInput:
    """The camera's end; edges that came before it was opened are gone."""

    def __init__(self, path: Path) -> None:
        self._wire = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
        with suppress(BlockingIOError):
            while os.read(self._wire, 64 * 1024):
                pass

    def wait(self, timeout_s: float) -> tuple[int, float] | None:
        """Return the next edge, part and time; None if none arrives within `timeout_s`."""
        readable, _, _ = select.select([self._wire], [], [], timeout_s)
        if not readable:
            return None
        data = os.read(self._wire, EDGE.size)
        return EDGE.unpack(data) if data else None

    def close(self) -> None:
        """Close the pipe."""
        os.close(self._wire)
