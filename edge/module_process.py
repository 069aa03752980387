"""Child processes that run a module of the project, whatever lies in the current folder."""

import subprocess
import sys
from contextlib import suppress
from typing import IO


def module_command(module: str, *arguments: str) -> list[str]:
    """Run `module` as `python -m` does, with the search path of this process.

    `python -m` looks in the current folder first, where an `edge.py` of the user would take the place of the package.
    """
    places = [place for place in sys.path if place]
    code = f"import sys; sys.path[:] = {places!r}; import runpy; runpy.run_module({module!r}, {{}}, '__main__', True)"
    return [sys.executable, "-c", code, *arguments]


class WaitingProcess:
    """A child process that imports a module, then waits for lines on its standard input.

    The module must end at the end of its input, so that the child does not outlive this process.
    """

    def __init__(self, module: str) -> None:
        """Start it; raises OSError."""
        self.process = subprocess.Popen(
            module_command(module), stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
        )

    def say(self, line: str) -> None:
        """Write a line to its input; a process that has ended does not read it."""
        with suppress(BrokenPipeError):
            self._input.write(line.encode() + b"\n")
            self._input.flush()

    def close(self) -> None:
        """End the process."""
        self.process.kill()
        self.process.communicate()

    @property
    def _input(self) -> IO[bytes]:
        assert self.process.stdin is not None
        return self.process.stdin
