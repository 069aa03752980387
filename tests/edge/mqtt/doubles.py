"""A real Mosquitto on a free port, a subscriber that keeps what it gets, and brokers that misbehave."""

import json
import os
import shutil
import socket
import subprocess
import threading
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("paho", reason="the MQTT client needs edge-inspect[mqtt]")

import paho.mqtt.client as paho
from paho.mqtt.enums import CallbackAPIVersion

from edge.config.mqtt import MqttSettings
from edge.forwarding.messages import ForwardingTask
from tests.edge.forwarding.waiting import PATIENCE_S, free_port, wait_for

MOSQUITTO = shutil.which("mosquitto") or next(
    (path for path in ("/usr/sbin/mosquitto", "/usr/local/sbin/mosquitto") if Path(path).exists()), ""
)


class Mosquitto:
    """Mosquitto with its configuration in a folder."""

    def __init__(self, folder: Path, options: str = "allow_anonymous true", port: int = 0) -> None:
        if not MOSQUITTO:
            pytest.skip("Mosquitto is not installed: tests/install-plant-peers")
        folder.mkdir(parents=True, exist_ok=True)
        self.port = port or free_port()
        self._configuration = folder / "mosquitto.conf"
        run_as = "user root\n" if os.geteuid() == 0 else ""
        self._configuration.write_text(f"listener {self.port} 127.0.0.1\n{run_as}{options}\n", encoding="utf-8")
        self._process: subprocess.Popen[bytes] | None = None
        self.start()

    def start(self) -> None:
        """Start it, and wait until it accepts connections."""
        self._process = subprocess.Popen(
            [MOSQUITTO, "-c", self._configuration], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        wait_for(self._accepts, "Mosquitto does not start")

    def stop(self) -> None:
        """Kill it."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None

    def _accepts(self) -> bool:
        assert self._process is not None
        assert self._process.poll() is None, "Mosquitto has ended"
        with suppress(OSError), socket.create_connection(("127.0.0.1", self.port), 1.0):
            return True
        return False


class Subscriber:
    """A client that keeps every message."""

    def __init__(self, port: int, topic: str = "#", **credentials: str) -> None:
        self.messages: list[tuple[str, bytes, bool]] = []
        self._arrived = threading.Condition()
        self._subscribed = threading.Event()
        self.client = paho.Client(CallbackAPIVersion.VERSION2, clean_session=True)
        self.client.reconnect_delay_set(1, 1)
        self.client.on_connect = lambda client, *_: client.subscribe(topic, 1)
        self.client.on_subscribe = lambda *_: self._subscribed.set()
        self.client.on_message = self._keep
        self.client.connect("127.0.0.1", port)
        self.client.loop_start()
        assert self._subscribed.wait(PATIENCE_S)

    def subscribed_again(self) -> None:
        """Wait until it is back after an outage; call `forget_subscription` before the outage."""
        assert self._subscribed.wait(PATIENCE_S)

    def forget_subscription(self) -> None:
        """Expect an outage."""
        self._subscribed.clear()

    def json(self, name: str) -> list[dict[str, Any]]:
        """Payloads of the topics that end so."""
        return [json.loads(payload) for topic, payload, _ in [*self.messages] if topic.endswith(f"/{name}")]

    def numbers(self) -> set[int]:
        """Numbers of the results."""
        return {result["number"] for result in self.json("result")}

    def wait_for(self, condition: Callable[[], object]) -> None:
        """Wait until something is true of the messages."""
        with self._arrived:
            assert self._arrived.wait_for(condition, PATIENCE_S), self.messages[-5:]

    def publish(self, topic: str, payload: object, retain: bool = False) -> None:
        """Publish JSON, and wait until the broker has it."""
        self.client.publish(topic, json.dumps(payload), 1, retain).wait_for_publish(PATIENCE_S)

    def close(self) -> None:
        """Disconnect."""
        self.client.disconnect()
        self.client.loop_stop()

    def _keep(self, client: object, userdata: object, message: Any) -> None:
        with self._arrived:
            self.messages.append((message.topic, message.payload, message.retain))
            self._arrived.notify_all()


def task_of(records: Path, port: int, recipes: tuple[int, ...] = (), **keys: Any) -> ForwardingTask:
    """The task of a client of this broker."""
    settings = MqttSettings(**{"broker": f"mqtt://127.0.0.1:{port}", "station": "line3", **keys})
    return ForwardingTask(settings=settings.model_dump_json(), records=records, recipes=recipes)
