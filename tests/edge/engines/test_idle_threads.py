"""Threads of a processor engine between two frames: they must leave the cores to camera, records and page."""

import subprocess
import sys
from pathlib import Path

import pytest

from edge.engines.registry import ENGINES

MODEL = Path(__file__).parents[3] / "models" / "magnetic-tile"
IDLE_S = 0.2
CHILD = """
import os, sys, time
from pathlib import Path
from bundle import load_bundle
from edge.engines.registry import open_engine
from edge.errors import EngineMissing

bundle = load_bundle(Path(sys.argv[1]))
try:
    engine = open_engine(sys.argv[2], bundle, threads=2)
except EngineMissing as error:
    sys.exit(f"missing: {error}")
spent = []
for _ in range(5):
    engine.begin([bundle.golden.frames[0]])()
    start = time.process_time()
    time.sleep(float(sys.argv[3]))
    spent.append(time.process_time() - start)
print(min(spent))
"""
"""Prints the processor time of the process while nothing is to be done, the least of five waits after a frame."""


@pytest.mark.parametrize("name", [name for name, kind in ENGINES.items() if kind.processor_package])
def test_threads_rest_after_a_frame(name: str) -> None:
    child = [sys.executable, "-c", CHILD, str(MODEL), name, str(IDLE_S)]
    ended = subprocess.run(child, capture_output=True, text=True, check=False, timeout=300)
    if ended.stderr.startswith("missing: "):
        pytest.skip(f"does not run here: {ended.stderr}")
    assert ended.returncode == 0, ended.stderr
    spent = float(ended.stdout)
    assert spent < 0.1 * IDLE_S, f"{1000 * spent:.0f} ms of processor time in {1000 * IDLE_S:.0f} ms without a frame"
