"""Feed of a server with a listening socket: the station opens the socket, a child process serves it."""

import logging
import socket

from edge.alarms import Alarms
from edge.config.schema import host_and_port
from edge.errors import ServerError
from edge.servers.process_feed import HANG_S, RETRY_S, ProcessFeed

log = logging.getLogger(__name__)

BACKLOG = 64


class ServerFeed(ProcessFeed):
    """Runs and updates a server; the argument of its module is the file descriptor of the listening socket."""

    scheme: str
    """Scheme of the address."""

    def __init__(self, listen: str, alarms: Alarms, retry_s: float = RETRY_S, hang_s: float = HANG_S) -> None:
        """`listen`: address and port."""
        self.address: str | None = None
        """Address of the server; None while it is not served."""
        super().__init__(listen, alarms, retry_s, hang_s)

    def _serve(self) -> None:
        with listening(*host_and_port(self._peer), self.table) as socket_:
            self.address = _url(self.scheme, *socket_.getsockname()[:2])
            log.info("%s: %s", self.table, self.address)
            try:
                self._run_process(str(socket_.fileno()), pass_fds=(socket_.fileno(),))
            finally:
                self.address = None


def listening(host: str, port: int, table: str) -> socket.socket:
    """Open the listening socket that `table` of line.toml names; raises ServerError."""
    opened = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET, socket.SOCK_STREAM)
    try:
        opened.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        opened.bind((host, port))
        opened.listen(BACKLOG)
    except OSError as error:
        opened.close()
        advice = f"free the port, or set another in [{table}]"
        raise ServerError(f"cannot listen there ({error.strerror}); {advice}") from None
    return opened


def _url(scheme: str, host: str, port: int) -> str:
    """Address of the server, with an IPv6 address in brackets (RFC 3986, section 3.2.2)."""
    return f"{scheme}://[{host}]:{port}" if ":" in host else f"{scheme}://{host}:{port}"
