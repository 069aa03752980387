"""The table `[mqtt]` of `line.toml`."""

from pathlib import Path
from typing import Annotated
from urllib.parse import urlsplit

from pydantic import AfterValidator, Field, model_validator

from edge.config.schema import LineTable, StationName, is_loopback

PORTS = {"mqtt": 1883, "mqtts": 8883}


def _is_a_broker(address: str) -> str:
    try:
        parts = urlsplit(address)
        port = parts.port
    except ValueError:
        parts, port = urlsplit(""), None
    plain = f"{parts.scheme}://{parts.netloc}" == address.rstrip("/")
    if parts.scheme not in PORTS or not parts.hostname or parts.username is not None or port == 0 or not plain:
        shown = address.rpartition("@")[2]
        raise ValueError(
            f"{shown!r} is not the address of a broker, such as 'mqtts://broker.plant.example:8883'; the user is a key "
            "of its own, the password a file"
        )
    return address


class MqttSettings(LineTable):
    """MQTT client: results, alarms, counters and state of the station for a broker, from the station's records, so that
    an outage of the broker loses nothing; docs/plant.md."""

    broker: Annotated[str, AfterValidator(_is_a_broker)]
    """Address of the broker: `mqtts://host:port` with TLS, `mqtt://host:port` without. With a password or with
    `commands`, a broker on another computer requires TLS."""
    station: StationName
    """Name of the station: a level of each topic, and the client's identifier. Unique among the stations of a broker;
    letters, digits, dot, dash and underscore."""
    topic: str = Field(default="edge-inspect", pattern=r"^[A-Za-z0-9._-]+(/[A-Za-z0-9._-]+)*$", max_length=200)
    """First levels of the topics: `edge-inspect/line3/result`."""
    user: str = Field(default="", max_length=200)
    """User at the broker."""
    password_file: Path | None = None
    """File whose first line is the user's password."""
    ca_file: Path | None = None
    """Certificates of the authorities that the broker's certificate is checked against, PEM; those of the system by
    default."""
    certificate: Path | None = None
    """Certificate of the station, PEM, for a broker that asks for one."""
    private_key: Path | None = None
    """Private key of `certificate`, PEM, without a password."""
    sparkplug_group: str = Field(default="", pattern=r"^[A-Za-z0-9._-]*$", max_length=60)
    """Group of Sparkplug B; with it the station is also an edge node of this group, whose NDEATH is then the last will
    of the connection. Without it there are JSON messages only."""
    sparkplug_host: str = Field(default="", pattern=r"^[A-Za-z0-9._-]*$", max_length=60)
    """Primary host application of Sparkplug, such as a SCADA system: while its STATE is not online, nothing is sent and
    rows wait in the records. Without this key they are sent in any case. Requires `sparkplug_group`."""
    commands: bool = False
    """Whether the broker's clients may request changeovers, challenges and steps of a rollout. Everyone whom the broker
    lets publish there may do so."""

    @model_validator(mode="after")
    def _has_its_files(self) -> "MqttSettings":
        if (self.certificate is None) != (self.private_key is None):
            raise ValueError("found one of certificate and private_key, expected both or neither")
        if self.password_file is not None and not self.user:
            raise ValueError("found a password_file without a user, expected both")
        if self.sparkplug_host and not self.sparkplug_group:
            raise ValueError("found a sparkplug_host without a sparkplug_group, expected both")
        files = [name for name in ("ca_file", "certificate") if getattr(self, name) is not None]
        if files and not self.uses_tls:
            raise ValueError(f"found {' and '.join(files)} with {self.broker!r}, expected mqtts://, which uses TLS")
        return self

    @model_validator(mode="after")
    def _is_secure_outside(self) -> "MqttSettings":
        if self.uses_tls or is_loopback(f"{self.host}:0"):
            return self
        if self.commands or self.password_file is not None:
            secret = "commands" if self.commands else "a password_file"
            raise ValueError(f"found {secret} with {self.broker!r} on another computer, expected mqtts://, with TLS")
        return self

    @property
    def uses_tls(self) -> bool:
        """Whether the connection is encrypted."""
        return urlsplit(self.broker).scheme == "mqtts"

    @property
    def host(self) -> str:
        """Host of the broker, without the brackets of IPv6."""
        return urlsplit(self.broker).hostname or ""

    @property
    def port(self) -> int:
        """Port of the broker."""
        parts = urlsplit(self.broker)
        return parts.port or PORTS[parts.scheme]

    def below(self, folder: Path) -> "MqttSettings":
        """Return the settings with relative paths below `folder`."""
        names = ("password_file", "ca_file", "certificate", "private_key")
        files = {name: folder / getattr(self, name) for name in names if getattr(self, name) is not None}
        return self.model_copy(update=files)
