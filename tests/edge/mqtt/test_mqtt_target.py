"""Results and state reach a real broker once and whole, whatever the broker does."""

import json
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from edge.forwarding.forwarder import Forwarder
from edge.forwarding.progress_file import ProgressFile
from edge.mqtt.target import MqttTarget
from edge.records.database import connect
from edge.servers.channel import write_message
from edge.servers.state import StateUpdate
from tests.edge.forwarding.cutting_proxy import CuttingProxy
from tests.edge.forwarding.records_doubles import insert
from tests.edge.forwarding.waiting import PATIENCE_S, silent_peer, wait_for
from tests.edge.mqtt.doubles import Mosquitto, Subscriber, task_of
from tests.edge.page.doubles import station
from tests.edge.small_disk import fill_up, mounted


class Plant:
    """A broker with a subscriber, the records of a station, and its forwarder."""

    def __init__(self, folder: Path, opened: ExitStack) -> None:
        self.records = folder / "records.sqlite"
        self._opened = opened
        self.broker = Mosquitto(folder / "broker")
        opened.callback(self.broker.stop)
        self.subscriber = Subscriber(self.broker.port)
        opened.callback(self.subscriber.close)

    def forward(self, port: int | None = None, recipes: tuple[int, ...] = (), **keys: object) -> Forwarder:
        """Start the client of the station."""
        task = task_of(self.records, port or self.broker.port, recipes, **keys)
        forwarder = Forwarder(MqttTarget(task, acknowledged_s=2.0), task.records, retry_s=0.05)
        forwarder.start()
        self._opened.callback(forwarder.stop, 10.0)
        return forwarder


@pytest.fixture
def plant(tmp_path: Path) -> Iterator[Plant]:
    with ExitStack() as opened:
        yield Plant(tmp_path, opened)


def test_results_state_and_alarms_reach_the_broker(plant: Plant) -> None:
    insert(plant.records, 1, 2)
    forwarder = plant.forward()
    forwarder.take(station())
    plant.subscriber.wait_for(lambda: plant.subscriber.json("counters") and plant.subscriber.json("result")[1:])
    first, _ = plant.subscriber.json("result")
    forwarder.stop(10.0)
    plant.subscriber.wait_for(lambda: not plant.subscriber.json("state")[-1]["online"])
    late = Subscriber(plant.broker.port)  # gets what is retained
    late.wait_for(lambda: len(late.messages) == 4)
    retained = {topic for topic, _, is_retained in late.messages if is_retained}
    late.close()

    assert (first["station"], first["number"], first["verdict"], first["told"]) == ("line3", 1, "NG", "NG")
    assert [defect["score"] for defect in first["defects"]] == [0.9, 0.8]
    assert retained == {f"edge-inspect/line3/{name}" for name in ("state", "bundle", "alarms", "counters")}
    assert plant.subscriber.json("bundle")[0]["id"] == station().bundle_id


def test_after_an_outage_of_the_broker_every_row_arrives(plant: Plant) -> None:
    insert(plant.records, *range(1, 11))
    proxy = CuttingProxy(plant.broker.port)
    forwarder = plant.forward(proxy.port)
    plant.subscriber.wait_for(lambda: len(plant.subscriber.numbers()) == 10)
    plant.subscriber.forget_subscription()
    proxy.passes.clear()  # until the subscriber is back: the broker forgets it
    plant.broker.stop()
    insert(plant.records, *range(11, 600))
    wait_for(lambda: "found no connection" in forwarder.problem or "connection ended" in forwarder.problem)
    plant.broker.start()
    plant.subscriber.subscribed_again()
    proxy.passes.set()
    insert(plant.records, 600)
    plant.subscriber.wait_for(lambda: plant.subscriber.numbers() == {*range(1, 601)})
    wait_for(lambda: forwarder.problem == "")
    forwarder.stop(PATIENCE_S)
    proxy.close()

    assert forwarder.problem == ""


def test_a_client_that_was_stopped_goes_on_where_it_was(plant: Plant) -> None:
    insert(plant.records, 1, 2, 4)
    plant.forward().stop(10.0)
    plant.subscriber.wait_for(lambda: plant.subscriber.numbers() == {1, 2, 4})
    insert(plant.records, 3, 5)
    plant.forward().stop(10.0)
    plant.subscriber.wait_for(lambda: plant.subscriber.numbers() == {1, 2, 3, 4, 5})

    assert len(plant.subscriber.json("result")) == 5


def test_connections_that_are_cut_in_the_middle_of_rows_lose_none(plant: Plant) -> None:
    insert(plant.records, *range(1, 301))
    proxy = CuttingProxy(plant.broker.port, cuts=3, after_bytes=20_000)
    plant.forward(proxy.port)
    plant.subscriber.wait_for(lambda: len(plant.subscriber.numbers()) == 300)
    proxy.close()

    assert (proxy.cuts, len(plant.subscriber.json("result")) >= 300) == (0, True)


@pytest.mark.parametrize("group", ["", "plant"])
def test_a_slow_broker_gets_each_row_once_however_long_a_batch_takes(plant: Plant, group: str) -> None:
    insert(plant.records, *range(1, 251))
    proxy = CuttingProxy(plant.broker.port, kib_per_s=40.0)  # the client waits 2 s for a batch of some 100 KiB
    plant.forward(proxy.port, sparkplug_group=group)
    plant.subscriber.wait_for(lambda: len(plant.subscriber.numbers()) == 250)
    proxy.close()

    assert len(plant.subscriber.json("result")) == 250


def test_a_broker_that_says_nothing_delays_no_answer_and_no_end(tmp_path: Path) -> None:
    insert(tmp_path / "records.sqlite", 1)
    with silent_peer() as port:
        task = task_of(tmp_path / "records.sqlite", port)
        forwarder = Forwarder(MqttTarget(task), task.records)
        forwarder.start()
        answer = forwarder.take(station())
        forwarder.stop(0.1)

    assert answer.changeovers == ()


def test_a_file_of_the_progress_on_a_full_disk_is_said_and_no_row_is_lost(plant: Plant, tmp_path: Path) -> None:
    with mounted(tmp_path / "disk") as disk:
        plant.records = disk / "records.sqlite"
        insert(plant.records, *range(1, 6))
        (disk / "records.mqtt.json.lock").touch()
        station_has_it_open = connect(plant.records)
        station_has_it_open.execute("SELECT count(*) FROM parts").fetchall()
        ballast = fill_up(disk)
        forwarder = plant.forward()
        wait_for(lambda: "records.mqtt.json: cannot be written (No space left on device)" in forwarder.problem)
        ballast.unlink()
        wait_for(lambda: forwarder.problem == "")
        forwarder.stop(10.0)
        station_has_it_open.close()
        progress = ProgressFile(plant.records, "mqtt", "line3")
        found = progress.read()
        progress.close()

    assert (found.last, plant.subscriber.numbers()) == (5, {1, 2, 3, 4, 5})


def test_a_killed_client_is_offline_by_its_last_will(plant: Plant, tmp_path: Path) -> None:
    insert(plant.records, 1)
    process = subprocess.Popen(
        [sys.executable, "-m", "edge.mqtt.process"], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    assert process.stdin is not None
    write_message(process.stdin, task_of(plant.records, plant.broker.port))
    write_message(process.stdin, StateUpdate(station=station()))
    plant.subscriber.wait_for(lambda: any(state["online"] for state in plant.subscriber.json("state")))
    process.kill()
    plant.subscriber.wait_for(lambda: not plant.subscriber.json("state")[-1]["online"])
    process.communicate()

    assert plant.subscriber.numbers() == {1}


def test_a_huge_command_is_dropped_before_it_is_kept(plant: Plant) -> None:
    insert(plant.records, 1)
    forwarder = plant.forward(commands=True)
    plant.subscriber.wait_for(lambda: plant.subscriber.numbers())
    for content in ({"id": "x" * 70_000, "recipe": 2}, {"id": "y" * 5_000, "recipe": 2}):
        plant.subscriber.publish("edge-inspect/line3/command/changeover", content)

    def answered() -> bool:
        forwarder.take(station().model_copy(update={"triggers": len(plant.subscriber.messages)}))
        return bool(plant.subscriber.json("answer"))

    wait_for(answered)
    forwarder.stop(PATIENCE_S)

    assert [answer["error"].partition(",")[0] for answer in plant.subscriber.json("answer")] == [
        "changeover: found 5023 bytes"
    ]


def test_two_stations_of_one_name_are_said_and_send_nothing_more(plant: Plant) -> None:
    insert(plant.records, 1)
    first = plant.forward()
    other = plant.records.with_name("other.sqlite")
    insert(other, 1)
    task = task_of(other, plant.broker.port)
    second = Forwarder(MqttTarget(task, acknowledged_s=2.0), other, retry_s=0.05)
    second.start()
    both = (first, second)
    said = "found 5 connections within 60 s; look for another client with the name 'line3'"
    wait_for(lambda: all(said in each.problem for each in both))
    insert(plant.records, 2)
    wait_for(lambda: all(said in each.problem for each in both))
    second.stop(PATIENCE_S)

    assert plant.subscriber.numbers() == {1}


@pytest.mark.parametrize("allowed", [True, False])
def test_commands_are_taken_where_they_are_allowed(plant: Plant, allowed: bool) -> None:
    insert(plant.records, 1)
    topic = "edge-inspect/line3/command/changeover"
    plant.subscriber.publish(topic, {"id": "0", "recipe": 2}, retain=True)
    forwarder = plant.forward(recipes=(2,), commands=allowed)
    forwarder.take(station())
    plant.subscriber.wait_for(lambda: plant.subscriber.json("counters"))
    for content in ({"id": "a", "recipe": 2}, {"id": "a", "recipe": 2}, {"id": "b", "recipe": 7}, {"recipe": 2}):
        plant.subscriber.publish(topic, content)
    asked: list[int] = []

    def all_answered() -> bool:
        asked.extend(forwarder.take(station().model_copy(update={"triggers": len(asked)})).changeovers)
        return len(plant.subscriber.json("answer")) == 5

    if allowed:
        wait_for(all_answered)
    forwarder.stop(10.0)
    asked.extend(forwarder.take(station()).changeovers)
    answers = plant.subscriber.json("answer")

    assert asked == ([2] if allowed else [])
    assert [answer["error"].partition(",")[0] for answer in answers] == (
        [
            "changeover: found a retained message", "", "changeover: found the id 'a' again",
            "changeover: found recipe 7", answers[-1]["error"].partition(",")[0],
        ]
        if allowed
        else []
    )  # fmt: skip
    assert json.dumps(answers).count("id: ") == int(allowed)
