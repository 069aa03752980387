"""Signatures of bundles: Ed25519 (RFC 8032) over the bundle's id, which covers every file by its SHA-256.

The signature is a file of 64 bytes beside the bundle's folder: `<folder>.sig`. A distribution's list of checksums is
signed as it is, so that `openssl pkeyutl -verify -rawin` verifies it too. Keys are PEM files (PKCS #8 and
SubjectPublicKeyInfo), as OpenSSL writes them.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from bundle import Bundle, SignatureInvalid, os_problem, write_whole
from bundle.files import read_regular
from bundle.manifest import read_manifest

SUFFIX = ".sig"
MOST_BYTES = 64 * 1024
"""Largest number of bytes of a key or signature that are read."""
_CONTEXT = b"edge-inspect bundle, version 1: "
CHECKSUMS_HEADER = "# edge-inspect distribution, version 1: "
"""Beginning of every list of checksums: its signature can never be one of a bundle."""


def signature_path(folder: Path) -> Path:
    """Path of the signature of the bundle in a folder; links to the folder are followed."""
    folder = folder.resolve()
    return folder.with_name(folder.name + SUFFIX)


def make_keys(folder: Path) -> tuple[Path, Path]:
    """Write a new key pair, `release.key` (readable by its owner only) and `release.pub`; returns both paths.

    Raises SignatureInvalid if one of them exists.
    """
    serialization, ed25519, _ = _cryptography()
    private, public = folder / "release.key", folder / "release.pub"
    for path in (private, public):
        if path.exists():
            raise SignatureInvalid(f"{path}: found a file, expected none, for a key that is lost cannot be made again")
    key = ed25519.Ed25519PrivateKey.generate()
    folder.mkdir(parents=True, exist_ok=True)
    pem, plain = serialization.Encoding.PEM, serialization.NoEncryption()
    private.touch(0o600)
    private.write_bytes(key.private_bytes(pem, serialization.PrivateFormat.PKCS8, plain))
    public.write_bytes(key.public_key().public_bytes(pem, serialization.PublicFormat.SubjectPublicKeyInfo))
    return private, public


def sign(bundle: Bundle, key: Path) -> Path:
    """Sign a verified bundle with a private key; returns the path of the signature. Raises SignatureInvalid."""
    return _write_signature(signature_path(bundle.folder), _message(bundle.id), key)


def sign_checksums(checksums: Path, key: Path) -> Path:
    """Sign a list of checksums with a private key; returns the path of the signature, `<file>.sig`.

    Raises SignatureInvalid.
    """
    content = checksums.read_bytes()
    if not content.startswith(CHECKSUMS_HEADER.encode()):
        raise SignatureInvalid(
            f"{checksums}: found no list of checksums, expected one that begins {CHECKSUMS_HEADER!r}"
        )
    return _write_signature(checksums.with_name(checksums.name + SUFFIX), content, key)


def _write_signature(path: Path, message: bytes, key: Path) -> Path:
    serialization, ed25519, _ = _cryptography()
    private = _key(key, lambda data: serialization.load_pem_private_key(data, password=None))
    if not isinstance(private, ed25519.Ed25519PrivateKey):
        raise SignatureInvalid(f"{key}: found another kind of key, expected a private Ed25519 key without a password")
    write_whole(path, private.sign(message))
    return path


def check_signature(folder: Path, keys: Sequence[Path]) -> str:
    """Verify the bundle's signature by one of some public keys; returns the id that is signed.

    Only manifest and signature are read; `load_bundle` holds every file against the manifest.
    Raises BundleError for an unreadable manifest or signature, SignatureInvalid (a BundleError) for an invalid one.
    """
    bundle_id = read_manifest(folder).id
    path = signature_path(folder)
    signature = read_regular(path.parent, path.name, MOST_BYTES)
    serialization, ed25519, invalid = _cryptography()
    for key in keys:
        public = _key(key, serialization.load_pem_public_key)
        if not isinstance(public, ed25519.Ed25519PublicKey):
            raise SignatureInvalid(f"{key}: found another kind of key, expected a public Ed25519 key")
        try:
            public.verify(signature, _message(bundle_id))
        except invalid:
            continue
        return bundle_id
    names = ", ".join(str(key) for key in keys)
    raise SignatureInvalid(
        f"{path}: found no signature of bundle {bundle_id[:12]} by {names}, expected one; the bundle was changed, or "
        "signed with another key"
    )


def _message(bundle_id: str) -> bytes:
    return _CONTEXT + bundle_id.encode()


def _key(path: Path, load: Any) -> Any:
    from cryptography.exceptions import UnsupportedAlgorithm

    data = _read_key(path)
    try:
        return load(data)
    except (ValueError, TypeError, UnsupportedAlgorithm) as error:
        said = " ".join(str(error).split())
        raise SignatureInvalid(f"{path}: cannot be read as a key ({said}); expected PEM without a password") from None


def _read_key(path: Path) -> bytes:
    try:
        with path.open("rb") as file:
            return file.read(MOST_BYTES)
    except OSError as error:
        raise SignatureInvalid(f"{os_problem(error)}; expected a key in PEM format") from None


def _cryptography() -> tuple[Any, Any, type[Exception]]:
    try:
        from cryptography.exceptions import InvalidSignature
        from cryptography.hazmat.primitives import serialization
        from cryptography.hazmat.primitives.asymmetric import ed25519
    except ImportError:
        raise SignatureInvalid(
            "signatures need the package cryptography; pip install 'edge-inspect[release]'"
        ) from None
    return serialization, ed25519, InvalidSignature
