"""Witness of a station: what its camera, engine and reporter did, independent of its records.

JSON lines: {"photographed": part, "picture": crc}, {"judged": crc}, {"reported": row, ...}, {"heard": triggers}.
"""

import json
import threading
import zlib
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from bundle import Image
from edge.part import Part

FRESH = 100
"""Largest number of parts between inference and report of a picture; less than `KINDS` of the belt."""


def fingerprint(pixels: Image) -> int:
    """CRC-32 of a picture."""
    return zlib.crc32(np.ascontiguousarray(pixels).data)


class Witness:
    """Writes events line by line; safe to use from several threads."""

    def __init__(self, path: Path) -> None:
        self._file = path.open("a", encoding="utf-8", buffering=1)
        self._lock = threading.Lock()

    def note(self, **facts: Any) -> None:
        """Write one line."""
        with self._lock:
            self._file.write(json.dumps(facts) + "\n")

    def reported(self, part: Part) -> None:
        """Callback of the runtime: note each part after its result is sent."""
        if part.outcome is None:
            raise ValueError(f"part {part.number} has no verdict yet")
        frame = part.views[0].frame
        self.note(
            reported=part.number,
            part=part.part_id,
            verdict=part.outcome.verdict.name,
            picture=None if frame is None else fingerprint(frame.pixels),
        )

    def close(self) -> None:
        """Close the file."""
        self._file.close()


@dataclass(frozen=True)
class Reported:
    """One part as seen by the reporting thread."""

    row: int
    part_id: int
    verdict: str
    picture: int | None
    judged: bool
    """Whether the engine has returned a result for this picture within the last `FRESH` parts."""


@dataclass
class Evidence:
    """Contents of the witness file."""

    photographed: dict[int, int] = field(default_factory=dict)
    """Fingerprint of each part's own picture, by part id; those that the camera took."""
    reported: list[Reported] = field(default_factory=list)
    """In the order in which they were reported."""
    heard: int | None = None
    """Triggers that the runtime counted; None if it did not shut down cleanly."""


def read_evidence(path: Path) -> Evidence:
    """Read the witness file, up to a truncated line."""
    evidence = Evidence()
    answered: dict[int, int] = {}
    for fact in _facts(path):
        if "photographed" in fact:
            evidence.photographed[fact["photographed"]] = fact["picture"]
        elif "judged" in fact:
            answered[fact["judged"]] = len(evidence.reported)
        elif "reported" in fact:
            picture = fact["picture"]
            judged = len(evidence.reported) - answered.pop(picture, -FRESH) < FRESH
            evidence.reported.append(Reported(fact["reported"], fact["part"], fact["verdict"], picture, judged))
        else:
            evidence.heard = fact["heard"]
    return evidence


def _facts(path: Path) -> Iterator[dict[str, Any]]:
    for line in path.read_text(encoding="utf-8").splitlines():
        try:
            yield json.loads(line)
        except ValueError:
            return
