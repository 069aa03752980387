"""A peer that accepts a connection and says nothing: no verdict is delayed, and the station ends."""

from time import monotonic

import pytest

from tests.edge.forwarding.waiting import silent_peer
from tests.edge.running_line import Run

END_S = 10.0
"""Longest end of a station on a busy machine: the forwarder's process is killed after 2 s."""


@pytest.mark.parametrize(
    ("table", "key", "address", "package", "tables"),
    [
        ("mqtt", "broker", "mqtt://127.0.0.1:{port}", "paho", {"mqtt": {}}),
        ("central", "database", "postgresql://edge@127.0.0.1:{port}/quality", "psycopg", {"central": {}}),
        ("s3", "endpoint", "http://127.0.0.1:{port}", "boto3", {"pictures": {}, "s3": {"bucket": "quality"}}),
    ],
)
def test_a_peer_that_says_nothing_delays_no_verdict_and_no_end(
    run: Run, table: str, key: str, address: str, package: str, tables: dict[str, dict[str, str]]
) -> None:
    pytest.importorskip(package, reason=f"[{table}] needs edge-inspect[{table}]")
    with silent_peer() as port:
        keys = {**tables[table], key: address.format(port=port), "station": "line3"}
        with run(**{**tables, table: keys}, doubles={"forwards": True}) as line:
            verdicts = line.verdicts(*range(1, 21))
            started = monotonic()

        assert verdicts == ["OK"] * 20
        assert monotonic() - started < END_S
