"""Store of a rollout, which all stations of a plant reach: a folder, or a repository of an OCI registry."""

from contextlib import AbstractContextManager
from pathlib import Path
from typing import Protocol


class RolloutStore(Protocol):
    """Small JSON documents by name, and signed bundles by id. Every method raises ReleaseError.

    A document is replaced as a whole; each has one writer. `str` gives the address, without a password.
    """

    def read(self, name: str) -> bytes | None:
        """Read a document; None if there is none of this name."""

    def write(self, name: str, content: bytes) -> None:
        """Write or replace a document."""

    def add_bundle(self, bundle: Path, bundle_id: str) -> None:
        """Copy a bundle's folder and the signature beside it to the store."""

    def bundle(self, bundle_id: str) -> AbstractContextManager[Path]:
        """Give a bundle's folder, with its signature beside it, for the time of the block; neither is verified."""
