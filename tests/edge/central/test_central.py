"""Rows of stations reach PostgreSQL exactly once and as the stations have them, whatever is killed."""

import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("psycopg", reason="the central records need edge-inspect[central]")

from edge.central.database import CentralDatabase
from edge.central.target import CentralTarget
from edge.commands.doctor import CheckResult, check_central, find
from edge.config.central import CentralSettings
from edge.errors import ServerError
from edge.forwarding.forwarder import Forwarder
from edge.overview.stations import read_summaries
from edge.records.database import connect
from edge.servers.channel import write_message
from edge.servers.state import StateUpdate
from tests.edge.central.postgres import Postgres, execute, rows, task_of
from tests.edge.forwarding.records_doubles import insert
from tests.edge.forwarding.waiting import PATIENCE_S, wait_for
from tests.edge.page.doubles import station


@pytest.fixture(scope="module")
def server() -> Iterator[Postgres]:
    started = Postgres()
    yield started
    started.close()


@pytest.fixture
def address(server: Postgres, request: pytest.FixtureRequest) -> str:
    return server.address(request.node.name[:60])


@pytest.fixture
def opened() -> Iterator[ExitStack]:
    with ExitStack() as stack:
        yield stack


def forward(opened: ExitStack, records: Path, address: str, name: str = "line3", revise_s: float = 120.0) -> Forwarder:
    forwarder = Forwarder(CentralTarget(task_of(records, address, name), revise_s=revise_s), records, retry_s=0.05)
    forwarder.start()
    opened.callback(forwarder.stop, PATIENCE_S)
    return forwarder


def central(address: str, table: str = "parts", columns: str = "station, number") -> list[tuple[Any, ...]]:
    try:
        return rows(address, f"SELECT {columns} FROM edge_inspect.{table} ORDER BY {columns}")
    except Exception as error:  # not made yet, or the server is down
        if type(error).__module__.startswith("psycopg"):
            return []
        raise


def test_several_stations_have_their_rows_in_one_database(opened: ExitStack, address: str, tmp_path: Path) -> None:
    for name in ("line1", "line2", "line3"):
        insert(tmp_path / f"{name}.sqlite", *range(1, 30))
        forward(opened, tmp_path / f"{name}.sqlite", address, name).take(station())
    insert(tmp_path / "line2.sqlite", 30, later_s=40 * 86_400)  # another month
    expected = sorted([(f"line{line}", number) for line in (1, 2, 3) for number in range(1, 30)] + [("line2", 30)])
    wait_for(lambda: central(address) == expected)
    wait_for(lambda: len(central(address, "stations", "state->>'bundle_id'")) == 3)

    assert len(central(address, "defects", "station, part, item, score")) == 2 * len(expected)
    assert [name for (name,) in central(address, "views", "camera")] == ["top"] * len(expected)
    partitions = rows(address, "SELECT DISTINCT tableoid::regclass::text FROM edge_inspect.parts ORDER BY 1")
    assert partitions == [("edge_inspect.parts_2026_03",), ("edge_inspect.parts_2026_04",)]


def test_what_is_noted_in_a_row_later_is_noted_there_too(opened: ExitStack, address: str, tmp_path: Path) -> None:
    records = tmp_path / "records.sqlite"
    insert(records, 1, 2)
    forwarder = forward(opened, records, address)
    wait_for(lambda: len(central(address)) == 2)
    with connect(records) as station_writes:
        station_writes.execute(
            "UPDATE parts SET link = 'acknowledged', sent_us = 9, ejection = 'ejected' WHERE number = 2"
        )
        station_writes.execute("UPDATE views SET picture = '2026/a.png' WHERE part = 1")
        station_writes.execute("DELETE FROM defects WHERE part = 1")  # as of a part that was overruled
    station_writes.close()
    forwarder.stop(PATIENCE_S)

    assert central(address, columns="number, link, sent_us, ejection") == [
        (1, "open", None, None), (2, "acknowledged", 9, "ejected"),
    ]  # fmt: skip
    assert central(address, "views", "part, picture") == [(1, "2026/a.png"), (2, None)]
    assert central(address, "defects", "part, item") == [(2, 0), (2, 1)]


def test_a_killed_server_and_a_killed_writer_cost_no_row_and_double_none(
    opened: ExitStack, server: Postgres, address: str, tmp_path: Path
) -> None:
    records = tmp_path / "records.sqlite"
    insert(records, *range(1, 50))
    process = start_process(records, address)
    wait_for(lambda: len(central(address)) == 49)
    insert(records, *range(50, 100))
    process.kill()
    process.communicate()
    server.kill()
    insert(records, *range(100, 150))
    forwarder = forward(opened, records, address)
    wait_for(lambda: "central records postgresql:///" in forwarder.problem)
    server.start()
    wait_for(lambda: len(central(address)) == 149)

    assert central(address, columns="number") == [(number,) for number in range(1, 150)]


def start_process(records: Path, address: str) -> "subprocess.Popen[bytes]":
    process = subprocess.Popen(
        [sys.executable, "-m", "edge.central.process"], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    assert process.stdin is not None
    write_message(process.stdin, task_of(records, address))
    write_message(process.stdin, StateUpdate(station=station()))
    return process


def test_a_clock_that_is_wrong_by_years_has_its_rows(opened: ExitStack, address: str, tmp_path: Path) -> None:
    records = tmp_path / "records.sqlite"
    insert(records, 1, later_s=-60 * 365 * 86_400)
    insert(records, 2)
    insert(records, 3, later_s=90 * 365 * 86_400)
    forward(opened, records, address)
    wait_for(lambda: len(central(address)) == 3)

    places = rows(address, "SELECT number, tableoid::regclass::text FROM edge_inspect.parts ORDER BY number")
    assert places[0][1] == places[2][1] == "edge_inspect.parts_other"
    assert rows(address, "SELECT count(*) FROM edge_inspect.parts WHERE received > now() - interval '1 day'") == [(3,)]


def test_two_stations_of_one_name_are_an_error(opened: ExitStack, address: str, tmp_path: Path) -> None:
    for name in ("one", "two"):
        insert(tmp_path / f"{name}.sqlite", 1)
    forward(opened, tmp_path / "one.sqlite", address)
    wait_for(lambda: central(address))
    second = forward(opened, tmp_path / "two.sqlite", address)
    wait_for(lambda: "found another writer of the station 'line3'" in second.problem)

    assert central(address) == [("line3", 1)]


def test_a_text_with_a_nul_and_an_alarm_are_written(opened: ExitStack, address: str, tmp_path: Path) -> None:
    records = tmp_path / "records.sqlite"
    insert(records, 1)
    with connect(records) as written:
        written.execute("UPDATE parts SET fault = 'a' || char(0) || 'b'")
        names = "name, area, cause, part_id, began"
        written.execute(
            f"INSERT INTO alarms ({names}) VALUES ('lamp', 'other', 'dark', 0, '2026-03-01T00:00:00+00:00')"
        )
    written.close()
    forward(opened, records, address)
    wait_for(lambda: central(address, "alarms", "name, cause"))

    assert central(address, columns="fault") == [("a\ufffdb",)]
    assert central(address, "alarms", "name, cause, ended") == [("lamp", "dark", None)]


def test_a_newer_schema_is_refused(server: Postgres, address: str) -> None:
    settings = CentralSettings(database=address, station="line3")
    database = CentralDatabase(settings)
    database.open()
    with database.transaction() as cursor:
        cursor.execute("INSERT INTO edge_inspect.schema_versions VALUES (99, now())")
    database.close()

    with pytest.raises(ServerError, match="found version 99, expected at most"):
        database.open()
    database.close()
    finding = doctor_of(address)
    assert (finding.fine, "found version 99" in finding.words) == (False, True)


def documented_sql(*changes: tuple[str, str]) -> list[str]:
    """The statements of docs/plant.md that make users and database."""
    text = (Path(__file__).resolve().parents[3] / "docs" / "plant.md").read_text(encoding="utf-8")
    (block,) = re.findall(r"```sql\n(CREATE ROLE.*?)```", text, re.DOTALL)
    for old, new in changes:
        assert old in block
        block = block.replace(old, new)
    return [statement for statement in re.sub(r" *--.*", "", block).split(";") if statement.strip()]


def doctor_of(address: str, name: str = "line3") -> CheckResult:
    """Result of the doctor's check of an address."""
    return find("central records", lambda: check_central(CentralSettings(database=address, station=name)))


def wait_for_row(address: str, row: tuple[str, int]) -> None:
    wait_for(lambda: row in central(address))


def test_the_documented_users_write_and_read(opened: ExitStack, server: Postgres, tmp_path: Path) -> None:
    statements = documented_sql(("'...'", "'x'"))
    before = [each for each in statements if "GRANT" not in each]
    both = [each.replace("line3", name) for name in ("line3", "line4") for each in before if "line3" in each]
    execute(server.address("postgres"), *(each for each in before if "line3" not in each), *both)
    plain = server.address("quality")
    for name in ("line3", "line4"):
        insert(tmp_path / f"{name}.sqlite", 1, later_s=0.0 if name == "line3" else 40 * 86_400)
        own = plain.replace("edge@", f"{name}@")
        assert doctor_of(own).fine, doctor_of(own).words
        forward(opened, tmp_path / f"{name}.sqlite", own, name)
        wait_for_row(plain, (name, 1))
    execute(plain, *(each for each in statements if "GRANT" in each))
    as_reader = plain.replace("edge@", "reader@")
    reader = CentralDatabase(CentralSettings(database=as_reader, station="overview"))
    opened.callback(reader.close)
    reader.open(migrate=False)

    assert [each.name for each in read_summaries(reader)] == ["line3", "line4"]
    assert "found the user 'reader', expected one that is the owner of edge_inspect.parts" in doctor_of(as_reader).words


def test_a_user_who_may_not_make_the_schema_is_told_so(server: Postgres, address: str) -> None:
    execute(address, "CREATE USER guest")
    words = doctor_of(address.replace("edge@", "guest@")).words
    assert "found the user 'guest', expected one that may make a schema in this database" in words


def test_a_server_that_stops_answering_is_said(
    opened: ExitStack, server: Postgres, address: str, tmp_path: Path
) -> None:
    records, now = tmp_path / "records.sqlite", [0.0]
    insert(records, 1)
    target = CentralTarget(task_of(records, address))
    forwarder = Forwarder(target, records, retry_s=0.05, clock=lambda: now[0])
    forwarder.start()
    wait_for(lambda: central(address))
    backend = rows(address, "SELECT pid FROM pg_stat_activity WHERE application_name = 'edge-inspect'")[0][0]
    os.kill(backend, signal.SIGSTOP)
    try:
        insert(records, 2)
        said = [forwarder.take(station()).problem]
        for _ in range(200):  # until the writer waits for the server
            now[0] += 61.0
            if problem := forwarder.take(station()).problem:
                said.append(problem)
                break
    finally:
        os.kill(backend, signal.SIGCONT)
    forwarder.stop(PATIENCE_S)

    assert "found no answer of the peer for 60 s" in said[-1]
    assert len(central(address)) == 2
