"""The table `[page]` of `line.toml`."""

from datetime import time
from ipaddress import ip_address
from pathlib import Path
from typing import Literal

from pydantic import Field, field_validator, model_validator

from edge.config.schema import ONE_LINE, LineTable, ListenAddress, host_and_port, is_loopback


class PageSettings(LineTable):
    """Operator page in the browser. It is read-only without `users`, `operator_token` or `inspector_token`."""

    listen: ListenAddress = "127.0.0.1:8080"
    """Address and port of the page's server. The default accepts browsers on the station itself only; `0.0.0.0:8080`
    accepts them from every network of the station: set a `token` then."""
    token: str | None = Field(default=None, min_length=8)
    """Access token. A browser opens `http://station:8080/?token=...` once; a program sends a bearer token."""
    operator_token: str | None = Field(default=None, min_length=8)
    """Token of the operators: a page that was opened with it, as with `token`, can also start challenges, acknowledge
    alarms, and pause the station."""
    inspector_token: str | None = Field(default=None, min_length=8)
    """Token of the inspectors: a page that was opened with it can also mark parts as really good or really defective,
    beside all that an operator may do."""
    users: Path | None = None
    """File of the users with passwords, such as `users.json`, which `edge-inspect user add` makes. With it, the page is
    shown to users who have logged in and to tokens only, unless `without_token = true`."""
    idle_minutes: float = Field(default=30, ge=1, le=1440)
    """A user is logged out after this time without an action; the page's own updates are none."""
    session_hours: float = Field(default=12, gt=0, le=168)
    """A user is logged out after this time in any case."""
    certificate: Path | None = None
    """Certificate of the page in PEM format, with its intermediate certificates: the page is served with TLS."""
    key: Path | None = None
    """Private key of the certificate in PEM format, without a password."""
    proxies: tuple[str, ...] = ()
    """Addresses of trusted proxies, such as `"127.0.0.1"`: the browser's address and `https` are taken from the
    X-Forwarded headers of these alone."""
    inspect: bool = False
    """Whether other programs may send pictures to `/api/inspect` and get verdicts, with the `operator_token`: one
    picture at a time, in a process of the lowest priority, beside the line."""
    without_token: bool = False
    """Whether an address other than the station's own may be served without a `token`: everyone in that network sees
    the page then."""
    hosts: tuple[str, ...] = ()
    """Names of the station in the network, such as `line3.plant.example`, by which the page may be opened without a
    `token`. IP addresses, `localhost` and the computer's own name are always accepted."""
    title: str = Field(default="edge-inspect", min_length=1, max_length=60, pattern=ONE_LINE)
    """Heading of the page, such as `Line 3, glaze`."""
    lang: Literal["en", "de"] | None = None
    """Language of the page, English or German; without it, that of the browser."""
    shift_starts: tuple[str, ...] = Field(default=("06:00", "14:00", "22:00"), min_length=1)
    """Start times of the shifts, in the station's local time."""

    @model_validator(mode="after")
    def _different_tokens(self) -> "PageSettings":
        given = [token for token in (self.token, self.operator_token, self.inspector_token) if token is not None]
        if len(set(given)) < len(given):
            raise ValueError("found the same token twice, expected a different one for each role")
        return self

    @model_validator(mode="after")
    def _inspection_has_a_token(self) -> "PageSettings":
        if self.inspect and self.operator_token is None:
            raise ValueError("found inspect = true without an operator_token, expected one: programs send it")
        return self

    @field_validator("proxies")
    @classmethod
    def _are_addresses(cls, proxies: tuple[str, ...]) -> tuple[str, ...]:
        for proxy in proxies:
            ip_address(proxy)  # raises ValueError with the text
        return proxies

    @model_validator(mode="after")
    def _has_both_files(self) -> "PageSettings":
        if (self.certificate is None) != (self.key is None):
            raise ValueError("found one of certificate and key, expected both or none")
        return self

    @model_validator(mode="after")
    def _passwords_are_encrypted(self) -> "PageSettings":
        if self.users is not None and not (is_loopback(self.listen) or self.certificate or self.proxies):
            raise ValueError(
                f"found users with listen = {self.listen!r}, expected certificate and key, or proxies with TLS: "
                "passwords would cross the network in the clear"
            )
        return self

    @model_validator(mode="after")
    def _token_outside(self) -> "PageSettings":
        if self.token is None and self.users is None and not self.without_token and not is_loopback(self.listen):
            raise ValueError(
                f"found listen = {self.listen!r} without a token, expected a token or users; "
                "with without_token = true everyone in that network sees the page"
            )
        return self

    @field_validator("shift_starts")
    @classmethod
    def _are_times(cls, starts: tuple[str, ...]) -> tuple[str, ...]:
        for start in starts:
            try:
                time.fromisoformat(start)
            except ValueError:
                raise ValueError(f"{start!r} is not a time of day, such as '06:00'") from None
        return starts

    @property
    def host_and_port(self) -> tuple[str, int]:
        """Host and port of `listen`."""
        return host_and_port(self.listen)

    @property
    def needs_log_in(self) -> bool:
        """Whether nothing is shown without a token or a log-in."""
        return self.token is not None or (self.users is not None and not self.without_token)

    def below(self, folder: Path) -> "PageSettings":
        """Return the settings with relative paths below `folder`."""
        files = {"users": self.users, "certificate": self.certificate, "key": self.key}
        return self.model_copy(update={name: folder / path for name, path in files.items() if path is not None})
