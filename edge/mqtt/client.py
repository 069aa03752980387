"""Connection to an MQTT broker, MQTT 3.1.1 with a clean session. The only file that imports paho.

One thread of paho's keeps the connection and connects again; the calls here wait for it for a bounded time.
"""

import socket
import ssl
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from queue import Empty, SimpleQueue
from typing import Any, cast

import paho.mqtt.client as paho
from paho.mqtt.enums import CallbackAPIVersion, MQTTErrorCode

from edge.config.mqtt import MqttSettings
from edge.errors import ServerError
from edge.forwarding.secret import read_password

KEEPALIVE_S = 20
CONNECT_S = 5.0
ACKNOWLEDGED_S = 30.0
"""Longest wait for the broker to take one more message; then the connection is given up."""
RECONNECT_S = (1, 30)
"""Pause before the next attempt to connect, growing from the first to the second."""
UNSTEADY, UNSTEADY_S = 5, 60.0
"""Connections within this time after which no row is sent: two clients of one name end each other's."""
RECEIVED, RECEIVED_BYTES = 1000, 64 * 1024
"""Messages that may wait for the station, and bytes of one; others are dropped."""
INFLIGHT = 1000
"""Messages that may wait for the broker's acknowledgement; a batch is smaller."""


@dataclass(frozen=True)
class MqttMessage:
    """One message to or from the broker."""

    topic: str
    payload: bytes
    qos: int = 1
    retain: bool = False


class BrokerConnection:
    """Connection to one broker from `open` to `close`."""

    def __init__(
        self,
        settings: MqttSettings,
        will: Callable[[], MqttMessage | None],
        subscriptions: Sequence[str] = (),
        acknowledged_s: float = ACKNOWLEDGED_S,
    ) -> None:
        """`will`: message that the broker publishes if the connection ends without a word; made for each attempt."""
        self.received: SimpleQueue[MqttMessage] = SimpleQueue()
        """Messages of the subscriptions."""
        self.sessions = 0
        """Number of connections that the broker has accepted."""
        self._accepted: deque[float] = deque(maxlen=UNSTEADY)  # when
        self._settings, self._will, self._subscriptions = settings, will, subscriptions
        self._acknowledged_s = acknowledged_s
        self._connected, self._problem = threading.Event(), "no answer yet"
        self._tried = threading.Event()
        """Set once an attempt to connect has succeeded or failed."""
        self._client: _Client | None = None

    @property
    def is_open(self) -> bool:
        """Whether the broker has accepted the connection that there is."""
        return self._connected.is_set()

    def open(self, wait_s: float = CONNECT_S) -> None:
        """Connect for the first time, or wait for an attempt under way; raises ServerError without a steady one."""
        if self._client is None:
            self._tried.clear()
            client = self._make_client()
            client.connect_async(self._settings.host, self._settings.port, KEEPALIVE_S)
            client.loop_start()
            self._client = client
        self._tried.wait(wait_s)
        self.check_steady()
        if not self._connected.is_set():
            raise ServerError(
                f"MQTT broker {self._settings.broker}: found no connection ({self._problem}); check the broker, "
                "address, certificate and password"
            )

    def check_steady(self) -> None:
        """Refuse a broker that ends one connection after the other; raises ServerError."""
        if len(self._accepted) == UNSTEADY and time.monotonic() - self._accepted[0] < UNSTEADY_S:
            raise ServerError(
                f"MQTT broker {self._settings.broker}: found {UNSTEADY} connections within {UNSTEADY_S:g} s; look for "
                f"another client with the name {self._settings.station!r}, or check the network"
            )

    def publish(self, messages: Sequence[MqttMessage]) -> None:
        """Publish messages and wait until the broker has acknowledged those of QoS 1; raises ServerError.

        The broker takes the packets of a connection in their order, so a message of QoS 0 has arrived when a later one
        of QoS 1 is acknowledged.
        """
        if self._client is None or not self._connected.is_set():
            raise ServerError(f"MQTT broker {self._settings.broker}: found no connection ({self._problem})")
        session = self.sessions
        sent = [self._client.publish(each.topic, each.payload, each.qos, each.retain) for each in messages]
        for info in sent:
            if info.rc != MQTTErrorCode.MQTT_ERR_SUCCESS or session != self.sessions:
                raise ServerError(f"MQTT broker {self._settings.broker}: the connection ended while rows were sent")
            end = time.monotonic() + self._acknowledged_s  # of each message: a slow broker is not one that hangs
            while not info.is_published():
                info.wait_for_publish(0.2)
                self._check_session(session, end)

    def take_received(self) -> list[MqttMessage]:
        """Return the messages that have arrived since the last call."""
        found = []
        while True:
            try:
                found.append(self.received.get_nowait())
            except Empty:
                return found

    def close(self) -> None:
        """Disconnect without the will."""
        if self._client is not None:
            self._client.disconnect()
            self._client.loop_stop()
            self._client = None
            self._connected.clear()

    def abort(self) -> None:
        """Give the connection up, with all that waits in it; the will is published."""
        if self._client is not None:
            client, self._client = self._client, None
            self._connected.clear()
            if (opened := client.socket()) is not None:
                with suppress(OSError):  # it has ended already
                    socket.socket.shutdown(
                        cast(socket.socket, opened), socket.SHUT_RDWR
                    )  # also where TLS would still wait for the broker
            client.disconnect()
            client.loop_stop()

    def _check_session(self, session: int, end: float) -> None:
        if session != self.sessions or not self._connected.is_set():
            raise ServerError(f"MQTT broker {self._settings.broker}: the connection ended while rows were sent")
        if time.monotonic() > end:
            raise ServerError(
                f"MQTT broker {self._settings.broker}: found no acknowledgement within {self._acknowledged_s:g} s; "
                "check whether the broker hangs"
            )

    def _make_client(self) -> "_Client":
        settings = self._settings
        client = _Client(CallbackAPIVersion.VERSION2, settings.station, clean_session=True)
        if settings.user:
            password = None if settings.password_file is None else read_password(settings.password_file)
            client.username_pw_set(settings.user, password)
        if settings.uses_tls:
            client.tls_set_context(_tls_context(settings))
        client.reconnect_delay_set(*RECONNECT_S)
        client.max_inflight_messages_set(INFLIGHT)
        client.connect_timeout = CONNECT_S
        client.on_pre_connect = self._before_connecting
        client.on_connect = self._on_connect
        client.on_connect_fail = self._on_connect_fail
        client.on_disconnect = self._on_disconnect
        client.on_message = self._on_message
        return client

    def _before_connecting(self, client: paho.Client, userdata: Any) -> None:
        self._tried.clear()
        if (will := self._will()) is not None:
            client.will_set(will.topic, will.payload, will.qos, will.retain)

    def _on_connect(self, client: paho.Client, userdata: Any, flags: Any, reason: Any, properties: Any) -> None:
        if reason.is_failure:
            self._failed(f"the broker refuses it: {reason}")
            return
        for topic in self._subscriptions:
            client.subscribe(topic, 1)
        self.sessions += 1
        self._accepted.append(time.monotonic())
        self._connected.set()
        self._tried.set()

    def _on_connect_fail(self, client: paho.Client, userdata: Any) -> None:
        self._failed(cast(_Client, client).failure)

    def _on_disconnect(self, client: paho.Client, userdata: Any, flags: Any, reason: Any, properties: Any) -> None:
        if self._connected.is_set():
            self._failed(f"the connection ended: {reason}")
        elif not self._tried.is_set():
            self._failed(f"the broker ends the connection, as without the certificate that it asks for: {reason}")

    def _failed(self, problem: str) -> None:
        self._problem = problem
        self._connected.clear()
        self._tried.set()

    def _on_message(self, client: paho.Client, userdata: Any, message: paho.MQTTMessage) -> None:
        if self.received.qsize() < RECEIVED and len(message.payload) <= RECEIVED_BYTES:
            self.received.put(MqttMessage(message.topic, bytes(message.payload), message.qos, message.retain))


class _Client(paho.Client):
    """Paho's client that keeps why an attempt to connect failed."""

    failure = ""

    def reconnect(self) -> MQTTErrorCode:
        try:
            return super().reconnect()
        except ssl.SSLCertVerificationError as error:
            self.failure = f"the broker's certificate is refused: {error.verify_message}"
            raise
        except OSError as error:
            self.failure = f"the broker cannot be reached: {error.strerror or error}"
            raise


class _TlsSocket(ssl.SSLSocket):
    """A socket that is closed when its handshake fails; paho leaves it to the garbage collection."""

    def do_handshake(self, block: bool = False) -> None:
        try:
            super().do_handshake(block)
        except OSError:
            self.close()
            raise


def check_broker(settings: MqttSettings) -> None:
    """Connect to the broker for a moment, as another client than a station that runs; raises ServerError."""
    other = settings.model_copy(update={"station": f"{settings.station[:50]}-doctor"})
    connection = BrokerConnection(other, lambda: None)
    try:
        connection.open()
    finally:
        connection.close()


def _tls_context(settings: MqttSettings) -> ssl.SSLContext:
    """Make the TLS context, with host name and certificate checked; raises ServerError."""
    try:
        context = ssl.create_default_context(cafile=None if settings.ca_file is None else str(settings.ca_file))
    except (OSError, ssl.SSLError) as error:
        raise ServerError(f"[mqtt] ca_file {settings.ca_file}: {_why(error)}, expected certificates, PEM") from None
    if settings.certificate is not None:
        try:
            context.load_cert_chain(
                str(settings.certificate), settings.private_key, password=lambda: ""
            )  # else OpenSSL asks for it at the terminal
        except (OSError, ssl.SSLError) as error:
            raise ServerError(
                f"[mqtt] certificate {settings.certificate}, private_key {settings.private_key}: {_why(error)}, "
                "expected a pair, PEM, with a key without a password"
            ) from None
    context.sslsocket_class = _TlsSocket
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    return context


def _why(error: OSError) -> str:
    """Return why files of certificates cannot be used; OpenSSL gives no reason where it reads no certificate or key."""
    if isinstance(error, ssl.SSLError):
        no_words = error.reason is None or "DECRYPT" in error.reason
        return (
            f"found {'no PEM, or a key with a password' if no_words else str(error.reason).replace('_', ' ').lower()}"
        )
    return f"cannot be read ({error.strerror or error})"
