"""An S3 store that accepts everything and keeps the requests."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any


class RecordingStore(ThreadingHTTPServer):
    """HTTP server of a thread of its own."""

    daemon_threads = True

    def __init__(self) -> None:
        self.requests: list[tuple[str, str, str]] = []
        """Method, path and authorization of each request."""
        super().__init__(("127.0.0.1", 0), _Handler)


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    timeout = 60

    def do_HEAD(self) -> None:
        self._keep()

    def do_PUT(self) -> None:
        self.rfile.read(int(self.headers["Content-Length"]))
        self._keep()

    def log_message(self, *given: Any) -> None:
        """Say nothing."""

    def _keep(self) -> None:
        assert isinstance(self.server, RecordingStore)
        self.server.requests.append((self.command, self.path, self.headers.get("Authorization", "")))
        self.send_response(200)
        self.send_header("Content-Length", "0")
        self.end_headers()


@contextmanager
def recording_store() -> Iterator[RecordingStore]:
    server = RecordingStore()
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield server
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
