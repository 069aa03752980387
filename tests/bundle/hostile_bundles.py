"""Builder of hostile bundles, with intact hashes, and the refusal that they meet."""

import hashlib
import json
import os
import resource
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from bundle import BundleError, load_bundle

Make = Callable[..., Path]


def sealed(content: dict[str, Any]) -> bytes:
    """A manifest with the right id for its content, as anyone can compute it."""
    content = {key: value for key, value in content.items() if key != "id"}
    canonical = json.dumps(content, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    return json.dumps({**content, "id": hashlib.sha256(canonical.encode()).hexdigest()}).encode()


def hostile(folder: Path, contents: dict[str, bytes] | None = None, **changes: object) -> Path:
    """Change files and manifest of a bundle, with hashes and id that fit."""
    content = json.loads((folder / "manifest.json").read_text())
    for name, data in (contents or {}).items():
        (folder / name).write_bytes(data)
        content["files"][name] = hashlib.sha256(data).hexdigest()
    (folder / "manifest.json").write_bytes(sealed({**content, **changes}))
    return folder


def refusal(folder: Path) -> str:
    """The one line with which a bundle is refused."""
    with pytest.raises(BundleError) as refused:
        load_bundle(folder)
    line = str(refused.value)
    assert "\n" not in line
    assert len(line) < 600
    return line


@contextmanager
def memory_limit(more_bytes: int) -> Iterator[None]:
    """Limit the address space of the process to this number of bytes above its present size."""
    now = int(Path("/proc/self/statm").read_text().split()[0]) * os.sysconf("SC_PAGE_SIZE")
    before = resource.getrlimit(resource.RLIMIT_AS)
    resource.setrlimit(resource.RLIMIT_AS, (now + more_bytes, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_AS, before)


def with_threshold(**changes: object) -> dict[str, Any]:
    limits = {"score": 0.9, "level": 200, "min_area_px": 8}
    return {"thresholds": {"Bright": {**limits, **changes}, "Dark": limits}}
