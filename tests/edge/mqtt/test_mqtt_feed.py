"""The MQTT client hangs off the side: a broker that hangs or is away is an alarm, and the line goes on."""

import os
import signal
from pathlib import Path

import pytest

pytest.importorskip("paho", reason="the MQTT client needs edge-inspect[mqtt]")

from edge.alarms import Alarms
from edge.commands.doctor import check_mqtt, find
from edge.config.mqtt import MqttSettings
from edge.mqtt.feed import MqttFeed
from tests.edge.forwarding.records_doubles import insert
from tests.edge.forwarding.waiting import PATIENCE_S, free_port, wait_for
from tests.edge.mqtt.doubles import Mosquitto, task_of
from tests.edge.page.doubles import station


def test_a_broker_that_is_away_is_an_alarm_until_it_is_there(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    alarms, port = Alarms(), free_port()
    insert(tmp_path / "records.sqlite", 1)
    task = task_of(tmp_path / "records.sqlite", port)
    feed = MqttFeed(f"mqtt://127.0.0.1:{port}", task, station, alarms, hang_s=PATIENCE_S, patience_s=0.0)
    wait_for(lambda: any("cannot be reached" in alarm.text for alarm in alarms.active))
    (alarm,) = alarms.active
    broker = Mosquitto(tmp_path / "broker", port=port)
    wait_for(lambda: not alarms.active)
    feed.close()
    broker.stop()

    assert alarm.name == "MQTT"
    assert "rows wait in the records, the line continues" in alarm.text
    assert alarm.text.count(f"127.0.0.1:{port}") == 1
    assert [
        each.message for each in caplog.records if "cannot be reached" in each.message and "alarm" not in each.message
    ]


def test_the_death_of_the_process_is_an_alarm_and_it_is_started_again(tmp_path: Path) -> None:
    alarms = Alarms()
    task = task_of(tmp_path / "records.sqlite", free_port())
    feed = MqttFeed("mqtt://127.0.0.1", task, station, alarms, retry_s=0.01, hang_s=PATIENCE_S)
    wait_for(lambda: feed.updates)
    before = feed.process
    os.kill(before, signal.SIGKILL)
    wait_for(lambda: feed.process != before)
    feed.close()

    assert feed.tries >= 2


def test_the_doctor_connects_to_the_broker(tmp_path: Path) -> None:
    broker = Mosquitto(tmp_path / "broker")
    settings = MqttSettings(broker=f"mqtt://127.0.0.1:{broker.port}", station="line3")
    right = find("MQTT", lambda: check_mqtt(settings))
    broker.stop()
    wrong = find("MQTT", lambda: check_mqtt(settings))

    assert right.words == f"mqtt://127.0.0.1:{broker.port} accepts the connection"
    assert "found no connection (the broker cannot be reached" in wrong.words
