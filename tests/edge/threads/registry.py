"""Cases of the threads and child processes of the station, by the place that starts them; each plants an exception."""

import threading
from collections.abc import Callable
from time import monotonic

PATIENCE_S = 30.0

Case = Callable[..., None]
CASES: dict[str, Case] = {}


def planted(start: str) -> Callable[[Case], Case]:
    """Name the place, or the thread of the pipeline, in which a case plants an exception."""

    def keep(case: Case) -> Case:
        assert start not in CASES, f"{start} has two cases"
        CASES[start] = case
        return case

    return keep


def wait_until(condition: Callable[[], object]) -> None:
    """Let the threads run until something is true."""
    end = monotonic() + PATIENCE_S
    while not condition():
        assert monotonic() < end, "it never came true"
        threading.Event().wait(0.005)


class Planted(Exception):
    """An exception that the station does not expect."""
