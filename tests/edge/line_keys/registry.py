"""Cases of the keys of line.toml, by key, and the frames that they show."""

from collections.abc import Callable

import numpy as np

from tests.conftest import grey_frame
from tests.edge.running_line import Run, RunningLine

GOOD, BRIGHT, DARK = grey_frame(), grey_frame(spot=255), grey_frame(spot=0)
NEARLY = grey_frame(spot=220)
"""Its score is 0.86, where the threshold is 0.9."""
LIGHT = np.full_like(GOOD, 160)
EJECTOR = {"output": "simulated://", "default": "pass", "fail_safe": "off", "distance_counts": 500, "length_counts": 20}

CASES: dict[str, Callable[[Run], None]] = {}
"""By key, with its table: `pictures.folder`."""


def observes(key: str) -> Callable[[Callable[[Run], None]], Callable[[Run], None]]:
    """Make a function the case of a key."""

    def keep(case: Callable[[Run], None]) -> Callable[[Run], None]:
        assert key not in CASES, f"{key} has two cases"
        CASES[key] = case
        return case

    return keep


def refuse_rows(line: RunningLine) -> None:
    """Let the disk refuse every row."""
    line.rows("ALTER TABLE parts RENAME TO gone")
