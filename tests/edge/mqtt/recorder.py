"""A broker that accepts one connection, and keeps its first packets."""

import socket
import ssl
import threading
from collections.abc import Callable
from dataclasses import dataclass, field


@dataclass
class ConnectPacket:
    """CONNECT of MQTT 3.1.1, section 3.1."""

    client: str
    texts: list[str]
    """Will topic, will payload, user and password, as far as they are there."""
    following: list[int] = field(default_factory=list)
    """Types of the packets after it."""


class RecordingBroker:
    """Answers CONNECT, and acknowledges nothing else."""

    def __init__(self, context: ssl.SSLContext | None = None) -> None:
        self.certificate: object = None
        """Subject of the client's certificate."""
        self.topics: list[bytes] = []
        self._server = socket.create_server(("127.0.0.1", 0))
        self._server.settimeout(60.0)
        self.port = int(self._server.getsockname()[1])
        self._context, self._found = context, list[ConnectPacket]()
        self._thread = threading.Thread(target=self._serve, daemon=True)
        self._thread.start()

    def connected(self, act: Callable[[], None]) -> ConnectPacket:
        """Let a client connect; what it has sent once it has disconnected."""
        try:
            act()
            self._thread.join(60.0)
        finally:
            self._server.close()
        return self._found[0]

    def _serve(self) -> None:
        opened, _ = self._server.accept()
        with opened, self._context.wrap_socket(opened, server_side=True) if self._context else opened as client:
            if isinstance(client, ssl.SSLSocket):
                self.certificate = (client.getpeercert() or {}).get("subject")
            _, content = _packet(client)
            self._found.append(_connect(content))
            client.sendall(b"\x20\x02\x00\x00")
            while found := _packet(client):
                self._found[0].following.append(found[0] >> 4)
                self.topics.append(found[1])


def _packet(client: socket.socket) -> tuple[int, bytes]:
    head = client.recv(1)
    if not head:
        return ()  # type: ignore[return-value]
    length, shift = 0, 0
    while True:
        (byte,) = client.recv(1)
        length |= (byte & 0x7F) << shift
        shift += 7
        if byte < 0x80:
            break
    content = b""
    while len(content) < length:
        content += client.recv(length - len(content))
    return head[0], content


def _connect(content: bytes) -> ConnectPacket:
    rest, texts = content[10:], list[str]()
    while rest:
        size = int.from_bytes(rest[:2], "big")
        texts.append(rest[2 : 2 + size].decode("utf-8", "replace"))
        rest = rest[2 + size :]
    return ConnectPacket(texts[0], texts[1:])
