"""End of a command by Ctrl-C: one line on standard error, exit status 130.

Imports only what Python has loaded at its start, so that the handlers are installed before the slow imports begin.
"""

import os
import signal
import sys
from collections.abc import Callable
from types import FrameType

from console_scripts.missing_package import tell_missing_packages

STATUS = 130
"""Exit status after SIGINT, as shells report it: 128 and the number of the signal."""
IMPORT_CODE = "<frozen importlib._bootstrap>"
"""File name of the frames of the import system."""


class InterruptibleCommand:
    """A command that ends with the line `NAME: interrupted` at SIGINT, and with one line at a missing package.

    A KeyboardInterrupt amid an import can be lost (a callback of the import system) or become an ImportError (the
    initialisation of a C extension). So SIGINT ends the process at once while a module is imported; otherwise it
    raises KeyboardInterrupt, as usual. A process that ignores SIGINT goes on ignoring it.
    """

    def __init__(self, name: str) -> None:
        self._name = name
        self._interrupted = False
        tell_missing_packages(name)
        if signal.getsignal(signal.SIGINT) is signal.default_int_handler:
            signal.signal(signal.SIGINT, self._interrupt)

    def run(self, main: Callable[[], str | int | None]) -> None:
        """Call `main`, whose result becomes the exit status, as with sys.exit; raises SystemExit."""
        try:
            sys.exit(main())
        except KeyboardInterrupt:
            pass
        except SystemExit as ending:
            if not self._interrupted or ending.code != STATUS:  # typer turns KeyboardInterrupt into this status
                raise
        self._print()
        _end_past_daemon_threads()
        sys.exit(STATUS)

    def _interrupt(self, _number: int, frame: FrameType | None) -> None:
        while frame is not None:
            if frame.f_code.co_filename == IMPORT_CODE:
                self._print()
                os._exit(STATUS)
            frame = frame.f_back
        self._interrupted = True
        raise KeyboardInterrupt

    def _print(self) -> None:
        os.write(2, f"{self._name}: interrupted\n".encode())


def _end_past_daemon_threads() -> None:
    """End the process at once if a daemon thread runs, which may be in native code.

    At the end of the interpreter such code can abort the process: OpenVINO's threads do while an engine is opened.
    """
    threading = sys.modules.get("threading")
    if threading is not None and any(thread.daemon for thread in threading.enumerate()):
        from contextlib import suppress

        with suppress(OSError):  # a closed pipe
            sys.stdout.flush()
        os._exit(STATUS)
