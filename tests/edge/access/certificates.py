"""Certificates for tests: those that sign themselves, and an authority that signs others."""

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


class Authority:
    """A certificate authority; its certificate is `file`."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self._folder, self._key = folder, ec.generate_private_key(ec.SECP256R1())
        self._name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, f"authority {folder.name}")])
        made = self._builder(self._name, self._key.public_key()).add_extension(
            x509.BasicConstraints(ca=True, path_length=0), critical=True
        )
        self.file = folder / "authority.crt"
        self.file.write_bytes(self._sign(made))

    def certify(self, name: str, host: str = "localhost") -> tuple[Path, Path]:
        """Write a certificate for a host and its key, `NAME.crt` and `NAME.key`; returns both paths."""
        key = ec.generate_private_key(ec.SECP256R1())
        subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
        made = self._builder(subject, key.public_key()).add_extension(
            x509.SubjectAlternativeName([x509.DNSName(host)]), critical=False
        )
        certificate, private = self._folder / f"{name}.crt", self._folder / f"{name}.key"
        certificate.write_bytes(self._sign(made))
        private.write_bytes(key.private_bytes(PEM, PKCS8, serialization.NoEncryption()))
        return certificate, private

    def _builder(self, subject: x509.Name, key: ec.EllipticCurvePublicKey) -> x509.CertificateBuilder:
        now, of = datetime.now(timezone.utc), self._key.public_key()
        builder = x509.CertificateBuilder(self._name, subject, key, x509.random_serial_number())
        return (
            builder.not_valid_before(now - timedelta(days=1))
            .not_valid_after(now + timedelta(days=30))
            .add_extension(x509.SubjectKeyIdentifier.from_public_key(key), critical=False)
            .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(of), critical=False)
        )

    def _sign(self, builder: x509.CertificateBuilder) -> bytes:
        return builder.sign(self._key, hashes.SHA256()).public_bytes(PEM)
