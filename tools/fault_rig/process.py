"""Process of the station: start, signals, memory, open files."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

from tools.fault_rig.places import Places

ROOT = Path(__file__).resolve().parents[2]
STOP_S = 60.0
"""Timeout of a stop; then the station is killed and the test fails."""
PAGE = os.sysconf("SC_PAGE_SIZE")
MIB = 2**20


class StationProcess:
    """The process of a station, from start to stop."""

    def __init__(self, places: Places) -> None:
        environment = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
        self._log = places.log.open("w", encoding="utf-8")
        command = [sys.executable, "-m", "tools.fault_rig.station", str(places.folder)]
        # In a session of its own, so that Ctrl-C reaches the tool alone, which stops the station in good order.
        self._process = subprocess.Popen(
            command, env=environment, stdout=self._log, stderr=self._log, start_new_session=True
        )

    @property
    def pid(self) -> int:
        """Number of the process."""
        return self._process.pid

    @property
    def alive(self) -> bool:
        """Whether it runs."""
        return self._process.poll() is None

    def reload(self) -> None:
        """Send SIGHUP."""
        self._process.send_signal(signal.SIGHUP)

    def stop(self) -> int:
        """Send SIGTERM and wait; gives the exit status."""
        self._process.terminate()
        try:
            return self._process.wait(STOP_S)
        except subprocess.TimeoutExpired:
            self._process.kill()
            return self._process.wait()
        finally:
            self._log.close()

    def memory_mib(self) -> float:
        """Resident memory (proc(5), statm)."""
        resident = Path(f"/proc/{self.pid}/statm").read_text().split()[1]
        return int(resident) * PAGE / MIB

    def open_files(self) -> int:
        """Count the open file descriptors."""
        return len(os.listdir(f"/proc/{self.pid}/fd"))

    def threads(self) -> int:
        """Count the threads."""
        return len(os.listdir(f"/proc/{self.pid}/task"))


def wait_until(condition: Callable[[], bool], timeout_s: float) -> bool:
    """Wait for a condition; false after a timeout."""
    last_moment = time.monotonic() + timeout_s
    while not condition():
        if time.monotonic() > last_moment:
            return False
        time.sleep(0.05)
    return True
