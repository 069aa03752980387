"""The table `[s3]` of `line.toml`."""

from pathlib import Path
from typing import Annotated
from urllib.parse import urlsplit

from pydantic import AfterValidator, Field, model_validator

from edge.config.schema import LineTable, StationName, is_loopback


def _is_an_endpoint(address: str) -> str:
    try:
        parts = urlsplit(address)
        port = parts.port
    except ValueError:
        parts, port = urlsplit(""), None
    plain = f"{parts.scheme}://{parts.netloc}" == address.rstrip("/") and parts.username is None
    if parts.scheme not in ("https", "http") or not parts.hostname or port == 0 or not plain:
        shown = address.rpartition("@")[2]
        raise ValueError(
            f"{shown!r} is not the address of an S3 store, such as 'https://s3.plant.example:9000'; bucket, prefix and "
            "access key are keys of their own"
        )
    if parts.scheme == "http" and not is_loopback(f"{parts.hostname}:0"):
        raise ValueError(f"found {address!r} on another computer without encryption, expected https://")
    return address.rstrip("/")


class S3Settings(LineTable):
    """Upload of the stored pictures to an S3-compatible store, from the station's folder of pictures, so that an outage
    of the store loses none that is still there; docs/plant.md. Requires `[pictures]`."""

    endpoint: Annotated[str, AfterValidator(_is_an_endpoint)]
    """Address of the store: `https://host:port`; `http://` on the station itself only."""
    bucket: str = Field(pattern=r"^[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]$")
    """Name of the bucket, which exists."""
    station: StationName
    """Name of the station, a level of each object's name, unique in the bucket; letters, digits, dot, dash and
    underscore."""
    prefix: str = Field(default="", pattern=r"^([A-Za-z0-9._-]+(/[A-Za-z0-9._-]+)*)?$", max_length=200)
    """First levels of the objects' names: `prefix/station/2026-05-04/reject/120000-2-top.png`."""
    region: str = Field(default="us-east-1", pattern=r"^[a-z0-9-]+$", max_length=60)
    """Region of the bucket, a part of each signature."""
    access_key: str = Field(default="", max_length=200)
    """Identifier of the access key. Without it the client looks for one in the environment and in `~/.aws`."""
    secret_file: Path | None = None
    """File whose first line is the secret of `access_key`."""
    ca_file: Path | None = None
    """Certificates of the authorities that the store's certificate is checked against, PEM; those of the client's
    package by default."""

    @model_validator(mode="after")
    def _has_its_secret(self) -> "S3Settings":
        if bool(self.access_key) != (self.secret_file is not None):
            raise ValueError("found one of access_key and secret_file, expected both or neither")
        if self.ca_file is not None and self.endpoint.startswith("http:"):
            raise ValueError(f"found ca_file with {self.endpoint!r}, expected https://")
        return self

    @property
    def folder(self) -> str:
        """First levels of the objects' names, with the station and a slash at the end."""
        return f"{self.prefix}/{self.station}/".lstrip("/")

    def below(self, folder: Path) -> "S3Settings":
        """Return the settings with relative paths below `folder`."""
        names = [name for name in ("secret_file", "ca_file") if getattr(self, name) is not None]
        return self.model_copy(update={name: folder / getattr(self, name) for name in names})
