"""A server that hands out tokens for a registry, as those of Harbor and GitLab do."""

import base64
import json
import ssl
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature

from tests.edge.access.certificates import Authority

SERVICE, ISSUER = "plant", "tokens of the tests"
ALL = frozenset({"pull", "push"})


class TokenServer:
    """Signs a token for a user with a password (Docker Registry v2 token authentication; RFC 7515, 7519)."""

    def __init__(self, authority: Authority, user: str, password: str) -> None:
        self.allowed = ALL
        """Actions that it grants."""
        self.answer: object = None
        """Answer of the server instead of a token; None for tokens."""
        self.asked = 0
        """Number of requests."""
        self._expected = "Basic " + base64.b64encode(f"{user}:{password}".encode()).decode()
        certificate, key = authority.certify("tokens")
        self._certificate = x509.load_pem_x509_certificate(certificate.read_bytes())
        self._key = serialization.load_pem_private_key(key.read_bytes(), password=None)
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), self._handler())
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(certificate, key)
        self._server.socket = context.wrap_socket(self._server.socket, server_side=True)
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.02})
        self._thread.start()

    def configuration(self, authority: Path) -> dict[str, str]:
        """The table `token` of the registry's configuration."""
        realm = f"https://localhost:{self._server.server_port}/token"
        return {"realm": realm, "service": SERVICE, "issuer": ISSUER, "rootcertbundle": str(authority)}

    def close(self) -> None:
        """End it."""
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        server = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                server.asked += 1
                known = self.headers.get("Authorization") == server._expected
                content = json.dumps(server._answer(parse_qs(urlsplit(self.path).query))).encode() if known else b""
                self.send_response(200 if known else 401)
                self.send_header("Content-Length", str(len(content)))
                self.end_headers()
                self.wfile.write(content)

            def log_message(self, format: str, *values: object) -> None:
                """Keep the tests' output clean."""

        return Handler

    def _answer(self, asked: dict[str, list[str]]) -> object:
        if self.answer is not None:
            return self.answer
        access = []
        for scope in asked.get("scope", []):
            kind, name, actions = scope.split(":")
            access.append({"type": kind, "name": name, "actions": sorted(self.allowed & set(actions.split(",")))})
        now = int(time.time())
        times = {"nbf": now - 10, "iat": now, "exp": now + 60}
        claims = {"iss": ISSUER, "sub": "", "aud": asked["service"][0], "jti": "1", "access": access, **times}
        return {"token": self._signed(claims)}

    def _signed(self, claims: dict[str, object]) -> str:
        """A JWS in compact form, ES256, with the certificate of its key."""
        der = self._certificate.public_bytes(serialization.Encoding.DER)
        header = {"typ": "JWT", "alg": "ES256", "x5c": [base64.b64encode(der).decode()]}
        signed = ".".join(_encoded(json.dumps(part).encode()) for part in (header, claims))
        assert isinstance(self._key, ec.EllipticCurvePrivateKey)
        numbers = decode_dss_signature(self._key.sign(signed.encode(), ec.ECDSA(hashes.SHA256())))
        return f"{signed}.{_encoded(b''.join(number.to_bytes(32, 'big') for number in numbers))}"


def _encoded(content: bytes) -> str:
    return base64.urlsafe_b64encode(content).rstrip(b"=").decode()
