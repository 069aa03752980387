"""Password hashes: Argon2id (RFC 9106); the only file that imports argon2."""

import secrets
import unicodedata
from typing import Any

from edge.errors import AccessError

SHORTEST, LONGEST = 10, 256
"""Characters of a password."""
TIME_COST, MEMORY_KIB, LANES = 2, 19 * 1024, 1
"""Least cost that OWASP's Password Storage Cheat Sheet names: the line shares processor and memory with the page."""


def password_problem(password: str) -> str | None:
    """Say why a new password is refused; None for one that is accepted."""
    length = len(normal(password))
    if not SHORTEST <= length <= LONGEST:
        return f"found a password of {length} characters, expected {SHORTEST} to {LONGEST}"
    if not normal(password).isprintable():
        return "found a password with control characters, expected printable ones"
    return None


def hashed(password: str) -> str:
    """Hash a password; the result holds salt and cost. Raises AccessError."""
    return str(_hasher().hash(normal(password).encode()))


def is_password(known: str | None, password: str) -> bool:
    """Compare a password with a hash, at the same cost where there is none; raises AccessError."""
    hasher, invalid = _hasher(), _argon2().exceptions
    given = normal(password)[: LONGEST + 1].encode("utf-8", "surrogatepass")
    try:
        return bool(hasher.verify(known or _HASH_OF_NO_USER, given)) and known is not None
    except (invalid.VerifyMismatchError, invalid.VerificationError, invalid.InvalidHashError):
        return False


def normal(text: str) -> str:
    """Return the one form of a text that keyboards send in several (NFC, RFC 8265)."""
    return unicodedata.normalize("NFC", text)


def check_argon2() -> None:
    """Check that the package is installed; raises AccessError."""
    _argon2()


def _hasher() -> Any:
    return _argon2().PasswordHasher(time_cost=TIME_COST, memory_cost=MEMORY_KIB, parallelism=LANES)


def _argon2() -> Any:
    try:
        import argon2
    except ImportError:
        raise AccessError("passwords need the package argon2-cffi; pip install 'edge-inspect[page]'") from None
    return argon2


def _hash_of_no_password() -> str:
    """Make a hash of the same cost for which no password is known, in the PHC string format."""
    from base64 import b64encode

    salt, tag = (b64encode(secrets.token_bytes(size)).decode().rstrip("=") for size in (16, 32))
    return f"$argon2id$v=19$m={MEMORY_KIB},t={TIME_COST},p={LANES}${salt}${tag}"


_HASH_OF_NO_USER = _hash_of_no_password()
