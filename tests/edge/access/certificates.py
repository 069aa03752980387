"""Certificates for tests, which sign themselves."""

from datetime import datetime, timedelta, timezone
from ipaddress import ip_address
from pathlib import Path

import pytest

pytest.importorskip("cryptography", reason="cryptography makes the certificates: edge-inspect[release]")

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

PEM, PKCS8 = serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8


def make_certificate(folder: Path, host: str = "localhost", days: tuple[int, int] = (-1, 30)) -> tuple[Path, Path]:
    """Write `page.crt` and `page.key`, valid from and until so many days from now; returns both paths."""
    folder.mkdir(exist_ok=True)
    key, now = ec.generate_private_key(ec.SECP256R1()), datetime.now(timezone.utc)
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, host)])
    others = [x509.DNSName(host), x509.IPAddress(ip_address("127.0.0.1"))]
    made = (
        x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
        .not_valid_before(now + timedelta(days=days[0]))
        .not_valid_after(now + timedelta(days=days[1]))
        .add_extension(x509.SubjectAlternativeName(others), critical=False)
        .sign(key, hashes.SHA256())
    )
    certificate, private = folder / "page.crt", folder / "page.key"
    certificate.write_bytes(made.public_bytes(PEM))
    private.write_bytes(key.private_bytes(PEM, PKCS8, serialization.NoEncryption()))
    return certificate, private


def make_encrypted_key(path: Path) -> None:
    """Put a key with a password in place of one without."""
    key = serialization.load_pem_private_key(path.read_bytes(), password=None)
    path.write_bytes(key.private_bytes(PEM, PKCS8, serialization.BestAvailableEncryption(b"secret")))
