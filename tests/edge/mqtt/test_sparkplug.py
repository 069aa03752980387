"""Sparkplug B 3.0: the payload by the protobuf library's own reading of the published schema, and the order of births,
data and deaths at a real broker."""

from collections.abc import Iterator
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("google.protobuf", reason="payloads are read with protobuf, which onnx brings")
pytest.importorskip("paho", reason="the MQTT client needs edge-inspect[mqtt]")

from google.protobuf import descriptor_pb2, descriptor_pool, message_factory

from edge.errors import ServerError
from edge.forwarding.forwarder import Forwarder
from edge.mqtt.sparkplug import SparkplugNode
from edge.mqtt.sparkplug_payload import DataType, Metric, decode_booleans, encode
from edge.mqtt.target import MqttTarget
from tests.edge.forwarding.records_doubles import at, insert
from tests.edge.mqtt.doubles import Mosquitto, Subscriber, task_of
from tests.edge.page.doubles import station

FIELD = descriptor_pb2.FieldDescriptorProto
METRIC_FIELDS = {
    "name": (1, FIELD.TYPE_STRING), "alias": (2, FIELD.TYPE_UINT64), "timestamp": (3, FIELD.TYPE_UINT64),
    "datatype": (4, FIELD.TYPE_UINT32), "is_historical": (5, FIELD.TYPE_BOOL), "is_transient": (6, FIELD.TYPE_BOOL),
    "is_null": (7, FIELD.TYPE_BOOL), "int_value": (10, FIELD.TYPE_UINT32), "long_value": (11, FIELD.TYPE_UINT64),
    "float_value": (12, FIELD.TYPE_FLOAT), "double_value": (13, FIELD.TYPE_DOUBLE),
    "boolean_value": (14, FIELD.TYPE_BOOL), "string_value": (15, FIELD.TYPE_STRING),
}  # fmt: skip
"""Part of the schema in section 16.1 of the specification that stations use."""


def payload_class() -> Any:
    file = descriptor_pb2.FileDescriptorProto(name="sparkplug_b.proto", package="sparkplug", syntax="proto2")
    metric = file.message_type.add(name="Metric")
    for name, (number, kind) in METRIC_FIELDS.items():
        metric.field.add(name=name, number=number, type=kind, label=FIELD.LABEL_OPTIONAL)
    payload = file.message_type.add(name="Payload")
    payload.field.add(name="timestamp", number=1, type=FIELD.TYPE_UINT64, label=FIELD.LABEL_OPTIONAL)
    payload.field.add(
        name="metrics", number=2, type=FIELD.TYPE_MESSAGE, type_name=".sparkplug.Metric", label=FIELD.LABEL_REPEATED
    )
    payload.field.add(name="seq", number=3, type=FIELD.TYPE_UINT64, label=FIELD.LABEL_OPTIONAL)
    pool = descriptor_pool.DescriptorPool()
    pool.Add(file)
    return message_factory.GetMessageClass(pool.FindMessageTypeByName("sparkplug.Payload"))


PAYLOAD = payload_class()


def metrics_of(payload: bytes) -> dict[str, Any]:
    """Metrics by name, each as the protobuf library reads it."""
    return {metric.name: metric for metric in PAYLOAD.FromString(payload).metrics}


def test_each_kind_of_value_is_read_by_the_protobuf_library() -> None:
    made = [
        Metric("number", DataType.INT64, 2**40, 1000),
        Metric("below", DataType.INT64, -1, 1000),
        Metric("score", DataType.DOUBLE, 0.25, 1000, historical=True),
        Metric("on", DataType.BOOLEAN, True, 1000),
        Metric("text", DataType.STRING, "Größe", 1000),
        Metric("none", DataType.STRING, None, 1000),
    ]
    payload = PAYLOAD.FromString(encode(1_772_000_000_000, made, 255))
    found = {metric.name: metric for metric in payload.metrics}

    assert (payload.timestamp, payload.seq) == (1_772_000_000_000, 255)
    assert (found["number"].long_value, found["below"].long_value) == (2**40, 2**64 - 1)
    assert (found["score"].double_value, found["score"].is_historical, found["number"].is_historical) == (
        0.25,
        True,
        False,
    )
    assert (found["on"].boolean_value, found["text"].string_value) == (True, "Größe")
    assert (found["none"].is_null, found["none"].HasField("string_value"), found["none"].datatype) == (True, False, 12)


def test_commands_of_the_protobuf_library_are_read_and_other_bytes_are_refused() -> None:
    command = PAYLOAD(timestamp=1, seq=3)
    command.metrics.add(name="Node Control/Rebirth", datatype=11, boolean_value=True, timestamp=5)
    command.metrics.add(name="speed", datatype=10, double_value=1.5)

    assert decode_booleans(command.SerializeToString()) == {"Node Control/Rebirth": True}
    for noise in (b"\x12", b"\x12\x05ab", b"\xff" * 12, b"\x0b"):
        with pytest.raises(ServerError, match="Sparkplug payload"):
            decode_booleans(noise)


def test_the_sequence_runs_from_the_birth_and_wraps() -> None:
    node = SparkplugNode("plant", "line3", lambda: 1000)
    will = node.death()
    births = [*node.births(None)]
    changed = station().model_copy(update={"triggers": 7})
    for number in range(300):
        births += node.state(changed.model_copy(update={"triggers": number}))
    sequence = [PAYLOAD.FromString(message.payload).seq for message in births]
    again = [*node.births(station())]

    assert metrics_of(will.payload)["bdSeq"].long_value == metrics_of(births[0].payload)["bdSeq"].long_value == 0
    assert (will.qos, will.retain, births[0].qos, births[0].retain) == (1, False, 0, False)
    assert sequence == [number % 256 for number in range(302)]
    assert PAYLOAD.FromString(again[0].payload).seq == 0
    assert metrics_of(node.death().payload)["bdSeq"].long_value == 1


def test_data_has_what_has_changed_only() -> None:
    node = SparkplugNode("plant", "line3", lambda: 1000)
    list(node.births(station()))
    unchanged = [*node.state(station())]
    (changed,) = node.state(station().model_copy(update={"triggers": 12345}))

    assert (unchanged, [*metrics_of(changed.payload)]) == ([], ["Counters/Triggers"])


@pytest.fixture
def broker(tmp_path: Path) -> Iterator[Mosquitto]:
    started = Mosquitto(tmp_path / "broker")
    yield started
    started.stop()


def test_births_data_rebirth_and_death_arrive_in_their_order(broker: Mosquitto, tmp_path: Path) -> None:
    records = tmp_path / "records.sqlite"
    insert(records, 1, 2)
    insert(records, 3, later_s=3600)
    subscriber = Subscriber(broker.port, "spBv1.0/#")
    task = task_of(records, broker.port, sparkplug_group="plant")
    soon = datetime.fromisoformat(at(3604)).astimezone(timezone.utc)
    forwarder = Forwarder(MqttTarget(task, utc=lambda: soon), records)
    forwarder.start()
    forwarder.take(station())
    subscriber.wait_for(lambda: len(subscriber.messages) >= 6)  # two births, three parts, the state
    command = PAYLOAD(timestamp=1)
    command.metrics.add(name="Node Control/Rebirth", datatype=11, boolean_value=True)
    subscriber.client.publish("spBv1.0/plant/NCMD/line3", command.SerializeToString(), 1).wait_for_publish(60)
    forwarder.take(station().model_copy(update={"triggers": 99}))

    def births() -> int:
        return sum("/NBIRTH/" in topic for topic, _, _ in subscriber.messages)

    for number in range(600):
        if births() > 1:
            break
        forwarder.take(station().model_copy(update={"triggers": 100 + number}))  # each state is a look at the commands
        subscriber.client._thread.join(0.1)  # type: ignore[union-attr]
    forwarder.stop(60.0)
    subscriber.wait_for(lambda: "/NDEATH/" in subscriber.messages[-1][0])
    subscriber.close()
    kinds = [topic.split("/")[2] for topic, _, _ in subscriber.messages if "NCMD" not in topic]
    data = [(topic, payload) for topic, payload, _ in subscriber.messages if "/DDATA/" in topic][:3]
    rows = [metrics_of(payload) for _, payload in data]

    assert kinds[:5] == ["NBIRTH", "DBIRTH", "DDATA", "DDATA", "DDATA"]
    assert (kinds.count("NBIRTH"), kinds.count("DBIRTH"), kinds[-1]) == (2, 2, "NDEATH")
    assert data[0][0] == "spBv1.0/plant/DDATA/line3/inspection"
    assert [row["Result/Number"].long_value for row in rows] == [1, 2, 3]
    assert [row["Result/Verdict"].is_historical for row in rows] == [True, True, False]
    assert rows[0]["Result/Verdict"].string_value == "NG"
