"""Networks that a user would install instead of ours, each package in an environment of its own: speed only.

The packages of the rivals never become dependencies; ultralytics is under the AGPL.
"""

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import IO

from edge.errors import EngineError

ROOT = Path(__file__).resolve().parents[1]
RIVALS: Mapping[str, tuple[str, str]] = {
    "PatchCore": ("anomalib==2.7.0", "patchcore"),
    "EfficientAD": ("anomalib==2.7.0", "efficient-ad"),
    "SuperSimpleNet": ("anomalib==2.7.0", "supersimplenet"),
    "YOLO11n-seg": ("ultralytics==8.4.190", "yolo11n-seg"),
}
"""Name -> requirement, and name in tools/rival_network.py."""

Command = Sequence[str | Path]


def cache_folder() -> Path:
    """Folder of the environments."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "edge-inspect" / "rivals"


def run_command(command: Command) -> None:
    """Run a command to its end. Raises EngineError with its last line."""
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise EngineError(f"{command[-1]}: {_last_line(done.stderr)}")


def environment(requirement: str, cache: Path, run: Callable[[Command], None] = run_command) -> Path:
    """Python of an environment with a package, which is made where there is none. Raises EngineError."""
    folder = cache / requirement.replace("==", "-")
    python, complete = folder / "bin" / "python", folder / "complete"
    if not complete.exists():
        print(f"installing {requirement} into {folder}", file=sys.stderr)
        run([sys.executable, "-m", "venv", "--clear", folder])
        run([python, "-m", "pip", "install", "--quiet", "--constraint", ROOT / "constraints.txt", requirement])
        complete.touch()
    return python


class RivalNetwork:
    """A child process with one network, measured on request."""

    def __init__(self, command: Command) -> None:
        """command: that of tools/rival_network.py. Raises EngineError if the network cannot be built."""
        self._complaints = tempfile.TemporaryFile()  # noqa: SIM115
        self._process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=self._complaints, text=True
        )
        try:
            self._answer()
        except EngineError:
            self.close()
            raise

    def turn(self, frames: int) -> tuple[list[float], float]:
        """Milliseconds of each frame, and the processor's milliseconds per frame. Raises EngineError."""
        requests = _open(self._process.stdin)
        print(frames, file=requests, flush=True)
        times, processor_ms = json.loads(self._answer())
        return times, processor_ms

    def close(self) -> None:
        """End the process."""
        self._process.kill()
        self._process.communicate()
        self._complaints.close()

    def _answer(self) -> str:
        answer = _open(self._process.stdout).readline()
        if not answer:
            self._complaints.seek(0)
            raise EngineError(f"ended: {_last_line(self._complaints.read().decode(errors='replace'))}")
        return answer


def open_rival(name: str, height: int, width: int, threads: int) -> RivalNetwork:
    """Open a rival for pictures of this size, in its environment. Raises EngineError."""
    requirement, network = RIVALS[name]
    python = environment(requirement, cache_folder())
    return RivalNetwork([python, ROOT / "tools" / "rival_network.py", network, *map(str, (height, width, threads))])


def _open(pipe: IO[str] | None) -> IO[str]:
    assert pipe is not None
    return pipe


def _last_line(text: str) -> str:
    return (text.strip().splitlines() or ["without a word"])[-1][:200]
