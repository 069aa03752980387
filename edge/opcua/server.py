"""Process of the OPC UA server: `python -m edge.opcua.server SOCKET`, with a pipe from the station as standard input.

It answers each update by a line on standard output: empty, or what is wrong. It ends when the pipe is closed. The only
file that imports asyncua.
"""

import asyncio
import hmac
import logging
import resource
import socket
import sys
from collections.abc import Iterator
from datetime import datetime, timezone
from importlib.metadata import version
from pathlib import Path
from typing import Any, Generic

from asyncua import Node, Server, ua
from asyncua.common.connection import TransportLimits
from asyncua.common.utils import ServiceError
from asyncua.crypto import uacrypto
from asyncua.crypto.permission_rules import User, UserRole
from asyncua.server.address_space import AttributeService, MethodService
from asyncua.server.binary_server_asyncio import BinaryServer
from asyncua.server.event_generator import EventGenerator
from asyncua.server.internal_server import InternalServer
from asyncua.server.internal_session import InternalSession
from asyncua.server.user_managers import UserManager
from pydantic import BaseModel

from edge.config.opcua import OpcUaSettings
from edge.errors import ServerError
from edge.opcua.vision_system import LATEST, RESULT, STATION, NodeValue, Source, Value
from edge.servers.channel import read_messages
from edge.servers.state import PartState, StateUpdate

NAMESPACE = "urn:edge-inspect:vision-system"
ROOT = "VisionSystem"
EVENT = "ResultReadyEventType"
CONNECTIONS, SUBSCRIPTIONS, QUEUED = 32, 64, 500
"""Limits of connections, of subscriptions, and of values that wait in one monitored item for a slow client."""
UNACKNOWLEDGED = 50
MESSAGE_BYTES = 1 << 20
MEMORY_BYTES = 2 << 30
"""Address space of the process: a client that takes no answers ends the server, not the computer's memory."""
KEY_BITS = range(2048, 4097)
"""Lengths of the RSA key that Basic256Sha256 allows (OPC 10000-7, 6.6.165)."""
SEVERITY = {"OK": 100, "NG": 300, "UNSURE": 300}
"""Severity of a result's event by verdict; 700 for TIMEOUT and FAULT."""
READER, ADMIN, ANONYMOUS = User(UserRole.User), User(UserRole.Admin), User(UserRole.Anonymous)
EMPTY: dict[str, Any] = {
    "LocalizedText": ua.LocalizedText(""), "String": "", "String[]": [], "Boolean": False, "Double": 0.0, "Int32": 0,
    "UInt32": 0, "UInt64": 0, "DateTime": datetime(1970, 1, 1, tzinfo=timezone.utc),
}  # fmt: skip


def main(arguments: list[str]) -> None:
    """Serve on the socket with this file descriptor until standard input ends."""
    (number,) = arguments
    logging.getLogger("asyncua").setLevel(logging.CRITICAL)  # a client's mistakes are no entries of the station's log
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY_BYTES, resource.getrlimit(resource.RLIMIT_AS)[1]))
    messages = read_messages(sys.stdin.buffer, OpcUaSettings, StateUpdate)
    settings, _ = next(messages, (None, b""))
    if not isinstance(settings, OpcUaSettings):
        return  # the station has ended already
    with socket.socket(fileno=int(number)) as listening:
        try:
            asyncio.run(_serve(settings, listening, messages))
        except ServerError as error:
            print(error, flush=True)


async def _serve(
    settings: OpcUaSettings, listening: socket.socket, messages: Iterator[tuple[BaseModel, bytes]]
) -> None:
    server = await make_server(settings, listening)
    vision = await VisionSystem.create(server)
    async with server:
        while (found := await asyncio.to_thread(next, messages, None)) is not None:
            update, _ = found
            if isinstance(update, StateUpdate):
                await vision.update(update)
            print(flush=True)


class ReadOnlyAttributes(AttributeService):
    """Attributes that only the server itself writes."""

    async def write(self, params: ua.WriteParameters, user: User = ADMIN) -> list[ua.StatusCode]:
        """Refuse each value of a client."""
        if user.role is UserRole.Admin:
            return await super().write(params, user)
        return [ua.StatusCode(ua.UInt32(ua.StatusCodes.BadUserAccessDenied)) for _ in params.NodesToWrite]


class NoMethods(MethodService):
    """Methods that cannot be called, those of the standard address space included."""

    async def call(self, methods: list[ua.CallMethodRequest]) -> list[ua.CallMethodResult]:
        """Refuse each call."""
        results = [ua.CallMethodResult() for _ in methods]
        for result in results:
            result.StatusCode = ua.StatusCode(ua.UInt32(ua.StatusCodes.BadUserAccessDenied))
        return results


class EncryptedSession(InternalSession):
    """Session that needs an encrypted channel: asyncua opens plain ones too, for the discovery of endpoints."""

    def activate_session(
        self, params: ua.ActivateSessionParameters, peer_certificate: bytes | None
    ) -> ua.ActivateSessionResult:
        """Refuse a client whose channel has no certificate, which is one without encryption."""
        if not peer_certificate:
            raise ServiceError(ua.StatusCodes.BadSecurityPolicyRejected)
        return super().activate_session(params, peer_certificate)


class ReadOnlyServer(InternalServer):
    """Services for clients that read and subscribe."""

    def __init__(self, users: dict[str, str], encrypted: bool) -> None:
        """`users`: passwords by name. `encrypted`: whether sessions need an encrypted channel."""
        super().__init__(user_manager=KnownUsers(users))
        self._encrypted = encrypted
        self.allow_remote_admin = False
        self.supported_tokens = (ua.UserNameIdentityToken,) if users else (ua.AnonymousIdentityToken,)  # type: ignore[assignment]
        self.max_connections, self.max_subscriptions = CONNECTIONS, SUBSCRIPTIONS
        self.max_monitored_item_queue_size = QUEUED
        self.max_unacked_messages_per_subscription = UNACKNOWLEDGED
        self.attribute_service = ReadOnlyAttributes(self.aspace)
        self.method_service = NoMethods(self.aspace)

    def create_session(self, name: str, user: User = ANONYMOUS, external: bool = False) -> InternalSession:
        """Create the session of a client."""
        kind = EncryptedSession if external and self._encrypted else InternalSession
        return kind(self, self.aspace, self.subscription_service, name, user=user, external=external)

    def register_server(self, server: Any, conf: Any = None) -> None:
        """Refuse: this is no discovery server."""
        raise ServiceError(ua.StatusCodes.BadServiceUnsupported)


class KnownUsers(UserManager):
    """Users with their passwords; without any, everyone is a reader."""

    def __init__(self, passwords: dict[str, str]) -> None:
        self._passwords = passwords

    def get_user(
        self, iserver: InternalServer, username: str | None = None, password: str | None = None, certificate: Any = None
    ) -> User | None:
        """Return the reader; None if it is not known."""
        if not self._passwords:
            return READER
        known = self._passwords.get(username or "")
        if known is None or not hmac.compare_digest(known.encode(), (password or "").encode()):
            return None
        return READER


class SocketServer(BinaryServer):
    """Connections of a socket that is listening already."""

    def __init__(self, internal: InternalServer, listening: socket.socket, limits: TransportLimits) -> None:
        host, port = listening.getsockname()[:2]
        super().__init__(internal, host, port, limits)
        self._listening = listening

    async def start(self) -> None:
        """Take connections."""
        self._server = await asyncio.get_running_loop().create_server(self._make_protocol, sock=self._listening)
        self.cleanup_task = asyncio.create_task(self._close_task_loop())


class ListeningServer(Server):
    """Server on a socket that is listening already."""

    def __init__(self, internal: ReadOnlyServer, listening: socket.socket) -> None:
        super().__init__(internal)
        self.limits = TransportLimits(max_message_size=MESSAGE_BYTES)
        self._listening = listening

    async def start(self) -> None:
        """Take connections."""
        await self._setup_server_nodes()
        await self.iserver.start()
        self.bserver = SocketServer(self.iserver, self._listening, self.limits)
        self.bserver.set_policies(self._policies)
        await self.bserver.start()


async def make_server(settings: OpcUaSettings, listening: socket.socket) -> Server:
    """Set up the server as `[opcua]` says; raises ServerError."""
    server = ListeningServer(ReadOnlyServer(settings.users, settings.security != "None"), listening)
    server.name = server.manufacturer_name = "edge-inspect"
    server.product_uri = "urn:edge-inspect"
    await server.init()
    host, port = listening.getsockname()[:2]
    server.set_endpoint(f"opc.tcp://[{host}]:{port}" if ":" in host else f"opc.tcp://{host}:{port}")
    uri = f"urn:{socket.gethostname()}:edge-inspect"
    policy = ua.SecurityPolicyType.NoSecurity
    if settings.certificate is not None and settings.private_key is not None:
        certificate, key, uri = await read_identity(settings.certificate, settings.private_key)
        server.iserver.certificate, server.iserver.private_key = certificate, key
        policy = ua.SecurityPolicyType.Basic256Sha256_SignAndEncrypt
    server.set_security_policy([policy])
    await server.set_application_uri(uri)
    now = datetime.now(timezone.utc)
    await server.set_build_info(server.product_uri, server.name, server.name, version("edge-inspect"), "", now)
    return server


async def read_identity(certificate_path: Path, key_path: Path) -> tuple[Any, Any, str]:
    """Read certificate and private key, and return them with the application URI; raises ServerError."""
    certificate = await _read(certificate_path, uacrypto.load_certificate, "a certificate")
    key = await _read(key_path, uacrypto.load_private_key, "a private key without a password")
    bits = getattr(key, "key_size", 0)
    if bits not in KEY_BITS or not hasattr(key, "decrypt"):
        raise ServerError(f"{key_path}: found a key of {bits} bits, expected RSA of 2048 to 4096; make another")
    if certificate.public_key() != key.public_key():
        raise ServerError(f"{certificate_path}: found the certificate of another key than {key_path}; give both of one")
    now = datetime.now(timezone.utc)
    if not certificate.not_valid_before_utc <= now <= certificate.not_valid_after_utc:
        raise ServerError(
            f"{certificate_path}: found it valid from {certificate.not_valid_before_utc:%Y-%m-%d} to "
            f"{certificate.not_valid_after_utc:%Y-%m-%d}, expected today; make another, or set the clock"
        )
    names = [name for found in certificate.extensions if found.oid.dotted_string == "2.5.29.17" for name in found.value]
    uri = next((name.value for name in names if type(name).__name__ == "UniformResourceIdentifier"), None)
    if uri is None:
        raise ServerError(
            f"{certificate_path}: found no URI as a subject alternative name, expected the application URI, such as "
            f"urn:{socket.gethostname()}:edge-inspect; docs/opc-ua.md has the command"
        )
    return certificate, key, uri


async def _read(path: Path, load: Any, expected: str) -> Any:
    try:
        content = path.read_bytes()
        return await load(content, extension="pem" if content.startswith(b"-----") else "der")
    except OSError as error:
        raise ServerError(f"{path}: cannot be read ({error.strerror}), expected {expected}") from None
    except (ValueError, TypeError):  # TypeError: a key with a password
        raise ServerError(f"{path}: found something else, expected {expected} in PEM or DER") from None


class Variables(Generic[Source]):
    """Variables of one source."""

    def __init__(self, nodes: dict[str, Node], values: dict[str, NodeValue[Source]]) -> None:
        self._nodes, self._values = nodes, values
        self._written: dict[str, Value] = {}

    async def write(self, source: Source, at: datetime, unchanged: bool = False) -> None:
        """Write what has changed, and what has not if `unchanged`, with this source timestamp."""
        stamp: Any = at  # asyncua's types ask for a class of its own
        for path, value in self._values.items():
            found = value.of(source)
            if unchanged or path not in self._written or self._written[path] != found:
                self._written[path] = found
                await self._nodes[path].write_value(ua.DataValue(variant(value.kind, found), SourceTimestamp=stamp))


class VisionSystem:
    """Address space of the vision system."""

    def __init__(self, station: Variables[Any], latest: Variables[PartState], ready: EventGenerator) -> None:
        self._station, self._latest, self._ready = station, latest, ready

    @classmethod
    async def create(cls, server: Server) -> "VisionSystem":
        """Add it to the server's address space."""
        space = await server.register_namespace(NAMESPACE)
        root = await server.nodes.objects.add_object(ua.NodeId(ROOT, space), f"{space}:{ROOT}")  # type: ignore[arg-type]
        made = {"": root}
        station = {path: await _add(made, space, path, value.kind) for path, value in STATION.items()}
        latest = {name: await _add(made, space, f"{LATEST}/{name}", value.kind) for name, value in RESULT.items()}
        properties = [(name, _type(value.kind)) for name, value in RESULT.items()]
        event = await server.create_custom_event_type(space, EVENT, ua.ObjectIds.BaseEventType, properties)
        ready = await server.get_event_generator(event, emitting_node=root)  # type: ignore[arg-type]
        return cls(Variables(station, STATION), Variables(latest, RESULT), ready)

    async def update(self, update: StateUpdate) -> None:
        """Take over the state, and each part with its event."""
        await self._station.write(update.station, update.station.time)
        for part in update.parts:
            await self._latest.write(part, part.time, unchanged=True)
            for name, value in RESULT.items():
                setattr(self._ready.event, name, variant(value.kind, value.of(part)))
            self._ready.event.Severity = SEVERITY.get(part.verdict, 700)
            await self._ready.trigger(part.time, f"part {part.part_id}: {part.verdict}")


async def _add(made: dict[str, Node], space: int, path: str, kind: str) -> Node:
    """Add a variable and the objects above it, without a value yet."""
    above, _, name = path.rpartition("/")
    if above not in made:
        await _add(made, space, above, "")
    identity, browse_name = ua.NodeId(f"{ROOT}/{path}", space), f"{space}:{name}"  # type: ignore[arg-type]
    if not kind:
        made[path] = await made[above].add_object(identity, browse_name)
        return made[path]
    made[path] = await made[above].add_variable(identity, browse_name, variant(kind, EMPTY[kind]))
    waiting = ua.StatusCode(ua.UInt32(ua.StatusCodes.BadWaitingForInitialData))
    await made[path].write_value(ua.DataValue(variant(kind, EMPTY[kind]), waiting))
    return made[path]


def variant(kind: str, value: Any) -> ua.Variant:
    """Give a value its type."""
    if kind == "LocalizedText" and isinstance(value, str):
        value = ua.LocalizedText(value)
    return ua.Variant(value, _type(kind), is_array=kind.endswith("[]"))


def _type(kind: str) -> ua.VariantType:
    return ua.VariantType[kind.removesuffix("[]")]


if __name__ == "__main__":
    main(sys.argv[1:])
