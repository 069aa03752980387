"""Plan cache: `<bundle>.engines/`, or a folder of that name under EDGE_INSPECT_CACHE.

A plan is two files, `<key>.plan` and `<key>.json`; beside them are `<key>.log`, the messages of TensorRT during the
build, and `<key>.launch`, the measured launch mode.
"""

import hashlib
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO

from pydantic import ValidationError

from bundle import Bundle
from bundle.files import write_whole
from edge.engines.tensorrt_.plan_key import Frozen, PlanKey, differences
from edge.errors import EngineError

VARIABLE = "EDGE_INSPECT_CACHE"


class PlanEntry(Frozen):
    """The JSON file beside a plan."""

    key: PlanKey
    plan_sha256: str
    bundle: str
    """Name of its bundle."""
    build_seconds: float


class PlanCache:
    """Plan cache of one bundle."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    @classmethod
    def of(cls, bundle: Bundle) -> "PlanCache":
        """Return the cache of a bundle on this machine."""
        name = f"{bundle.folder.resolve().name}.engines"
        elsewhere = os.environ.get(VARIABLE)
        return cls(Path(elsewhere) / name if elsewhere else bundle.folder.resolve().parent / name)

    def find(self, key: PlanKey) -> tuple[bytes | None, str]:
        """Return the plan of this key, or None with the reason; a damaged plan is removed."""
        try:
            entry = PlanEntry.model_validate_json(self.path(key, "json").read_bytes())
            plan = self.path(key, "plan").read_bytes()
        except FileNotFoundError:
            return None, self._why_not(key)
        except (OSError, ValidationError) as error:
            self.discard(key)
            return None, f"{self.path(key, 'json')} could not be read ({type(error).__name__})"
        if entry.key != key or entry.plan_sha256 != _sha256(plan):
            self.discard(key)
            return None, f"the plan {self.path(key, 'plan').name} was damaged: its sha256 differs from the stored one"
        return plan, ""

    def store(self, entry: PlanEntry, plan: bytes) -> None:
        """Store a plan; the JSON file is written last, so that an incomplete plan is never found."""
        _write(self.path(entry.key, "plan"), plan)
        _write(self.path(entry.key, "json"), entry.model_dump_json(indent=1).encode() + b"\n")

    def discard(self, key: PlanKey) -> None:
        """Remove a plan; its log is kept."""
        for path in (self.path(key, suffix) for suffix in ("json", "launch", "plan")):
            with _writing(path):
                path.unlink(missing_ok=True)

    @contextmanager
    def log(self, key: PlanKey) -> Iterator[IO[str]]:
        """Open the build log of this key."""
        path = self.path(key, "log")
        with _writing(path), path.open("w", encoding="utf-8") as words:
            yield words

    def path(self, key: PlanKey, suffix: str) -> Path:
        """Return the path of one file of a key."""
        return self.folder / f"{key.name}.{suffix}"

    def read(self, name: str) -> bytes | None:
        """Read another file of the cache, such as a timing cache; None if there is none."""
        path = self.folder / name
        return path.read_bytes() if path.exists() else None

    def write(self, name: str, content: bytes) -> None:
        """Store another file."""
        _write(self.folder / name, content)

    def _why_not(self, key: PlanKey) -> str:
        """Return the differences to the most similar cached plan."""
        nearest = min((differences(entry.key, key) for entry in self._entries()), key=len, default=None)
        return f"there is none in {self.folder} yet" if nearest is None else "; ".join(nearest)

    def _entries(self) -> Iterator[PlanEntry]:
        for path in sorted(self.folder.glob("*.json")):
            with suppress(OSError, ValidationError):
                yield PlanEntry.model_validate_json(path.read_bytes())


def make_entry(key: PlanKey, bundle: Bundle, plan: bytes, seconds: float) -> PlanEntry:
    """Make the entry of a plan that was built now."""
    return PlanEntry(key=key, plan_sha256=_sha256(plan), bundle=bundle.manifest.name, build_seconds=round(seconds, 2))


def _sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def _write(path: Path, content: bytes) -> None:
    with _writing(path):
        write_whole(path, content)
        path.chmod(0o644)  # built by root, read by the station's user


@contextmanager
def _writing(path: Path) -> Iterator[None]:
    """Create the folder of a file to be written; OSError becomes EngineError."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        yield
    except OSError as error:
        raise EngineError(
            f"{path}: cannot be written ({error.strerror}); check the folder's permissions and space, "
            f"or name another folder in {VARIABLE}"
        ) from None
