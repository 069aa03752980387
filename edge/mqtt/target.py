"""MQTT as the target of a forwarder: results, alarms and state as messages, the progress in a file of its own."""

from collections.abc import Callable, Sequence
from datetime import datetime

from edge.config.mqtt import MqttSettings
from edge.errors import ServerError
from edge.forwarding.messages import ForwardingTask
from edge.forwarding.progress import Progress
from edge.forwarding.progress_file import ProgressFile
from edge.forwarding.row_source import RowBatch
from edge.mqtt.client import ACKNOWLEDGED_S, BrokerConnection, MqttMessage
from edge.mqtt.commands import RemoteCommands
from edge.mqtt.json_messages import JsonTopics
from edge.mqtt.sparkplug import SparkplugNode
from edge.mqtt.sparkplug_host import PrimaryHost
from edge.servers.state import StationState
from edge.wall_clock import system_utc

BATCH_ROWS = 200


class MqttTarget:
    """Forwards the rows and the state of one station."""

    batch_rows = BATCH_ROWS

    def __init__(
        self,
        task: ForwardingTask,
        acknowledged_s: float = ACKNOWLEDGED_S,
        utc: Callable[[], datetime] = system_utc,
    ) -> None:
        """`acknowledged_s`: longest wait for the broker. `utc`: time of births and state."""
        settings = MqttSettings.model_validate_json(task.settings)
        self._topics = JsonTopics(settings)
        group = settings.sparkplug_group
        self._node = SparkplugNode(group, settings.station, lambda: round(utc().timestamp() * 1e3)) if group else None
        self._host = PrimaryHost(settings.sparkplug_host) if settings.sparkplug_host else None
        subscriptions = [self._topics.commands] if settings.commands else []
        will = self._topics.offline
        if self._node is not None:
            subscriptions.append(self._node.commands)
            will = self._node.death
        if self._host is not None:
            subscriptions.append(self._host.topic)
        self._connection = BrokerConnection(settings, will, subscriptions, acknowledged_s)
        self._commands = RemoteCommands(task, self._topics)
        self._progress = ProgressFile(task.records, "mqtt", settings.station)
        self._told: dict[str, MqttMessage] = {}  # retained messages of this session, by topic
        self._session = 0
        self._born = False  # whether this session has begun
        self._received: list[MqttMessage] = []  # commands that wait
        self._state: StationState | None = None

    def open(self) -> Progress:
        """Connect, and read the progress; raises ServerError."""
        progress = self._progress.read()
        self._connection.open()
        return progress

    def send(self, batch: RowBatch) -> None:
        """Publish rows, then write the progress; raises ServerError."""
        self._begin_session()
        first = [self._node.result(part) for part in batch.parts] if self._node else []
        parts = [self._topics.result(part) for part in batch.parts]
        self._publish([*first, *parts, *(self._topics.alarm(row) for row in batch.alarms)])
        self._check_host()  # else the rows are sent again
        self._progress.write(batch.progress)

    def tell(self, state: StationState) -> None:
        """Publish what has changed of the state, and carry out commands; raises ServerError."""
        self._begin_session()
        self._state = state
        new = [message for message in self._topics.state(state) if self._told.get(message.topic) != message]
        self._publish([*(self._node.state(state) if self._node else ()), *new])
        self._told.update({message.topic: message for message in new})
        self._receive()
        while self._received:
            message = self._received.pop(0)
            if self._node is not None and message.topic == self._node.commands:
                self._publish([*self._node.births(state)] if self._node.wants_rebirth(message) else [])
            else:
                self._publish([self._commands.take(message)])

    def requested_changeovers(self) -> tuple[int, ...]:
        """Return the recipes that were requested since the last call."""
        waiting = self._commands.changeovers
        return tuple(waiting.get() for _ in range(waiting.qsize()))

    def close(self) -> None:
        """Say that the station is stopped, and disconnect."""
        try:
            if self._connection.is_open:
                self._publish([self._topics.offline(), *self._farewell()])
        finally:
            self._connection.close()
            self._progress.close()

    def _begin_session(self) -> None:
        """Begin again where the connection is a new one: the broker has published the will. Waits for the host."""
        if self._session != self._connection.sessions:
            self._session, self._born = self._connection.sessions, False
            self._told.clear()
            self._connection.check_steady()
            if self._host is not None:
                self._host.begin()
        self._check_host()
        if not self._born:
            self._born = True
            if self._node is not None:
                self._publish([*self._node.births(self._state)])

    def _check_host(self) -> None:
        """Raise ServerError while the primary host is not online; a session that has begun ends then."""
        if self._host is None:
            return
        self._receive()
        if self._host.is_online:
            return
        if self._born:
            self._publish(self._farewell())
            self._connection.close()
            self._born = False
        raise ServerError(f"MQTT: found the primary host not online ({self._host.topic}); check it, or sparkplug_host")

    def _receive(self) -> None:
        """Take the host's state, and commands while it is online: one that waited would be carried out hours later."""
        for message in self._connection.take_received():
            if self._host is not None and message.topic == self._host.topic:
                self._host.take(message)
            elif self._host is None or self._host.is_online:
                self._received.append(message)

    def _farewell(self) -> list[MqttMessage]:
        return [self._node.farewell()] if self._node and (self._host is None or self._born) else []

    def _publish(self, messages: Sequence[MqttMessage]) -> None:
        if not messages:
            return
        try:
            self._connection.publish(messages)
        except ServerError:
            self._connection.abort()  # else rows that are sent again would be sent twice by the same connection
            raise
