"""Errors of bundles and frames.

BundleError(Exception)          a bundle cannot be used; the message is one line
 +- BundleDamaged               a file is missing, truncated, or differs from the manifest
 +- BundleFormat                the manifest has an unknown version, key or value
 +- SignatureInvalid            no valid signature by a known key
 +- GoldenMismatch              an engine's outputs differ from the golden outputs
FrameError(ValueError)          a frame has the wrong shape, type or size
"""


class BundleError(Exception):
    """A bundle cannot be used; one line: which file, found, expected, what to do."""


class BundleDamaged(BundleError):
    """A file of the bundle is missing, unreadable, or differs from its sha256 in the manifest."""


class BundleFormat(BundleError):
    """The manifest has an unknown version, key or value."""


class SignatureInvalid(BundleError):
    """A bundle has no valid signature by a known key, or a key cannot be read."""


class GoldenMismatch(BundleError):
    """An engine's outputs differ from the bundle's golden outputs; it must not go on line."""


class FrameError(ValueError):
    """A frame has the wrong shape, type or size, or a picture cannot be read."""


def os_problem(error: OSError) -> str:
    """Message for an operating-system error: which file, the reason, what to check."""
    where = f"{error.filename}: " if error.filename else ""
    return f"{where}{error.strerror or error}; check the path, the space and the permissions"
