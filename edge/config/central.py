"""The table `[central]` of `line.toml`."""

from pathlib import Path
from typing import Annotated
from urllib.parse import parse_qs, urlsplit

from pydantic import AfterValidator

from edge.address import shown
from edge.config.schema import LineTable, StationName, is_loopback

ENCRYPTED = ("require", "verify-ca", "verify-full")
"""Values of libpq's sslmode that never send in clear text."""


def _is_a_database(address: str) -> str:
    try:
        parts = urlsplit(address)
    except ValueError:  # an open bracket
        parts = urlsplit("")
    options = parse_qs(parts.query)
    if parts.scheme != "postgresql" or not parts.path.strip("/"):
        raise ValueError(
            f"{shown(address)!r} is not the address of a database, such as "
            "'postgresql://line3@db.plant.example/quality?sslmode=verify-full'"
        )
    if parts.password is not None or "password" in options:
        raise ValueError(f"found a password in {shown(address).partition('?')[0]!r}, expected it in password_file")
    host = (parts.hostname or options.get("host", ["localhost"])[0]).strip("[]")
    near = host.startswith("/") or is_loopback(f"{host}:0")
    if not near and options.get("sslmode", [""])[0] not in ENCRYPTED:
        raise ValueError(
            f"found {shown(address)!r} on another computer without encryption, expected ?sslmode=verify-full at its end"
        )
    return address


class CentralSettings(LineTable):
    """Central records: the station's rows in a PostgreSQL database of the plant, from the station's own records, so
    that an outage of the database loses nothing; docs/plant.md."""

    database: Annotated[str, AfterValidator(_is_a_database)]
    """Address of the database: `postgresql://user@host/name`, with libpq's options. A database on another computer
    requires `sslmode`."""
    station: StationName
    """Name of the station, unique in the database; letters, digits, dot, dash and underscore."""
    password_file: Path | None = None
    """File whose first line is the password; without it libpq takes `PGPASSWORD` or `~/.pgpass`."""

    def below(self, folder: Path) -> "CentralSettings":
        """Return the settings with relative paths below `folder`."""
        if self.password_file is None:
            return self
        return self.model_copy(update={"password_file": folder / self.password_file})
