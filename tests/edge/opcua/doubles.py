"""An OPC UA server without a process of its own, its clients, and their certificates."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import datetime, timedelta, timezone
from ipaddress import ip_address
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("asyncua", reason="the OPC UA server needs edge-inspect[opcua]")

from asyncua import Client, ua
from asyncua.crypto.security_policies import SecurityPolicyBasic256Sha256
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.x509.oid import NameOID

from edge.config.opcua import OpcUaSettings
from edge.opcua.server import NAMESPACE, VisionSystem, make_server
from edge.servers.feed import listening

PATIENCE_S = 60.0
URI = "urn:line3:edge-inspect"


def make_identity(
    folder: Path,
    name: str,
    uri: str | None = URI,
    days: tuple[int, int] = (-1, 1),
    bits: int = 2048,
    address: str | None = None,
) -> dict[str, str]:
    """Write a certificate that signs itself, and its key; their paths by the keys of `[opcua]`."""
    key = rsa.generate_private_key(65_537, bits)
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    now = datetime.now(timezone.utc)
    made = x509.CertificateBuilder(subject, subject, key.public_key(), x509.random_serial_number())
    made = made.not_valid_before(now + timedelta(days=days[0])).not_valid_after(now + timedelta(days=days[1]))
    names: list[x509.GeneralName] = [] if uri is None else [x509.UniformResourceIdentifier(uri)]
    names += [] if address is None else [x509.IPAddress(ip_address(address))]
    if names:
        made = made.add_extension(x509.SubjectAlternativeName(names), critical=False)
    paths = {"certificate": folder / f"{name}.der", "private_key": folder / f"{name}.pem"}
    certificate = made.sign(key, hashes.SHA256())
    paths["certificate"].write_bytes(certificate.public_bytes(serialization.Encoding.DER))
    form = serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    paths["private_key"].write_bytes(key.private_bytes(serialization.Encoding.PEM, *form))
    return {name: str(path) for name, path in paths.items()}


@asynccontextmanager
async def serving(settings: OpcUaSettings) -> AsyncIterator[tuple[str, VisionSystem, Any]]:
    """Serve on a free port; its address, its address space, and the server."""
    with listening("127.0.0.1", 0, "opcua") as opened:
        server = await make_server(settings, opened)
        vision = await VisionSystem.create(server)
        async with server:
            yield "opc.tcp://127.0.0.1:{}".format(*opened.getsockname()[1:2]), vision, server


async def client_of(
    address: str,
    user: tuple[str, str] | None = None,
    server: dict[str, str] | None = None,
    own: dict[str, str] | None = None,
) -> Client:
    """A client that is not connected yet; `server` and `own` are the identities that it takes for a secure channel."""
    client = Client(address, timeout=PATIENCE_S)
    client.application_uri = URI
    if user is not None:
        client.set_user(user[0])
        client.set_password(user[1])
    if server is not None and own is not None:
        await client.set_security(
            SecurityPolicyBasic256Sha256, own["certificate"], own["private_key"],
            server_certificate=server["certificate"],
        )  # fmt: skip
    return client


def endpoints_of(settings: OpcUaSettings) -> list[ua.EndpointDescription]:
    """Endpoints that a server with these settings offers; raises ServerError."""

    async def go() -> list[ua.EndpointDescription]:
        async with serving(settings) as (address, _, _):
            return await Client(address, timeout=PATIENCE_S).connect_and_get_server_endpoints()

    return asyncio.run(go())


async def read(client: Client, path: str) -> Any:
    """Value of a variable of the vision system."""
    space = await client.get_namespace_index(NAMESPACE)
    return await client.get_node(f"ns={space};s=VisionSystem/{path}").read_value()


async def waited(answered: "asyncio.Event") -> None:
    """Wait for an event of a subscription."""
    await asyncio.wait_for(answered.wait(), PATIENCE_S)
