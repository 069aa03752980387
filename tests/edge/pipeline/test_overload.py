"""Recovery from an overload: 200 triggers a second for 15 s, in the time of a clock set by hand."""

import sqlite3
from contextlib import ExitStack, closing

import pytest

from tests.edge.running_line import Run, RunningLine

FLOOD, PERIOD_S, OPEN_PARTS = 3000, 1 / 200, 8


def flood(line: RunningLine) -> None:
    """Let the engine hang while the triggers come; it answers again after their deadlines."""
    line.inferring.clear()
    for part_id in range(1, FLOOD + 1):
        line.plc.trigger(part_id)
        line.clock.now += PERIOD_S
    line.plc.drain()
    line.clock.now += 1.0  # the station may have handled the last ones late: their deadlines pass too
    line.inferring.set()
    line.plc.wait_for(FLOOD, timeout_s=60.0)


@pytest.mark.parametrize("disk_hangs", [False, True])
def test_the_first_part_after_an_overload_is_judged(run: Run, disk_hangs: bool) -> None:
    with run(open_parts=OPEN_PARTS, deadline_ms=500, record_wait_ms=100) as line, ExitStack() as opened:
        if disk_hangs:  # were each of them to wait for its row, it would take 300 s
            other = opened.enter_context(closing(sqlite3.connect(line.line.records, isolation_level=None)))
            other.execute("BEGIN IMMEDIATE")
        flood(line)
        opened.close()
        (after,) = line.verdicts(FLOOD + 1)[FLOOD:]
        results, engine = list(line.plc.results), line.runtime.inspector.engine

    assert [result.part_id for result in results] == list(range(1, FLOOD + 2))
    assert {result.verdict.name for result in results[:FLOOD]} <= {"TIMEOUT", "FAULT"}
    assert engine.calls <= FLOOD / 100  # type: ignore[attr-defined]  # parts beyond their deadline are not inferred
    if not disk_hangs:
        assert after == "OK"
