"""Trial of a bundle in a child process: a graph that never ends, or takes all memory, ends the child alone.

`python -m edge.engines.probe` is the child. It reads two lines of JSON: the engine, whose packages it imports, then the
request. It opens the bundle's engine, checks the golden frames, runs one batch and writes its error, if any, as JSON.
The station starts it before its own imports, so that both import at the same time.
"""

import ctypes
import json
import os
import resource
import signal
import subprocess
import sys
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from bundle import Bundle, BundleDamaged, BundleError, BundleFormat, GoldenMismatch, load_bundle
from edge.engines.engine import Engine
from edge.engines.registry import ENGINES, EngineKind, load_opener, open_engine
from edge.errors import EngineError, EngineMissing, StationError
from edge.module_process import WaitingProcess

_KEPT = (BundleError, BundleDamaged, BundleFormat, GoldenMismatch, EngineError, EngineMissing)
ERRORS = {kind.__name__: kind for kind in _KEPT}
"""Errors that keep their class on the way out of the child."""

_PR_SET_PDEATHSIG = 1
"""linux/prctl.h: the signal that a child gets when the thread that started it is gone."""


MEMORY_BYTES = max(2**31, os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") // 4 * 3)
"""Address space of the child: three quarters of the machine's memory."""


@dataclass(frozen=True)
class ProbeLimits:
    """Resources of the child."""

    seconds: float
    """From its start."""
    memory_bytes: int | None = MEMORY_BYTES
    """Of its address space; None leaves it as it is."""

    @classmethod
    def of(cls, kind: EngineKind) -> "ProbeLimits":
        """Give the limits of an engine's kind."""
        return cls(kind.trial_s, MEMORY_BYTES if kind.limits_memory else None)


def open_probed(
    name: str,
    bundle: Bundle,
    threads: int | None,
    batch: int,
    reopens: bool,
    kinds: Mapping[str, EngineKind] = ENGINES,
    children: list[WaitingProcess] | None = None,
) -> Engine:
    """Open an engine as `open_engine` does, after a trial in a child process.

    On a GPU the child also builds the plan, which the station finds in the cache afterwards.
    children: started before, one of which is used up where there is one.
    Raises EngineError if the child does not come to an end within its limits, and the child's own errors.
    """
    if name in kinds:
        child = children.pop() if children else None
        probe_bundle(bundle.folder, name, threads, batch, kind=kinds[name], bundle_id=bundle.id, child=child)
    return open_engine(name, bundle, threads, batch, reopens, kinds)


def probe_bundle(
    folder: Path,
    engine: str,
    threads: int | None = None,
    batch: int = 1,
    limits: ProbeLimits | None = None,
    kind: EngineKind | None = None,
    bundle_id: str = "",
    child: WaitingProcess | None = None,
) -> None:
    """Open a bundle's engine in a child process, check it on its golden frames and run one batch.

    kind: by default the registry's. limits: by default the kind's. bundle_id: of the bundle that must be found there,
    where that is known: it may be exchanged at any time. child: one that waits for its request; by default a new one.
    Raises the child's BundleError or EngineError, and EngineError for a child that was killed or took too long.
    """
    kind = kind or ENGINES[engine]
    limits = limits or ProbeLimits.of(kind)
    opened = [str(folder.resolve()), bundle_id, engine, kind.opener, threads, batch]
    request = [*opened, limits.seconds, limits.memory_bytes, os.getpid()]
    where = f"{folder}: opening it with {engine} in a child process"
    if child is None:
        child = WaitingProcess(__name__)
        announce(child, engine, kind)
    try:
        child.say(json.dumps(request))
        if kind.processor_package:
            load_opener(engine, kind)  # a third of a second of imports, while the child is at work
        output, _ = child.process.communicate(timeout=limits.seconds)
    except subprocess.TimeoutExpired:
        raise EngineError(
            f"{where}: found no end after {limits.seconds:g} s, expected one; do not use this bundle"
        ) from None
    finally:
        child.close()
    status = child.process.returncode
    if status == 0:
        return
    answer = output.decode(errors="replace").splitlines()[-1:]
    if status == 1 and answer:
        name, message = json.loads(answer[0])
        raise ERRORS.get(name, EngineError)(message)
    raise EngineError(
        f"{where}: found it ended by {_cause(status)}, expected the golden frames to be computed within "
        f"{_shown(limits.memory_bytes)}; do not use this bundle, or free some memory"
    )


def announce(child: WaitingProcess, engine: str, kind: EngineKind) -> None:
    """Let a child import the packages of an engine, whose request follows."""
    child.say(json.dumps([engine, kind.opener]))


def _cause(status: int) -> str:
    return signal.Signals(-status).name if status < 0 else f"exit status {status}"


def _shown(memory_bytes: int | None) -> str:
    return "the memory of this machine" if memory_bytes is None else f"{memory_bytes >> 20} MiB"


def _run_child(announced: str, read_request: Callable[[], str]) -> None:
    if not announced:
        return
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    engine, opener = json.loads(announced)
    with suppress(EngineMissing):  # the request finds it missing too
        load_opener(engine, EngineKind(opener))
    if not (request := read_request()):
        return
    folder, bundle_id, engine, opener, threads, batch, seconds, memory_bytes, parent = json.loads(request)
    if os.getppid() != parent:
        sys.exit(2)
    os.nice(10)
    Path("/proc/self/oom_score_adj").write_text("1000", encoding="ascii")
    processor_s = int(seconds * (os.cpu_count() or 1)) + 1
    resource.setrlimit(resource.RLIMIT_CPU, (processor_s, processor_s))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    try:
        bundle = load_bundle(folder)
        if bundle_id not in ("", bundle.id):
            raise BundleDamaged(f"{folder}: found another bundle than a moment ago, expected it at rest; try again")
        if memory_bytes is not None:  # of the engine; what a bundle may take is bounded where it is read
            resource.setrlimit(resource.RLIMIT_AS, (memory_bytes, memory_bytes))
        opened = open_engine(engine, bundle, threads, batch, kinds={engine: EngineKind(opener)})
        opened.begin([bundle.golden.frames[0]] * batch)()
        opened.close()
    except (BundleError, StationError) as error:
        print(json.dumps([type(error).__name__, str(error)]))
        sys.exit(1)
    except MemoryError:
        print(json.dumps(["EngineError", f"{folder}: found no room within {_shown(memory_bytes)}; do not use it"]))
        sys.exit(1)


if __name__ == "__main__":
    _run_child(sys.stdin.readline(), sys.stdin.readline)
