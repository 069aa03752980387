"""A vendor library that aborts the process: open parts are rejected, the rows of the told parts are on disk."""

import signal
import sqlite3
import subprocess
import sys
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

from firmware_bridge.simulator.plc import PlcSimulator

ROOT = Path(__file__).resolve().parents[2]
PARTS, GOOD = 8, 3
STATION = """
import ctypes, sys
from pathlib import Path
from time import monotonic
sys.path[:0] = [{root!r}]
from edge.cameras.registry import open_camera
from edge.config.line import load_line
from edge.station import Equipment, open_station

class AbortingCamera:
    '''A camera whose library calls abort(3) at one exposure.'''
    def __init__(self, camera):
        self._camera = camera
    def __getattr__(self, name):
        return getattr(self._camera, name)
    def grab(self, timeout_s):
        frame = self._camera.grab(timeout_s)
        if frame.exposure > {good}:
            ctypes.CDLL(None).abort()
        return frame

equipment = Equipment(open_camera=lambda address, clock: AbortingCamera(open_camera(address, clock)))
with open_station(load_line(Path({line!r})), clock=monotonic, equipment=equipment) as runtime:
    runtime.finished.wait(60)
"""


def test_a_library_that_aborts_costs_the_open_parts_only(make_bundle: Callable[..., Path], tmp_path: Path) -> None:
    with PlcSimulator(PARTS, max_open=1, deadline_s=5.0) as plc:
        line = tmp_path / "line.toml"
        line.write_text(
            f'bundle = "{make_bundle()}"\nplc = "{plc.address}"\ncamera = [{{ address = "synthetic://" }}]\n'
            "deadline_ms = 20000\ngrab_timeout_ms = 20000\nrecord_wait_ms = 1000\n"
        )
        script = STATION.format(root=str(ROOT), line=str(line), good=GOOD)
        ended = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False)
        told = [record for record in plc.records() if record.result is not None]

    assert ended.returncode == -signal.SIGABRT, ended.stderr
    with closing(sqlite3.connect(tmp_path / "records.sqlite")) as connection:
        rows = connection.execute("SELECT part_id FROM parts ORDER BY number").fetchall()
    assert [part_id for (part_id,) in rows] == [record.trigger.part_id for record in told]
    assert len(told) == GOOD
