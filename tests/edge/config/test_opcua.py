"""The table [opcua] of line.toml: what is reached from other computers is encrypted, and has users."""

from pathlib import Path

import pytest

from edge.config.line import parse_line
from edge.config.opcua import OpcUaSettings
from edge.errors import LineConfigError

SECURE = {"security": "Basic256Sha256", "certificate": "c.pem", "private_key": "k.pem"}
USERS = {"users": {"mes": "open sesame"}}


def table(keys: dict[str, object]) -> OpcUaSettings | None:
    content = {"bundle": "b", "plc": "serial:///dev/x", "camera": [{"address": "synthetic://"}], "opcua": keys}
    return parse_line(content, Path("/lines/line.toml")).opcua


@pytest.mark.parametrize(
    ("keys", "problem"),
    [
        ({"listen": "0.0.0.0:4840"}, "security = 'None' and 0 users, expected security = \"Basic256Sha256\" and users"),
        ({"listen": "0.0.0.0:4840", **SECURE}, "security = 'Basic256Sha256' and 0 users"),
        ({"listen": "192.168.1.5:4840", **USERS}, "security = 'None' and 1 users"),
        ({"listen": "[::]:4840", **USERS}, "because it is reached from other computers"),
        ({"listen": "4840"}, "'4840' is not an address with a port"),
        ({"security": "Basic256Sha256"}, "found neither certificate nor private_key with security"),
        ({**SECURE, "private_key": None}, "found certificate with security"),
        ({"certificate": "c.pem", "private_key": "k.pem"}, "expected none of them"),
        ({"security": "Basic128Rsa15"}, "opcua.security"),
        ({"users": {"mes": "short"}}, "opcua.users.mes"),
        ({"users": {"": "open sesame"}}, "opcua.users"),
        ({"port": 4840}, "opcua.port: unknown key"),
    ],
)
def test_a_wrong_table_is_one_clear_line(keys: dict[str, object], problem: str) -> None:
    with pytest.raises(LineConfigError) as refused:
        table({key: value for key, value in keys.items() if value is not None})
    assert problem in str(refused.value)
    assert "\n" not in str(refused.value)


def test_no_error_shows_a_password() -> None:
    with pytest.raises(LineConfigError) as refused:
        table({"listen": "0.0.0.0:4840", **USERS})
    assert "sesame" not in str(refused.value)


def test_it_listens_to_this_machine_alone_unless_told_otherwise() -> None:
    assert OpcUaSettings().host_and_port == ("127.0.0.1", 4840)


def test_the_files_are_beside_the_line() -> None:
    found = table({"listen": "0.0.0.0:4840", **SECURE, **USERS})

    assert found is not None
    assert (found.certificate, found.private_key) == (Path("/lines/c.pem"), Path("/lines/k.pem"))
