"""Measures one step at one size, in a process of its own: python -m tools.growth.measure NAME SIZE FOLDER."""

import json
import os
import resource
import subprocess
import sys
import tempfile
from pathlib import Path
from time import process_time

from tools.growth.fit import Cost
from tools.growth.steps import BYSTANDERS, STEPS

LEAST_S = 0.3
"""Processor time over which a quick step is repeated; the quickest time counts, since other work only adds."""
USER, SYSTEM = 11, 12
"""Places of utime and stime after the name in /proc/PID/stat, in ticks (proc(5))."""
ROOT = Path(__file__).resolve().parents[2]


def measured(name: str, size: int, folder: Path) -> Cost:
    """Run a child that measures; `folder` keeps drawn databases and pictures. Raises RuntimeError if it fails."""
    command = [sys.executable, "-m", "tools.growth.measure", name, str(size), str(folder.resolve())]
    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=ROOT)
    if done.returncode:
        raise RuntimeError(f"{name}, {size}: {(done.stderr.strip().splitlines() or ['ended without a word'])[-1]}")
    return Cost.model_validate_json(done.stdout.splitlines()[-1])


def cost_of(name: str, size: int, folder: Path) -> Cost:
    """Measure a step in this process and those that it has started."""
    step = STEPS[name]
    with tempfile.TemporaryDirectory() as own, step.prepared(size, folder, Path(own)) as run:
        before = sum(_reset_peak(process) for process in _processes())
        start = _spent_s()
        run()
        times = [_spent_s() - start]
        peak = sum(_status(process, "VmHWM") for process in _processes())
        while step.repeats and sum(times) < LEAST_S:
            start = _spent_s()
            run()
            times.append(_spent_s() - start)
    return Cost(size=size, processor_ms=1e3 * min(times), memory_mib=(peak - before) / 1024)


def _processes() -> list[Path]:
    """Folders in /proc of this process and its children, as far as they count."""
    own = Path("/proc/self")
    children = {int(pid) for task in own.glob("task/*/children") for pid in task.read_text(encoding="ascii").split()}
    return [own, *(Path(f"/proc/{pid}") for pid in children - BYSTANDERS)]


def _spent_s() -> float:
    """Processor time of this process, the children that run and those that have ended."""
    _, *running = _processes()
    fields = [(process / "stat").read_text(encoding="ascii").rpartition(")")[2].split() for process in running]
    ticks = sum(int(one[USER]) + int(one[SYSTEM]) for one in fields)
    ended = resource.getrusage(resource.RUSAGE_CHILDREN)
    return process_time() + ended.ru_utime + ended.ru_stime + ticks / os.sysconf("SC_CLK_TCK")


def _reset_peak(process: Path) -> int:
    """Set the peak of resident memory to what is resident now, in KiB (proc(5), clear_refs)."""
    (process / "clear_refs").write_text("5", encoding="ascii")
    return _status(process, "VmRSS")


def _status(process: Path, key: str) -> int:
    """Value in KiB of a line of a process's `status`."""
    lines = (process / "status").read_text(encoding="ascii").splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith(f"{key}:"))


if __name__ == "__main__":
    print(json.dumps(cost_of(sys.argv[1], int(sys.argv[2]), Path(sys.argv[3])).model_dump()))
