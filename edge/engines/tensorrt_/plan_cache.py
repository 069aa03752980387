"""Plan cache, in the cache folder of a bundle's engines.

A plan is two files, `<key>.plan` and `<key>.json`; beside them are `<key>.log`, the messages of TensorRT during the
build, and `<key>.launch`, the measured launch mode.
"""

import hashlib
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO

from pydantic import ValidationError

from bundle import Bundle
from edge.engines.engine_cache import EngineCache, writing
from edge.engines.tensorrt_.plan_key import Frozen, PlanKey, differences


class PlanEntry(Frozen):
    """The JSON file beside a plan."""

    key: PlanKey
    plan_sha256: str
    bundle: str
    """Name of its bundle."""
    build_seconds: float


class PlanCache(EngineCache):
    """Plan cache of one bundle."""

    def find(self, key: PlanKey) -> tuple[bytes | None, str]:
        """Return the plan of this key, or None with the reason; a damaged plan is removed."""
        try:
            words, plan = self.read(self.path(key, "json").name), self.read(self.path(key, "plan").name)
            if words is None or plan is None:
                return None, self._why_not(key)
            entry = PlanEntry.model_validate_json(words)
        except (OSError, ValidationError) as error:
            self.discard(key)
            return None, f"{self.path(key, 'json')} could not be read ({type(error).__name__})"
        if entry.key != key or entry.plan_sha256 != _sha256(plan):
            self.discard(key)
            return None, f"the plan {self.path(key, 'plan').name} was damaged: its sha256 differs from the stored one"
        return plan, ""

    def store(self, entry: PlanEntry, plan: bytes) -> None:
        """Store a plan; the JSON file is written last, so that an incomplete plan is never found."""
        self.write(self.path(entry.key, "plan").name, plan)
        self.write(self.path(entry.key, "json").name, entry.model_dump_json(indent=1).encode() + b"\n")

    def discard(self, key: PlanKey) -> None:
        """Remove a plan; its log is kept."""
        for path in (self.path(key, suffix) for suffix in ("json", "launch", "plan")):
            with writing(path):
                path.unlink(missing_ok=True)

    @contextmanager
    def log(self, key: PlanKey) -> Iterator[IO[str]]:
        """Open the build log of this key."""
        path = self.path(key, "log")
        with writing(path), path.open("w", encoding="utf-8") as words:
            yield words

    def path(self, key: PlanKey, suffix: str) -> Path:
        """Return the path of one file of a key."""
        return self.folder / f"{key.name}.{suffix}"

    def _why_not(self, key: PlanKey) -> str:
        """Return the differences to the most similar cached plan."""
        nearest = min((differences(entry.key, key) for entry in self._entries()), key=len, default=None)
        return f"there is none in {self.folder} yet" if nearest is None else "; ".join(nearest)

    def _entries(self) -> Iterator[PlanEntry]:
        for path in sorted(self.folder.glob("*.json")):
            with suppress(OSError, ValidationError):
                yield PlanEntry.model_validate_json(self.read(path.name) or b"")


def make_entry(key: PlanKey, bundle: Bundle, plan: bytes, seconds: float) -> PlanEntry:
    """Make the entry of a plan that was built now."""
    return PlanEntry(key=key, plan_sha256=_sha256(plan), bundle=bundle.manifest.name, build_seconds=round(seconds, 2))


def _sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()
