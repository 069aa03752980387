"""PostgreSQL with TLS and passwords: what is let in, and what is said where it is not."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

from edge.central.database import CentralDatabase
from edge.central.target import CentralTarget
from edge.config.central import CentralSettings
from edge.errors import ServerError
from edge.forwarding.forwarder import Forwarder
from edge.forwarding.messages import ForwardingTask
from tests.edge.access.certificates import Authority
from tests.edge.central.postgres import Postgres, execute, rows
from tests.edge.forwarding.records_doubles import insert
from tests.edge.forwarding.waiting import PATIENCE_S, free_port, wait_for

PASSWORD = "of the third line"


class SecureServer(NamedTuple):
    """A server that wants TLS and a password."""

    folder: Path
    port: int
    authority: Authority
    local: str
    """Address without both, of the tests."""

    def settings(self, password: str | None = PASSWORD, host: str = "localhost", **options: object) -> CentralSettings:
        """A user with a password in a file."""
        path = self.folder / "password"
        path.write_text(f"{password}\n", encoding="utf-8")
        path.chmod(0o600)
        given = {"sslmode": "verify-full", "sslrootcert": self.authority.file, **options}
        address = f"postgresql://line3@{host}:{self.port}/plant?{'&'.join(f'{k}={v}' for k, v in given.items())}"
        return CentralSettings(database=address, station="line3", password_file=path if password else None)


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SecureServer]:
    folder, port = tmp_path_factory.mktemp("server"), free_port()
    authority = Authority(folder / "plant")
    started = Postgres(port, authority.certify("server"))
    local = started.address("plant")
    execute(local, f"CREATE ROLE line3 LOGIN PASSWORD '{PASSWORD}'", "GRANT CREATE ON DATABASE plant TO line3")
    yield SecureServer(folder, port, authority, local)
    started.close()


def test_rows_reach_a_database_with_tls_by_password(server: SecureServer, tmp_path: Path) -> None:
    records = tmp_path / "records.sqlite"
    insert(records, 1, 2)
    task = ForwardingTask(settings=server.settings().model_dump_json(), records=records)
    forwarder = Forwarder(CentralTarget(task), records)
    forwarder.start()
    encrypted = (
        "SELECT ssl, usename FROM pg_stat_ssl JOIN pg_stat_activity USING (pid) WHERE application_name LIKE 'edge%'"
    )
    wait_for(lambda: rows(server.local, encrypted) == [(True, "line3")])
    forwarder.stop(PATIENCE_S)

    assert rows(server.local, "SELECT number FROM edge_inspect.parts ORDER BY 1") == [(1,), (2,)]


def wrong_password(server: SecureServer) -> CentralSettings:
    return server.settings("guessed")


def no_password(server: SecureServer) -> CentralSettings:
    return server.settings(None, passfile=server.folder / "none")


def other_authority(server: SecureServer) -> CentralSettings:
    return server.settings(sslrootcert=Authority(server.folder / "other").file)


def other_host(server: SecureServer) -> CentralSettings:
    return server.settings(host="127.0.0.1")


def clear_text(server: SecureServer) -> CentralSettings:
    return server.settings(sslmode="disable")


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        (wrong_password, "password authentication failed"),
        (no_password, "no password supplied"),
        (other_authority, "certificate verify failed"),
        (other_host, 'does not match host name "127.0.0.1"'),
        (clear_text, "no encryption"),
    ],
)
def test_what_the_server_or_the_station_refuses_is_said(
    server: SecureServer, change: Callable[[SecureServer], CentralSettings], problem: str
) -> None:
    with pytest.raises(ServerError, match=problem) as refused:
        CentralDatabase(change(server)).open()

    assert "guessed" not in str(refused.value)
