"""Rows wait for the primary host of Sparkplug, and reach it once each after its outages."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

pytest.importorskip("google.protobuf", reason="payloads are read with protobuf, which onnx brings")
pytest.importorskip("paho", reason="the MQTT client needs edge-inspect[mqtt]")

from edge.forwarding.forwarder import Forwarder
from edge.mqtt.client import MqttMessage
from edge.mqtt.sparkplug_host import PrimaryHost
from edge.mqtt.target import MqttTarget
from tests.edge.forwarding.records_doubles import insert
from tests.edge.forwarding.waiting import wait_for
from tests.edge.mqtt.doubles import Mosquitto, Subscriber, task_of
from tests.edge.mqtt.test_sparkplug import metrics_of
from tests.edge.page.doubles import station

STATE = "spBv1.0/STATE/scada"


@pytest.fixture
def host(tmp_path: Path) -> Iterator[Subscriber]:
    """The host, whose broker is there."""
    broker = Mosquitto(tmp_path / "broker")
    subscriber = Subscriber(broker.port, "spBv1.0/plant/#")
    yield subscriber
    subscriber.close()
    broker.stop()


def kinds(host: Subscriber) -> list[str]:
    return [topic.split("/")[2] for topic, _, _ in [*host.messages]]


def numbers(host: Subscriber) -> list[int]:
    """Numbers of the parts, in the order in which they came."""
    data = [metrics_of(payload) for topic, payload, _ in [*host.messages] if "/DDATA/" in topic]
    return [metrics["Result/Number"].long_value for metrics in data if "Result/Number" in metrics]


def test_rows_wait_for_the_host_and_reach_it_once_after_its_outages(host: Subscriber, tmp_path: Path) -> None:
    records = tmp_path / "records.sqlite"
    insert(records, 1, 2)
    port = host.client._port
    task = task_of(records, port, sparkplug_group="plant", sparkplug_host="scada")
    forwarder = Forwarder(MqttTarget(task), records, retry_s=0.05)
    forwarder.start()
    forwarder.take(station())
    wait_for(lambda: "found the primary host not online (spBv1.0/STATE/scada)" in forwarder.problem)
    before = [*host.messages]
    host.publish(STATE, {"online": True, "timestamp": 1000}, retain=True)
    host.wait_for(lambda: numbers(host) == [1, 2])
    host.publish(STATE, {"online": False, "timestamp": 900}, retain=True)  # the will of an earlier session
    insert(records, 3)
    host.wait_for(lambda: numbers(host) == [1, 2, 3])
    progress = records.with_name("records.mqtt.json")  # rows under way at an outage come again
    wait_for(lambda: '"last":3' in progress.read_text(encoding="utf-8"))
    host.publish(STATE, {"online": False, "timestamp": 1000}, retain=True)
    host.wait_for(lambda: kinds(host)[-1] == "NDEATH")
    insert(records, *range(4, 300))
    wait_for(lambda: "found the primary host not online" in forwarder.problem)
    waited = numbers(host)
    host.publish(STATE, {"online": True, "timestamp": 2000}, retain=True)
    host.wait_for(lambda: numbers(host) == [*range(1, 300)])
    forwarder.stop(60.0)
    host.wait_for(lambda: kinds(host)[-1] == "NDEATH")
    births = [metrics_of(payload)["bdSeq"].long_value for topic, payload, _ in host.messages if "/NBIRTH/" in topic]
    deaths = [metrics_of(payload)["bdSeq"].long_value for topic, payload, _ in host.messages if "/NDEATH/" in topic]

    assert (before, waited) == ([], [1, 2, 3])
    assert len(births) == 2
    assert births == deaths
    assert births[0] != births[1]


def test_a_command_of_the_time_without_the_host_is_not_carried_out_later(host: Subscriber, tmp_path: Path) -> None:
    records = tmp_path / "records.sqlite"
    insert(records, 1)
    port = host.client._port
    task = task_of(records, port, (2, 3), sparkplug_group="plant", sparkplug_host="scada", commands=True)
    forwarder = Forwarder(MqttTarget(task), records, retry_s=0.05)
    forwarder.start()
    wait_for(lambda: "found the primary host not online" in forwarder.problem)
    command = "edge-inspect/line3/command/changeover"
    answers = Subscriber(port, "edge-inspect/line3/answer")
    host.publish(command, {"id": "early", "recipe": 2})
    host.publish(STATE, {"online": True, "timestamp": 1000}, retain=True)
    host.wait_for(lambda: numbers(host) == [1])
    host.publish(command, {"id": "late", "recipe": 3})
    asked: list[int] = []

    def answered() -> bool:
        asked.extend(forwarder.take(station().model_copy(update={"triggers": len(asked) + 1})).changeovers)
        return bool(answers.messages)

    wait_for(answered)
    forwarder.stop(60.0)
    asked.extend(forwarder.take(station()).changeovers)
    answers.close()

    assert asked == [3]
    assert [answer["id"] for answer in answers.json("answer")] == ["late"]


@pytest.mark.parametrize("noise", [b"ONLINE", b"{}", b'{"online": "true", "timestamp": 1}', b'{"online": true}', b""])
def test_what_is_no_state_changes_nothing(noise: bytes) -> None:
    host = PrimaryHost("scada")
    for online in (False, True):
        host.take(MqttMessage(STATE, json.dumps({"online": online, "timestamp": 5}).encode()))
        host.take(MqttMessage(STATE, noise))
        assert host.is_online is online
