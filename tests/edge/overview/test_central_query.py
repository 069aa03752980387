"""The overview's query on real central records."""

from collections.abc import Iterator
from datetime import datetime
from pathlib import Path

import pytest

pytest.importorskip("psycopg", reason="the overview needs edge-inspect[central]")


from edge.central.database import CentralDatabase
from edge.central.target import CentralTarget
from edge.config.central import CentralSettings
from edge.errors import ServerError
from edge.forwarding.forwarder import Forwarder
from edge.overview.stations import read_summaries
from tests.edge.central.postgres import Postgres, execute, task_of
from tests.edge.forwarding.records_doubles import at, insert
from tests.edge.page.doubles import station


@pytest.fixture
def address() -> Iterator[str]:
    server = Postgres()
    yield server.address("overview")
    server.close()


def test_parts_of_the_last_hour_are_counted_by_station(address: str, tmp_path: Path) -> None:
    for name in ("line1", "line2"):
        records = tmp_path / f"{name}.sqlite"
        insert(records, *range(1, 4), later_s=-7200)
        insert(records, *range(4, 6 if name == "line1" else 4))
        forwarder = Forwarder(CentralTarget(task_of(records, address, name)), records)
        forwarder.start()
        forwarder.take(station())
        forwarder.stop(60.0)
    database = CentralDatabase(CentralSettings(database=address, station="overview"))
    database.open(migrate=False)
    first, second = read_summaries(database, datetime.fromisoformat(at(60)))
    database.close()

    assert (first.name, first.parts, first.passed, first.bundle_id) == ("line1", 2, 0, station().bundle_id)
    assert [(reject.verdict, reject.parts) for reject in first.rejects] == [("NG", 2)]
    assert (second.name, second.parts, second.rejects) == ("line2", 0, ())


def test_a_database_without_the_schema_has_no_station_and_a_newer_one_is_refused(address: str) -> None:
    database = CentralDatabase(CentralSettings(database=address, station="overview"))
    database.open(migrate=False)
    assert read_summaries(database) == []
    database.open()
    execute(address, "INSERT INTO edge_inspect.schema_versions VALUES (99, now())")
    with pytest.raises(ServerError, match="found version 99, expected at most"):
        read_summaries(database)
    database.close()
