"""Cache folder of a bundle's engines: `<bundle>.engines/`, or a folder of that name under EDGE_INSPECT_CACHE."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TypeVar

from bundle import Bundle
from bundle.files import write_whole
from edge.errors import EngineError

VARIABLE = "EDGE_INSPECT_CACHE"
_Cache = TypeVar("_Cache", bound="EngineCache")


class EngineCache:
    """Files that this machine made for a bundle; each can be made again."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    @classmethod
    def of(cls: type[_Cache], bundle: Bundle) -> _Cache:
        """Return the cache of a bundle on this machine."""
        whole = (bundle.within or bundle.folder).resolve()
        elsewhere, name = os.environ.get(VARIABLE), f"{whole.name}.engines"
        folder = Path(elsewhere) / name if elsewhere else whole.parent / name
        return cls(folder if bundle.within is None else folder / bundle.folder.name)

    def read(self, name: str) -> bytes | None:
        """Read a file, such as a timing cache; None if there is none, or a folder, pipe or device of that name."""
        path = self.folder / name
        return path.read_bytes() if path.is_file() else None

    def write(self, name: str, content: bytes) -> None:
        """Store a file in one step. Raises EngineError."""
        path = self.folder / name
        with writing(path):
            write_whole(path, content)
            path.chmod(0o644)  # built by root, read by the station's user


@contextmanager
def writing(path: Path) -> Iterator[None]:
    """Create the folder of a file to be written; OSError becomes EngineError."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        yield
    except OSError as error:
        raise EngineError(
            f"{path}: cannot be written ({error.strerror}); check the folder's permissions and space, "
            f"or name another folder in {VARIABLE}"
        ) from None
