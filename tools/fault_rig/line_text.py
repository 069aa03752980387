"""Contents of line.toml for a test."""

from pathlib import Path
from random import Random

from tools.fault_rig.equipment.bundles import write_bad_bundles
from tools.fault_rig.places import Places

DEADLINE_S, PLC_DEADLINE_S = 0.3, 0.4
"""Deadline of the station; deadline of the PLC, which adds the time of the wire."""


class LineText:
    """Generates good and bad texts."""

    def __init__(self, places: Places, bundles: tuple[Path, Path], camera: str, plc: str, random: Random) -> None:
        """camera, plc: their addresses; writes the bad bundles, too."""
        self._places, self._bundles, self._camera, self._plc, self._random = places, bundles, camera, plc, random
        self._turn = 0
        self._bad = write_bad_bundles(bundles[0], places.bundles)

    def first(self) -> str:
        """Text for the start."""
        return line_text(self._places, self._bundles[0], self._camera, self._plc)

    def good(self) -> str:
        """Text with the next of the two good bundles."""
        self._turn += 1
        return line_text(self._places, self._bundles[self._turn % 2], self._camera, self._plc)

    def bad(self) -> str:
        """Text that must be refused: a bad bundle, or an unknown key."""
        choice = self._random.choice([*self._bad, None])
        if choice is None:
            return "shaddow = true\n" + self.first()
        return line_text(self._places, choice, self._camera, self._plc)


def line_text(places: Places, bundle: Path, camera: str, plc: str) -> str:
    """Text of a line.toml with the disk and pictures of the test."""
    return f"""bundle = "{bundle.resolve()}"
plc = "{plc}"
records = "{places.records}"
engine_threads = 1
deadline_ms = {1000 * DEADLINE_S:.0f}
camera = [{{ address = "{camera}" }}]
[pictures]
folder = "{places.pictures}"
one_in_good = 10
keep_gib = 0.12
leave_free_gib = 0.01
"""
