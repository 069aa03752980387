import subprocess
import sys

import pytest

CHILD = """
import resource, sys
import numpy as np
from train.loop.memory import keep_freed_memory
kept = keep_freed_memory() if sys.argv[1] == "keep" else True
def step():
    return float(np.ones(1 << 23, np.uint8).max())
step()
before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
for _ in range(50):
    step()
print(int(kept), resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
"""


def faults(mode: str) -> tuple[bool, int]:
    """Page faults of fifty arrays of 8 MiB, made and freed one after another in a process of their own."""
    run = subprocess.run([sys.executable, "-c", CHILD, mode], capture_output=True, text=True, check=True)
    kept, count = run.stdout.split()
    return kept == "1", int(count)


def test_freed_memory_is_not_fetched_again() -> None:
    kept, with_it = faults("keep")
    if not kept:
        pytest.skip("this allocator is not glibc's")
    _, without = faults("leave")
    assert with_it < 100, f"{with_it} page faults; without it {without}"
