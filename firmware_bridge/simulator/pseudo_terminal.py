"""A pseudo-terminal: the stand-in for a serial port and its wire, with this process at the far end."""

import errno
import os
import select
import tty
from pathlib import Path


class PseudoTerminal:
    """The far end of a serial port that another process, or another thread, opens by `path`.

    It keeps the near end open itself, so that nothing is lost or raised when the other side closes and opens it again.
    With `link`, a symbolic link there leads to the near end, and is taken away by `close`.
    """

    def __init__(self, link: Path | None = None) -> None:
        """Open a pair in raw mode; raises FileExistsError where `link` is something else than a left-over link."""
        if link and link.is_symlink():
            link.unlink()
        if link and link.exists():
            raise FileExistsError(f"{link} is there and is no symbolic link; take it away, or name another place")
        self._far, self._near = os.openpty()
        tty.setraw(self._near)
        os.set_blocking(self._far, False)
        self.path, self._link = Path(os.ttyname(self._near)), link
        if link:
            link.symlink_to(self.path)

    @property
    def name(self) -> Path:
        """The path under which the other side opens it."""
        return self._link or self.path

    def read(self, timeout_s: float) -> bytes:
        """See Port."""
        readable, _, _ = select.select([self._far], [], [], timeout_s)
        return os.read(self._far, 4096) if readable else b""

    def write(self, data: bytes) -> None:
        """Write to the other side; what it does not read is lost, as on a wire, once the driver's buffer is full."""
        try:
            os.write(self._far, data)
        except OSError as error:
            if error.errno != errno.EAGAIN:
                raise

    def close(self) -> None:
        """See Port."""
        if self._far < 0:
            return
        os.close(self._far)
        os.close(self._near)
        self._far = self._near = -1
        if self._link and self._link.is_symlink():
            self._link.unlink()
