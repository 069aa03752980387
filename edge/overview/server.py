"""Server of the overview: one page, its files, and `/api/stations`; read-only, in one process."""

import base64
import binascii
import hmac
import json
import socket
import threading
from collections.abc import Callable
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from ipaddress import ip_address
from pathlib import Path

from edge.errors import ServerError, StationError
from edge.overview.stations import StationSummary

OWN, OF_THE_PAGE = Path(__file__).with_name("static"), Path(__file__).parents[1] / "page" / "static"
FILES = {
    "/": (OWN / "index.html", "text/html; charset=utf-8"),
    "/static/overview.js": (OWN / "overview.js", "text/javascript; charset=utf-8"),
    "/static/overview.css": (OWN / "overview.css", "text/css; charset=utf-8"),
    "/static/page.css": (OF_THE_PAGE / "page.css", "text/css; charset=utf-8"),
    "/static/icon.svg": (OF_THE_PAGE / "icon.svg", "image/svg+xml"),
}
SAFE = {
    "Content-Security-Policy": "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; "
    "connect-src 'self'",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cache-Control": "no-store",
}
TIMEOUT_S = 10.0
"""Longest wait for a client's next bytes."""


class OverviewServer(ThreadingHTTPServer):
    """Serves what `read` returns; with a password by HTTP Basic, whatever the user's name."""

    daemon_threads = True

    def __init__(self, host: str, port: int, read: Callable[[], list[StationSummary]], password: str = "") -> None:
        """`read`: all stations; called by one thread at a time. Raises ServerError where it cannot listen."""
        self.address_family = socket.AF_INET6 if ":" in host else socket.AF_INET
        self.password = password
        self._read, self._reading = read, threading.Lock()
        try:
            super().__init__((host, port), OverviewHandler)
        except OSError as error:
            raise ServerError(
                f"overview: cannot listen at {host}, port {port} ({error.strerror}); free it, or set --listen"
            ) from None

    def stations(self) -> str:
        """All stations as JSON; raises StationError."""
        with self._reading:
            return json.dumps([summary.model_dump(mode="json") for summary in self._read()])

    def handle_error(self, request: object, client_address: object) -> None:
        """A client that goes away is no entry of the log."""


class OverviewHandler(BaseHTTPRequestHandler):
    """One connection."""

    server: OverviewServer
    timeout = TIMEOUT_S

    def do_GET(self) -> None:
        """Answer with a file or the stations."""
        path = self.path.partition("?")[0]
        if not self._is_own_host():
            return self._send(HTTPStatus.MISDIRECTED_REQUEST, "text/plain", b"unknown host")
        if not self._may():
            return self._send(HTTPStatus.UNAUTHORIZED, "text/plain", b"password needed")
        if path in FILES:
            file, kind = FILES[path]
            return self._send(HTTPStatus.OK, kind, file.read_bytes())
        if path != "/api/stations":
            return self._send(HTTPStatus.NOT_FOUND, "text/plain", b"no such page")
        try:
            self._send(HTTPStatus.OK, "application/json", self.server.stations().encode())
        except StationError as error:
            self._send(HTTPStatus.SERVICE_UNAVAILABLE, "application/json", json.dumps({"error": str(error)}).encode())

    def log_message(self, format: str, *args: object) -> None:
        """Requests are no entries of the log."""

    def _may(self) -> bool:
        if not self.server.password:
            return True
        kind, _, given = self.headers.get("Authorization", "").partition(" ")
        try:
            _, _, password = base64.b64decode(given, validate=True).partition(b":")
        except (binascii.Error, ValueError):
            return False
        return kind.lower() == "basic" and hmac.compare_digest(password, self.server.password.encode())

    def _is_own_host(self) -> bool:
        """Refuse other names without a password: a foreign page may resolve its own name to this address."""
        host = (
            self.headers.get("Host", "").rpartition("]")[0].strip("[") or self.headers.get("Host", "").partition(":")[0]
        )
        try:
            ip_address(host)
        except ValueError:
            return bool(self.server.password) or host in ("localhost", socket.gethostname())
        return True

    def _send(self, status: HTTPStatus, kind: str, content: bytes) -> None:
        self.send_response(status)
        for name, value in {**SAFE, "Content-Type": kind, "Content-Length": str(len(content))}.items():
            self.send_header(name, value)
        if status is HTTPStatus.UNAUTHORIZED:
            self.send_header("WWW-Authenticate", 'Basic realm="edge-inspect", charset="UTF-8"')
        self.end_headers()
        self.wfile.write(content)
