"""Store of a rollout in a folder that all stations reach."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from bundle import write_whole
from edge.errors import ReleaseError
from edge.release.releases import ReleaseFolder


class FolderStore:
    """Documents are files `NAME.json`; bundles are folders named by their ids."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def __str__(self) -> str:
        return str(self._folder)

    def read(self, name: str) -> bytes | None:
        """Read a document; None if there is none of this name. Raises ReleaseError."""
        try:
            return self._path(name).read_bytes()
        except FileNotFoundError:
            return None
        except OSError as error:
            raise ReleaseError(f"{self._path(name)}: cannot be read ({error.strerror}); check the folder") from None

    def write(self, name: str, content: bytes) -> None:
        """Write or replace a document; raises ReleaseError."""
        try:
            write_whole(self._path(name), content)
        except OSError as error:
            raise ReleaseError(f"{self._path(name)}: cannot be written ({error.strerror}); check the folder") from None

    def add_bundle(self, bundle: Path, bundle_id: str) -> None:
        """Copy a bundle and its signature to the folder, which exists; raises ReleaseError."""
        if not self._folder.is_dir():  # as where nothing is mounted
            raise ReleaseError(f"{self._folder}: found no such folder, expected one that all stations reach")
        try:
            ReleaseFolder(self._folder / "latest").add(bundle, bundle_id)
        except OSError as error:
            raise ReleaseError(f"{self._folder}: the bundle was not copied ({error.strerror}); check it") from None

    @contextmanager
    def bundle(self, bundle_id: str) -> Iterator[Path]:
        """Give the folder of a bundle, which is the store's own."""
        yield self._folder / bundle_id

    def _path(self, name: str) -> Path:
        return self._folder / f"{name}.json"
