"""A TCP proxy that cuts connections or is slow."""

import socket
import threading
from contextlib import suppress

from tests.edge.forwarding.waiting import PATIENCE_S


class CuttingProxy:
    """Forwards to a server; cuts the connection after some bytes of one side, for a number of times."""

    def __init__(
        self, port: int, cuts: int = 0, after_bytes: int = 0, of_server: bool = False, kib_per_s: float = 0.0
    ) -> None:
        """`kib_per_s`: speed towards the server; 0 for no limit."""
        self._kib_per_s = kib_per_s
        self.cuts = cuts
        self.passes = threading.Event()
        """While it is not set, new connections wait."""
        self.passes.set()
        self._port, self._after_bytes, self._of_server = port, after_bytes, of_server
        self._server = socket.create_server(("127.0.0.1", 0))
        self.port = int(self._server.getsockname()[1])
        self._threads = [threading.Thread(target=self._serve, daemon=True)]
        self._threads[0].start()
        self._opened: list[socket.socket] = []

    def close(self) -> None:
        """End all connections."""
        self.passes.set()
        for opened in (self._server, *self._opened):
            with suppress(OSError):
                opened.shutdown(socket.SHUT_RDWR)
            opened.close()
        for thread in self._threads:
            thread.join(PATIENCE_S)

    def _serve(self) -> None:
        with suppress(OSError):
            while True:
                client, _ = self._server.accept()
                self.passes.wait()
                server = socket.create_connection(("127.0.0.1", self._port))
                self._opened += [client, server]
                cut, self.cuts = self.cuts > 0, max(0, self.cuts - 1)
                for source, target, is_cut in (
                    (client, server, cut and not self._of_server),
                    (server, client, cut and self._of_server),
                ):
                    most = self._after_bytes if is_cut else 2**62
                    pause_s = 1 / self._kib_per_s if self._kib_per_s and source is client else 0.0
                    thread = threading.Thread(target=self._copy, args=(source, target, most, pause_s), daemon=True)
                    self._threads.append(thread)
                    thread.start()

    def _copy(self, source: socket.socket, target: socket.socket, most: int, pause_s: float) -> None:
        with suppress(OSError):
            while most > 0 and (data := source.recv(min(most, 1024 if pause_s else 65536))):
                target.sendall(data)
                most -= len(data)
                threading.Event().wait(pause_s)
        for one in (source, target):
            with suppress(OSError):
                one.shutdown(socket.SHUT_RDWR)
