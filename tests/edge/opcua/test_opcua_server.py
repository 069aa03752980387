"""The OPC UA server as asyncua's own client finds it: it reads and subscribes, nothing is written or called."""

import asyncio
import shutil
import subprocess
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("asyncua", reason="the OPC UA server needs edge-inspect[opcua]")

from asyncua import Client, Server, ua
from asyncua.ua.uaerrors import BadSecurityPolicyRejected, BadUserAccessDenied, UaStatusCodeError

from edge.config.opcua import OpcUaSettings
from edge.errors import ServerError
from edge.opcua.server import EVENT, NAMESPACE, QUEUED, READER, VisionSystem, read_identity
from edge.opcua.vision_system import LATEST, RESULT, STATION
from edge.servers.state import VERDICTS, StateUpdate
from tests.edge.opcua.doubles import PATIENCE_S, URI, client_of, make_identity, read, serving, waited
from tests.edge.page.doubles import NOON, part, station

OPEN = OpcUaSettings()


@dataclass
class Shared:
    """A server without users, for the tests of this file; its standard address space takes seconds to load."""

    loop: asyncio.AbstractEventLoop
    address: str
    vision: VisionSystem
    server: Server

    def with_client(self, go: Callable[[Client], Awaitable[None]]) -> None:
        """Run a test with a client of its own."""

        async def run() -> None:
            async with await client_of(self.address) as client:
                await go(client)

        self.loop.run_until_complete(run())


@pytest.fixture(scope="module")
def shared() -> Iterator[Shared]:
    loop = asyncio.new_event_loop()
    context = serving(OPEN)
    yield Shared(loop, *loop.run_until_complete(context.__aenter__()))
    loop.run_until_complete(context.__aexit__(None, None, None))
    loop.close()


class Heard:
    """Notifications of a subscription."""

    def __init__(self, wanted: int) -> None:
        self.events: list[Any] = []
        self.values: list[Any] = []
        self.all = asyncio.Event()
        self._wanted = wanted

    def event_notification(self, event: Any) -> None:
        self.events.append(event)
        if len(self.events) == self._wanted:
            self.all.set()

    def datachange_notification(self, node: Any, value: Any, data: Any) -> None:
        self.values.append(value)


def test_every_variable_can_be_read_with_its_browse_names_and_type(shared: Shared) -> None:
    async def go(client: Client) -> None:
        space = await client.get_namespace_index(NAMESPACE)
        await shared.vision.update(StateUpdate(station=station(), parts=(part(1, "NG"),)))
        for path, value in {**STATION, **{f"{LATEST}/{name}": value for name, value in RESULT.items()}}.items():
            steps = [f"{space}:{name}" for name in ("VisionSystem", *path.split("/"))]
            found = await (await client.nodes.objects.get_child(steps)).read_data_value()

            assert (found.StatusCode.is_good(), f"{found.Value.VariantType.name}") == (
                True,
                value.kind.removesuffix("[]"),
            ), path
            assert found.SourceTimestamp == NOON

    shared.with_client(go)


def test_each_result_is_an_event_with_all_of_it(shared: Shared) -> None:
    async def go(client: Client) -> None:
        space, heard = await client.get_namespace_index(NAMESPACE), Heard(2)
        kind = await client.nodes.base_event_type.get_child([f"{space}:{EVENT}"])
        subscription = await client.create_subscription(10, heard)
        await subscription.subscribe_events(client.get_node(f"ns={space};s=VisionSystem"), kind)
        await subscription.subscribe_data_change(client.get_node(f"ns={space};s=VisionSystem/{LATEST}/PartId"))
        await shared.vision.update(StateUpdate(station=station(), parts=(part(1, "NG", encoder=70), part(2, "FAULT"))))
        await waited(heard.all)
        first, second = heard.events

        assert (first.ResultId, first.PartId, first.Verdict, first.ResultState) == ("1", "101", "NG", 1)
        assert (first.Encoder, first.LatencyMs, first.CreationTime, first.Time) == (70, 1.0, NOON, NOON)
        assert (second.ResultId, second.ResultState, second.Severity) == ("2", 4, 700)
        assert second.Message.Text == "part 102: FAULT"
        assert heard.values[-2:] == ["101", "102"]

    shared.with_client(go)


def test_writes_calls_and_new_nodes_are_refused(shared: Shared) -> None:
    async def go(client: Client) -> None:
        await shared.vision.update(StateUpdate(station=station()))
        space = await client.get_namespace_index(NAMESPACE)
        root = client.get_node(f"ns={space};s=VisionSystem")
        state = client.get_node(f"ns={space};s=VisionSystem/VisionStateMachine/CurrentState")
        with pytest.raises(BadUserAccessDenied):
            await state.write_value(ua.LocalizedText("Halted"))
        with pytest.raises(BadUserAccessDenied):
            await client.nodes.server.call_method(ua.NodeId(ua.ObjectIds.Server_GetMonitoredItems), 1)

        assert (await state.read_value()).Text == "Operational"
        with pytest.raises(UaStatusCodeError):
            await root.add_variable(space, "Reject", True)

    shared.with_client(go)


def test_the_administrator_of_asyncua_has_no_rights_here(shared: Shared) -> None:
    known = shared.server.iserver.user_manager.get_user(shared.server.iserver, username="admin")

    assert (known, shared.server.iserver.allow_remote_admin) == (READER, False)


def test_a_client_that_takes_nothing_keeps_a_bounded_queue(shared: Shared) -> None:
    async def go(client: Client) -> None:
        space = await client.get_namespace_index(NAMESPACE)
        asked = ua.CreateSubscriptionParameters(
            RequestedPublishingInterval=10, RequestedLifetimeCount=10_000, RequestedMaxKeepAliveCount=3000
        )
        made = await client.uaclient.create_subscription(asked, callback=None)  # it never asks to publish
        item = ua.MonitoredItemCreateRequest(
            ItemToMonitor=ua.ReadValueId(ua.NodeId(f"VisionSystem/{LATEST}/PartId", space), ua.AttributeIds.Value),
            MonitoringMode=ua.MonitoringMode.Reporting,
            RequestedParameters=ua.MonitoringParameters(ClientHandle=1, QueueSize=0xFFFF_FFFF),
        )
        await client.uaclient.create_monitored_items(
            ua.CreateMonitoredItemsParameters(made.SubscriptionId, ua.TimestampsToReturn.Both, [item])
        )
        for number in range(QUEUED + 200):
            await shared.vision.update(StateUpdate(station=station(), parts=(part(number),)))
        kept = shared.server.iserver.subscription_service.subscriptions[made.SubscriptionId]._triggered_datachanges

        assert [len(queue) for queue in kept.values()] == [QUEUED]

    shared.with_client(go)


async def activate_in_plain_text(address: str) -> None:
    """Log in as no honest client does: without encryption, whatever endpoints the server offers."""
    client = Client(address, timeout=PATIENCE_S)
    await client.connect_socket()
    try:
        await client.send_hello()
        await client.open_secure_channel()
        created = ua.CreateSessionParameters(SessionName="plain", EndpointUrl=address, RequestedSessionTimeout=60_000)
        await client.uaclient.create_session(created)
        known = ua.UserNameIdentityToken(PolicyId="username", UserName="mes", Password=b"open sesame")
        await client.uaclient.activate_session(ua.ActivateSessionParameters(UserIdentityToken=known))
    finally:
        client.disconnect_socket()


def test_with_users_a_known_one_reads_and_no_one_else(tmp_path: Path) -> None:
    identity, own = make_identity(tmp_path, "station"), make_identity(tmp_path, "client")
    settings = OpcUaSettings(
        listen="0.0.0.0:4840",
        security="Basic256Sha256",
        users={"mes": "open sesame"},
        **identity,  # type: ignore[arg-type]
    )
    stranger = make_identity(tmp_path, "stranger")

    async def refused(address: str, within_s: float = PATIENCE_S, **how: Any) -> bool:
        client = await client_of(address, **how)
        try:
            await asyncio.wait_for(client.connect(), within_s)
        except (ua.UaError, ConnectionError, TimeoutError, asyncio.TimeoutError, ValueError):
            return True
        finally:
            client.disconnect_socket()
        return False

    async def go() -> None:
        async with serving(settings) as (address, vision, server):
            secure: dict[str, Any] = {"server": identity, "own": own}
            async with await client_of(address, ("mes", "open sesame"), **secure) as client:
                with pytest.raises(UaStatusCodeError, match="BadWaitingForInitialData"):  # the first update is to come
                    await read(client, "Station/Counters/Triggers")
                await vision.update(StateUpdate(station=station()))

                assert await read(client, "Station/Counters/Triggers") == 9

            assert await refused(address, user=("mes", "open sesam"), **secure)
            assert await refused(address, user=("eve", "open sesame"), **secure)
            assert await refused(address, **secure), "anonymous"
            assert await refused(address, user=("mes", "open sesame")), "without encryption"
            with pytest.raises(BadSecurityPolicyRejected):
                await activate_in_plain_text(address)
            # asyncua answers neither of these, so that the client gives up
            mixed = {"certificate": own["certificate"], "private_key": stranger["private_key"]}
            assert await refused(address, 5, user=("mes", "open sesame"), server=identity, own=mixed), "another key"
            assert await refused(address, 5, user=("mes", "open sesame"), server=stranger, own=own), "another station"
            assert not [one for one in server.iserver._external_sessions.values() if one.is_activated()]

    asyncio.run(go())


@pytest.mark.parametrize(
    ("wrong", "problem"),
    [
        ({"uri": None}, "found no URI as a subject alternative name, expected the application URI"),
        ({"days": (-20, -10)}, "expected today; make another, or set the clock"),
        ({"days": (10, 20)}, "expected today"),
        ({"bits": 1024}, "found a key of 1024 bits, expected RSA of 2048 to 4096"),
    ],
)
def test_a_wrong_certificate_is_one_clear_line(tmp_path: Path, wrong: dict[str, Any], problem: str) -> None:
    made = make_identity(tmp_path, "station", **wrong)

    with pytest.raises(ServerError, match=problem) as said:
        asyncio.run(read_identity(Path(made["certificate"]), Path(made["private_key"])))
    assert "\n" not in str(said.value)


def test_files_that_are_missing_mixed_up_or_of_another_key_are_said(tmp_path: Path) -> None:
    one, two = (make_identity(tmp_path, name) for name in ("one", "two"))
    certificate, key = Path(one["certificate"]), Path(one["private_key"])
    cases = {
        (certificate, Path(two["private_key"])): "found the certificate of another key",
        (tmp_path / "none.pem", key): "cannot be read .No such file or directory., expected a certificate",
        (key, key): "found something else, expected a certificate in PEM or DER",
        (certificate, certificate): "expected a private key without a password in PEM or DER",
    }
    for (first, second), problem in cases.items():
        with pytest.raises(ServerError, match=problem):
            asyncio.run(read_identity(first, second))

    assert asyncio.run(read_identity(certificate, key))[2] == "urn:line3:edge-inspect"


def test_the_command_of_the_document_makes_a_certificate_that_is_taken(tmp_path: Path) -> None:
    if shutil.which("openssl") is None:
        pytest.skip("openssl is not installed, which makes the certificate in docs/opc-ua.md")
    text = (Path(__file__).parents[3] / "docs" / "opc-ua.md").read_text(encoding="utf-8")
    command = text.split("```sh\n")[1].split("```")[0]
    subprocess.run(["sh", "-ec", command], cwd=tmp_path, check=True, capture_output=True)

    assert asyncio.run(read_identity(tmp_path / "opcua.pem", tmp_path / "opcua-key.pem"))[2] == URI


def test_every_variable_stands_in_the_document() -> None:
    text = (Path(__file__).parents[3] / "docs" / "opc-ua.md").read_text(encoding="utf-8")
    verdicts = {f"Station/Counters/{verdict}" for verdict in VERDICTS}
    names = {path.rpartition("/")[2] for path in STATION.keys() - verdicts} | RESULT.keys()

    assert {name for name in names if f"`{name}`" not in text and f"/{name}`" not in text} == set()
