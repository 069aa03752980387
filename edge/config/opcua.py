"""The table `[opcua]` of `line.toml`."""

from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field, model_validator

from edge.config.schema import ONE_LINE, LineTable, ListenAddress, host_and_port, is_loopback

UserName = Annotated[str, Field(min_length=1, max_length=60, pattern=ONE_LINE)]
Password = Annotated[str, Field(min_length=8)]


class OpcUaSettings(LineTable):
    """OPC UA server with results, counters, recipe and state of the station, after OPC 40100-1; docs/opc-ua.md. Clients
    read and subscribe, they write and call nothing."""

    listen: ListenAddress = "127.0.0.1:4840"
    """Address and port of the server. The default accepts clients on the station itself only; `0.0.0.0:4840` accepts
    them from every network of the station, and requires `security` and `users`."""
    security: Literal["None", "Basic256Sha256"] = "None"
    """Security policy; with "Basic256Sha256" every message is signed and encrypted."""
    certificate: Path | None = None
    """Certificate of the server, PEM or DER, with the server's application URI as a subject alternative name; for
    "Basic256Sha256"."""
    private_key: Path | None = None
    """RSA key of the certificate, PEM or DER, without a password."""
    users: dict[UserName, Password] = Field(default={})
    """Passwords of the users by name, the table `[opcua.users]`: `mes = "..."`. Without users everyone who reaches the
    port may read."""

    @model_validator(mode="after")
    def _has_its_files(self) -> "OpcUaSettings":
        files = {"certificate": self.certificate, "private_key": self.private_key}
        given = [name for name, path in files.items() if path is not None]
        expected = list(files) if self.security != "None" else []
        if given != expected:
            raise ValueError(
                f"found {' and '.join(given) or 'neither certificate nor private_key'} with security = "
                f"{self.security!r}, expected {' and '.join(expected) or 'none of them'}"
            )
        return self

    @model_validator(mode="after")
    def _is_secure_outside(self) -> "OpcUaSettings":
        if not is_loopback(self.listen) and (self.security == "None" or not self.users):
            raise ValueError(
                f"found listen = {self.listen!r} with security = {self.security!r} and {len(self.users)} users, "
                'expected security = "Basic256Sha256" and users, because it is reached from other computers'
            )
        return self

    @property
    def host_and_port(self) -> tuple[str, int]:
        """Host and port of `listen`."""
        return host_and_port(self.listen)

    def below(self, folder: Path) -> "OpcUaSettings":
        """Return the settings with relative paths below `folder`."""
        if self.certificate is None or self.private_key is None:
            return self
        files = {"certificate": folder / self.certificate, "private_key": folder / self.private_key}
        return self.model_copy(update=files)
