"""Check of a server's certificate and key in files, by a handshake with itself in memory."""

import ssl
from dataclasses import dataclass
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

from bundle import os_problem
from edge.errors import AccessError

NOT_YET_VALID, EXPIRED = 9, 10
"""Of OpenSSL: X509_V_ERR_CERT_NOT_YET_VALID and X509_V_ERR_CERT_HAS_EXPIRED."""
WAYS_OUT = {
    NOT_YET_VALID: "is not valid yet; check the station's clock",
    EXPIRED: "has expired; renew it, then restart the station",
}


@dataclass(frozen=True)
class Certificate:
    """Names and end of validity of a certificate."""

    names: tuple[str, ...]
    """Host names and addresses that it is for."""
    expires: datetime
    """UTC."""


def load_identity(certificate: Path, key: Path) -> ssl.SSLContext:
    """Load both files for a server.

    Raises AccessError for files that cannot be read, are no PEM, need a password, or do not belong together.
    """
    for path in (certificate, key):
        try:
            path.open("rb").close()
        except OSError as error:
            raise AccessError(f"{os_problem(error)}; the station's user must be able to read it") from None
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    try:
        context.load_cert_chain(certificate, key, password=lambda: b"")
    except (ssl.SSLError, ValueError) as error:
        raise AccessError(f"{certificate}, {key}: {_problem(error)}") from None
    return context


def check_certificate(certificate: Path, key: Path) -> Certificate:
    """Return what a browser is shown; raises AccessError, also for a certificate that is not valid today."""
    server = load_identity(certificate, key)
    client = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    client.check_hostname = False
    client.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN  # the certificate itself is trusted, without its issuers
    client.load_verify_locations(certificate)
    try:
        shown = _handshake(server, client)
    except ssl.SSLCertVerificationError as error:
        found = WAYS_OUT.get(error.verify_code, f"is refused by a browser ({error.verify_message}); make a new one")
        raise AccessError(f"{certificate}: the certificate {found}") from None
    except ssl.SSLError as error:
        raise AccessError(f"{certificate}, {key}: {_problem(error)}") from None
    names = tuple(str(name) for _, name in shown.get("subjectAltName", ()))
    expires = datetime.fromtimestamp(ssl.cert_time_to_seconds(str(shown["notAfter"])), timezone.utc)
    return Certificate(names, expires)


def _handshake(server: ssl.SSLContext, client: ssl.SSLContext) -> dict[str, Any]:
    """Shake hands in memory; returns the certificate as the client has verified it."""
    to_server, to_client = ssl.MemoryBIO(), ssl.MemoryBIO()
    ends = [server.wrap_bio(to_server, to_client, server_side=True), client.wrap_bio(to_client, to_server)]
    while ends:
        for end in tuple(ends):
            try:
                end.do_handshake()
            except ssl.SSLWantReadError:
                continue
            ends.remove(end)
            if not end.server_side:
                return dict(end.getpeercert() or {})
    raise AssertionError("the client ends first")


def _problem(error: Exception) -> str:
    reason = getattr(error, "reason", None) or str(error)
    if reason == "KEY_VALUES_MISMATCH":
        return "the key is not that of the certificate; name the two files that belong together"
    return f"cannot be used ({reason}), expected a certificate and its key in PEM format, the key without a password"
