"""Store of a rollout in a repository of an OCI registry. The only file that imports dxf.

Everything is an artifact of files with the titles under which `oras pull` writes them too: a document is one file under
the tag of its name, a bundle with its signature lies under the tag `bundle-ID`. A tag that moves leaves its former
manifest to the registry's garbage collection; nothing is deleted here, which many registries do not allow.
"""

import json
import re
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, cast

from dxf import DXF
from dxf.exceptions import DXFError, DXFUnauthorizedError
from pydantic import BaseModel, Field
from requests import HTTPError, codes

from edge.errors import ReleaseError
from edge.release.signature import SUFFIX, signature_path

SCHEME = "oci://"
ADDRESS = re.compile(rf"{SCHEME}(?P<host>[A-Za-z0-9.-]+(:[0-9]+)?)/(?P<repository>[a-z0-9._-]+(/[a-z0-9._-]+)*)")
TIMEOUT_S = 20.0
"""Longest wait for a connection, and for each block of an answer."""
MOST_BYTES = 2 << 30
"""Largest artifact that is downloaded."""
MANIFEST_TYPE = "application/vnd.oci.image.manifest.v1+json"
ARTIFACT_TYPE = "application/vnd.edge-inspect.rollout.v1"
TITLE = "org.opencontainers.image.title"


class _Layer(BaseModel):
    digest: str = Field(pattern=r"^sha256:[0-9a-f]{64}$")
    size: int = Field(ge=0)
    annotations: dict[str, str]


class _Manifest(BaseModel):
    """The part of an OCI image manifest that is used (OCI image specification 1.1, manifest.md)."""

    layers: list[_Layer] = Field(min_length=1)


class RegistryStore:
    """A repository over TLS, with a password, a token for it, or neither. Content is held against its digest."""

    def __init__(
        self,
        address: str,
        user: str = "",
        password: str = "",
        ca_file: Path | None = None,
        timeout_s: float = TIMEOUT_S,
    ) -> None:
        """`ca_file`: authorities of the registry's certificate, PEM; those of the package certifi by default.

        Raises ReleaseError.
        """
        found = ADDRESS.fullmatch(address)
        if found is None:
            shown = address.rpartition("@")[2]
            raise ReleaseError(
                f"{shown}: found no repository, expected {SCHEME}host:port/repository without a password"
            )
        if ca_file is not None and not ca_file.is_file():
            raise ReleaseError(f"{ca_file}: found no such file, expected the authorities of the registry's certificate")
        self._address, self._user, self._password = address, user, password
        authorities = True if ca_file is None else str(ca_file)
        self._dxf = DXF(found["host"], found["repository"], self._log_in, tlsverify=authorities, timeout=timeout_s)

    def __str__(self) -> str:
        return self._address

    def read(self, name: str) -> bytes | None:
        """Read a document; None if there is none of this name. Raises ReleaseError."""
        with TemporaryDirectory() as folder:
            is_there = self._pull(name, re.escape(f"{name}.json"), Path(folder))
            return (Path(folder) / f"{name}.json").read_bytes() if is_there else None

    def write(self, name: str, content: bytes) -> None:
        """Write or replace a document; raises ReleaseError."""
        with TemporaryDirectory() as folder:
            path = Path(folder) / f"{name}.json"
            path.write_bytes(content)
            self._push(name, {path.name: path})

    def add_bundle(self, bundle: Path, bundle_id: str) -> None:
        """Upload the files of a bundle and its signature; raises ReleaseError."""
        paths = sorted(path for path in bundle.rglob("*") if path.is_file())
        files = {f"{bundle_id}/{path.relative_to(bundle).as_posix()}": path for path in paths}
        self._push(f"bundle-{bundle_id}", {**files, f"{bundle_id}{SUFFIX}": signature_path(bundle)})

    @contextmanager
    def bundle(self, bundle_id: str) -> Iterator[Path]:
        """Download a bundle and its signature to a temporary folder; raises ReleaseError."""
        titles = rf"{bundle_id}({re.escape(SUFFIX)}|(/[A-Za-z0-9][A-Za-z0-9._-]*)+)"
        with TemporaryDirectory() as folder:
            if not self._pull(f"bundle-{bundle_id}", titles, Path(folder)):
                raise ReleaseError(f"{self}: found no bundle {bundle_id[:12]}; publish the rollout again")
            yield Path(folder) / bundle_id

    def _push(self, tag: str, files: Mapping[str, Path]) -> None:
        """Upload files by title, those that the registry lacks, and point a tag to them."""
        with self._explained(), self._dxf:
            layers: list[dict[str, Any]] = [
                {
                    "mediaType": "application/octet-stream",
                    "digest": self._dxf.push_blob(str(path)),
                    "size": path.stat().st_size,
                    "annotations": {TITLE: title},
                }
                for title, path in files.items()
            ]
            config = {key: layers[0][key] for key in ("digest", "size")}  # every manifest needs a config
            manifest = {"schemaVersion": 2, "mediaType": MANIFEST_TYPE, "layers": layers}
            self._dxf.set_manifest(tag, json.dumps({**manifest, "config": {**config, "mediaType": ARTIFACT_TYPE}}))

    def _pull(self, tag: str, titles: str, folder: Path) -> bool:
        """Download the files of a tag, whose titles match a pattern as a whole; returns whether the tag is there."""
        with self._explained(), self._dxf:
            try:
                manifest, _ = self._dxf.get_manifest_and_response(tag)
            except HTTPError as error:
                if error.response is not None and error.response.status_code == codes.not_found:
                    return False
                raise
            layers = _Manifest.model_validate_json(manifest).layers
            if sum(layer.size for layer in layers) > MOST_BYTES:
                raise ReleaseError(f"{self}:{tag}: found more than {MOST_BYTES >> 20} MiB; remove this tag")
            for layer in layers:
                title = layer.annotations.get(TITLE, "")
                if not re.fullmatch(titles, title):
                    raise ReleaseError(f"{self}:{tag}: found the file {title!r}, expected {titles}; remove this tag")
                self._download(layer, folder / title)
        return True

    def _download(self, layer: _Layer, path: Path) -> None:
        path.parent.mkdir(exist_ok=True, parents=True)
        left = layer.size
        with path.open("wb") as file:
            blocks = cast(Iterable[bytes], self._dxf.pull_blob(layer.digest, chunk_size=1 << 16))
            for block in blocks:  # raises at the end if the digest differs
                left -= len(block)
                if left < 0:
                    raise ReleaseError(f"{self}: found more bytes in {layer.digest} than its manifest says")
                file.write(block)

    def _log_in(self, dxf: Any, response: Any) -> None:
        """Answer a challenge, by the password or by a token that the server named there gives for it."""
        try:
            dxf.authenticate(self._user or None, self._password or None, response=response)
        except (AttributeError, KeyError, TypeError):  # dxf takes the answer as it comes
            raise ReleaseError(
                f"{self}: found no token in the answer of the registry's token server, expected one; check that server"
            ) from None

    @contextmanager
    def _explained(self) -> Iterator[None]:
        """Turn errors of the client, the network and the disk into ReleaseError; none of them has the password."""
        try:
            yield
        except DXFUnauthorizedError:
            if self._user:
                problem = f"refused user {self._user!r}; check password and the right to pull and push"
            else:
                problem = "refused anonymous access; give --user and --password-file"
            raise ReleaseError(f"{self}: {problem}") from None
        except (DXFError, OSError, KeyError, ValueError) as error:
            raise ReleaseError(
                f"{self}: {_words(error)}; check registry, address, certificate, user and password"
            ) from None


def _words(error: Exception) -> str:
    """Return what is wrong, without the layers of the client around it."""
    text = " ".join(str(error).split())
    if refused := re.search(r"certificate verify failed: (.+?)\.? \(_ssl", text):
        return f"the certificate is refused ({refused[1]})"
    if away := re.search(r"\[Errno -?[0-9]+\] (\w[\w ]*)", text):
        return f"cannot be reached ({away[1]})"
    return text[:300] or type(error).__name__
