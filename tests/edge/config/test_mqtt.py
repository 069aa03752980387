"""The table [mqtt] of line.toml: names fit into topics, and secrets do not cross a network in clear text."""

from pathlib import Path

import pytest

from edge.config.line import parse_line
from edge.config.mqtt import MqttSettings
from edge.errors import LineConfigError

NEAR = {"broker": "mqtt://localhost", "station": "line3"}
FAR = {"broker": "mqtt://broker.plant.example", "station": "line3"}


def table(keys: dict[str, object]) -> MqttSettings | None:
    content = {"bundle": "b", "plc": "serial:///dev/x", "camera": [{"address": "synthetic://"}], "mqtt": keys}
    return parse_line(content, Path("/lines/line.toml")).mqtt


@pytest.mark.parametrize(
    ("keys", "problem"),
    [
        ({**NEAR, "broker": "broker:1883"}, "'broker:1883' is not the address of a broker"),
        ({**NEAR, "broker": "mqtt://b/path"}, "is not the address of a broker"),
        ({**NEAR, "broker": "mqtt://b:99999"}, "is not the address of a broker"),
        ({**NEAR, "broker": "mqtt://me:sesame@b"}, "'b' is not the address of a broker"),
        ({**NEAR, "station": "line/3"}, "mqtt.station"),
        ({**NEAR, "station": "line+"}, "mqtt.station"),
        ({**NEAR, "station": "#"}, "mqtt.station"),
        ({**NEAR, "sparkplug_host": "scada"}, "found a sparkplug_host without a sparkplug_group"),
        ({**NEAR, "station": "line 3\n"}, "mqtt.station"),
        ({**NEAR, "topic": "$SYS"}, "mqtt.topic"),
        ({**NEAR, "topic": "plant//glaze"}, "mqtt.topic"),
        ({**NEAR, "password_file": "p"}, "found a password_file without a user"),
        ({**NEAR, "ca_file": "ca.pem"}, "found ca_file with 'mqtt://localhost', expected mqtts://"),
        ({**FAR, "commands": True}, "found commands with 'mqtt://broker.plant.example' on another computer"),
        ({**FAR, "user": "u", "password_file": "p"}, "found a password_file with 'mqtt://broker.plant.example'"),
        ({**NEAR, "broker": "mqtts://b", "certificate": "c"}, "found one of certificate and private_key"),
        ({**NEAR, "password": "sesame"}, "mqtt.password: unknown key"),
    ],
)
def test_a_wrong_table_is_one_clear_line(keys: dict[str, object], problem: str) -> None:
    with pytest.raises(LineConfigError) as refused:
        table(keys)
    assert problem in str(refused.value)
    assert "sesame" not in str(refused.value)


def test_ports_and_paths_are_completed() -> None:
    files = {"ca_file": "ca.pem", "certificate": "/c.pem", "private_key": "k.pem"}
    settings = table({"broker": "mqtts://[::1]", "station": "line3", **files})

    assert settings is not None
    assert (settings.host, settings.port, settings.uses_tls) == ("::1", 8883, True)
    assert (settings.ca_file, settings.certificate) == (Path("/lines/ca.pem"), Path("/c.pem"))
    assert MqttSettings(**FAR, user="line3").port == 1883  # type: ignore[arg-type]
