"""What can be wrong with a bundle.

BundleError(Exception)          anything wrong with a bundle; the message is one line
 +- BundleDamaged               a file is missing, truncated or not the one the manifest names
 +- BundleFormat                the manifest's version, a key or a value is not one this software knows
 +- GoldenMismatch              an engine's outputs differ from those the bundle was published with
FrameError(ValueError)          a frame's shape, type or size does not fit the input it is for
"""


class BundleError(Exception):
    """Anything wrong with a bundle, in one line: which file, found, expected, what to do."""


class BundleDamaged(BundleError):
    """A file of the bundle is missing, unreadable, or differs from its sha256 in the manifest."""


class BundleFormat(BundleError):
    """The manifest has a version, key or value that this software does not know."""


class GoldenMismatch(BundleError):
    """The engine does not give what the bundle's golden frames expect; it must not go on line."""


class FrameError(ValueError):
    """A frame's shape, type or size does not fit."""


def os_problem(error: OSError) -> str:
    """Say in one line what the system refused: which file, why, what to look at."""
    where = f"{error.filename}: " if error.filename else ""
    return f"{where}{error.strerror or error}; check the path, the space and the permissions"
