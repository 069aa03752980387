"""Faults that are switched on and off from another process: a file in a folder for each that is on."""

from pathlib import Path


class Switches:
    """Switches of one test; `touch` and `rm` set them by hand."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self._folder = folder

    def set(self, name: str, on: bool) -> None:
        """Switch a fault on or off."""
        if on:
            (self._folder / name).touch()
        else:
            (self._folder / name).unlink(missing_ok=True)

    def is_on(self, name: str) -> bool:
        """Whether a fault is on."""
        return (self._folder / name).exists()
