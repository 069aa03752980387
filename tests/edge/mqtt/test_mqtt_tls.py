"""Mosquitto with TLS, passwords and certificates of the stations: what is let in, and what is said where it is not."""

import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from edge.config.mqtt import MqttSettings
from edge.errors import ServerError
from edge.forwarding.forwarder import Forwarder
from edge.mqtt.client import check_broker
from edge.mqtt.target import MqttTarget
from tests.edge.access.certificates import Authority
from tests.edge.forwarding.records_doubles import insert
from tests.edge.forwarding.waiting import PATIENCE_S, wait_for
from tests.edge.mqtt.doubles import MOSQUITTO, Mosquitto, task_of

PASSWORD = "of the third line"


class SecureBroker(NamedTuple):
    """A broker that wants TLS, a certificate and a password."""

    folder: Path
    port: int
    authority: Authority

    def keys(self, host: str = "localhost") -> dict[str, Any]:
        """The keys of `[mqtt]` that the broker lets in."""
        certificate, private_key = self.authority.certify("station")
        files = {"ca_file": self.authority.file, "certificate": certificate, "private_key": private_key}
        broker = f"mqtts://{host}:{self.port}"
        return {"broker": broker, "user": "line3", "password_file": secret(self.folder, PASSWORD), **files}


def secret(folder: Path, password: str) -> Path:
    """A file with a password, which its owner may read."""
    path = folder / f"password-{len(password)}"
    path.write_text(f"{password}\n", encoding="utf-8")
    path.chmod(0o600)
    return path


@pytest.fixture(scope="module")
def broker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SecureBroker]:
    folder = tmp_path_factory.mktemp("broker")
    authority, users = Authority(folder / "plant"), folder / "users"
    certificate, key = authority.certify("broker")
    if MOSQUITTO:
        subprocess.run(["mosquitto_passwd", "-c", "-b", users, "line3", PASSWORD], check=True, capture_output=True)
    options = {
        "allow_anonymous": "false", "password_file": users, "cafile": authority.file, "certfile": certificate,
        "keyfile": key, "require_certificate": "true",
    }  # fmt: skip
    started = Mosquitto(folder, "\n".join(f"{name} {value}" for name, value in options.items()))
    yield SecureBroker(folder, started.port, authority)
    started.stop()


def forward(broker: SecureBroker, records: Path, changes: dict[str, Any]) -> Forwarder:
    insert(records, 1, 2)
    task = task_of(records, broker.port, **{**broker.keys(), **changes})
    forwarder = Forwarder(MqttTarget(task), records, retry_s=0.05)
    forwarder.start()
    return forwarder


def test_rows_reach_a_broker_with_tls_by_password_and_certificate(broker: SecureBroker, tmp_path: Path) -> None:
    forwarder = forward(broker, tmp_path / "records.sqlite", {})
    wait_for(lambda: forwarder.problem == "" and (tmp_path / "records.mqtt.json").exists())
    forwarder.stop(PATIENCE_S)

    assert '"last":2' in (tmp_path / "records.mqtt.json").read_text(encoding="utf-8")


def other_authority(broker: SecureBroker) -> dict[str, Any]:
    return {"ca_file": Authority(broker.folder / "other").file}


def wrong_password(broker: SecureBroker) -> dict[str, Any]:
    return {"password_file": secret(broker.folder, "guessed")}


def no_certificate(broker: SecureBroker) -> dict[str, Any]:
    return {"certificate": None, "private_key": None}


def certificate_of_others(broker: SecureBroker) -> dict[str, Any]:
    certificate, private_key = Authority(broker.folder / "stranger").certify("station")
    return {"certificate": certificate, "private_key": private_key}


def other_host(broker: SecureBroker) -> dict[str, Any]:
    return {"broker": f"mqtts://127.0.0.1:{broker.port}"}


def clear_text(broker: SecureBroker) -> dict[str, Any]:
    return {"broker": f"mqtt://127.0.0.1:{broker.port}", "ca_file": None, "certificate": None, "private_key": None}


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        (wrong_password, "the broker refuses it: Not authorized"),
        (other_authority, "the broker's certificate is refused"),
        (other_host, "the broker's certificate is refused: IP address mismatch"),
        (no_certificate, "as without the certificate that it asks for"),
        (certificate_of_others, "as without the certificate that it asks for"),
        (clear_text, "the broker ends the connection"),
    ],
)
def test_what_the_broker_or_the_station_refuses_is_said(
    broker: SecureBroker, tmp_path: Path, change: Callable[[SecureBroker], dict[str, Any]], problem: str
) -> None:
    forwarder = forward(broker, tmp_path / "records.sqlite", change(broker))
    wait_for(lambda: forwarder.problem)
    forwarder.stop(PATIENCE_S)

    assert problem in forwarder.problem
    assert "guessed" not in forwarder.problem


def encrypted(folder: Path, key: Path) -> Path:
    """The key under a password."""
    locked = folder / "locked.key"
    command = ["openssl", "pkey", "-in", key, "-out", locked, "-aes256", "-passout", "pass:of the key"]
    subprocess.run(command, check=True, capture_output=True)
    return locked


@pytest.mark.parametrize(
    ("name", "problem"),
    [
        ("ca_file", r"\[mqtt\] ca_file .*/none.pem: cannot be read \(No such file"),
        ("certificate", r"\[mqtt\] certificate .*/none.pem, private_key .*: cannot be read \(No such file"),
        ("private_key", r"\[mqtt\] certificate .*, private_key .*/locked.key: found no PEM, or a key with a password"),
    ],
)
def test_the_file_that_cannot_be_used_is_named_and_no_password_asked_for(
    tmp_path: Path, name: str, problem: str
) -> None:
    authority = Authority(tmp_path / "plant")
    certificate, key = authority.certify("station")
    files = {"ca_file": authority.file, "certificate": certificate, "private_key": key}
    files[name] = encrypted(tmp_path, key) if name == "private_key" else tmp_path / "none.pem"
    settings = MqttSettings.model_validate({"broker": "mqtts://127.0.0.1:1", "station": "line3", **files})
    with pytest.raises(ServerError, match=problem):
        check_broker(settings)
