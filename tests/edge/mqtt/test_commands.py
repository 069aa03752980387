"""Commands of the broker's clients, as the station answers them."""

import json
from pathlib import Path

import pytest

pytest.importorskip("paho", reason="the MQTT client needs edge-inspect[mqtt]")

from edge.mqtt.client import MqttMessage
from edge.mqtt.commands import RemoteCommands
from edge.mqtt.json_messages import JsonTopics
from tests.edge.mqtt.doubles import MqttSettings, task_of


def commands(records: Path) -> RemoteCommands:
    settings = MqttSettings(broker="mqtt://127.0.0.1:1", station="line3", commands=True)
    return RemoteCommands(task_of(records, 1, (2,), commands=True), JsonTopics(settings))


def answer(taken_by: RemoteCommands, command: str, content: bytes) -> tuple[str, str]:
    """Action and error text of the reply to a command."""
    told = json.loads(taken_by.take(MqttMessage(f"edge-inspect/line3/command/{command}", content)).payload)
    return told["done"], told["error"]


def test_a_step_of_a_rollout_is_asked_for_by_the_file_that_systemd_watches(tmp_path: Path) -> None:
    taken_by = commands(tmp_path / "records.sqlite")
    done, error = answer(taken_by, "rollout", b'{"id": "a1"}')
    first = (tmp_path / "records.rollout").read_text()
    answer(taken_by, "rollout", b'{"id": "a2"}')

    assert (done.split(";")[0], error) == ("a step is asked for", "")
    assert [first, (tmp_path / "records.rollout").read_text()] == ["a1\n", "a2\n"]


def test_a_folder_that_is_gone_is_the_error_of_the_command(tmp_path: Path) -> None:
    done, error = answer(commands(tmp_path / "none" / "records.sqlite"), "rollout", b'{"id": "a1"}')

    assert done == ""
    assert error == f"{tmp_path}/none/records.rollout: cannot be written (No such file or directory)"


@pytest.mark.parametrize(
    ("command", "content", "error"),
    [
        ("changeover", b"hello", """changeover: found 'hello', expected JSON such as {"id": "a1", "recipe": 2}"""),
        ("changeover", b"", """changeover: found '', expected JSON such as {"id": "a1", "recipe": 2}"""),
        ("changeover", b"[1]", """changeover: found '[1]', expected JSON such as {"id": "a1", "recipe": 2}"""),
        ("challenge", b"\xff{", """challenge: found '\\\\xff{', expected JSON such as"""),
        ("challenge", b'{"id": "a"}', "challenge: who: missing"),
        ("rollout", b'{"id": "a", "bundle": "b"}', "rollout: bundle: unknown key"),
        ("stop", b"{}", "command: found 'stop', expected one of changeover, challenge, rollout"),
    ],
)
def test_a_command_that_cannot_be_read_is_answered_with_what_is_expected(
    tmp_path: Path, command: str, content: bytes, error: str
) -> None:
    assert answer(commands(tmp_path / "records.sqlite"), command, content)[1].startswith(error)
    assert [*tmp_path.iterdir()] == []
