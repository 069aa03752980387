"""Settings and changeovers over the line: a part passes only by the recipe that was asked for."""

from dataclasses import replace

from firmware_bridge.framed.session import Session
from firmware_bridge.messages import (
    Changeover,
    Counters,
    Hello,
    Result,
    Role,
    Settings,
    Verdict,
)
from tests.firmware_bridge.device.reject_line import SETTINGS, RejectLine


def test_settings_counters_and_changeover_cross_the_line(line: RejectLine) -> None:
    line.edge.send(Settings(500, 100, 0, 50), line.now_ms / 1000)
    line.pass_ms(115)
    line.answer(line.part(), Verdict.NG)
    line.pass_ms(60)
    assert len(line.bench.decided()) == 1  # at 500 counts already
    line.bench.changeover(12)
    line.pass_ms(10_000)
    assert Changeover(12) in line.events
    assert Counters(1, 0, 1, 0, 0, 0, 0) in line.events


def test_a_part_passes_only_by_the_recipe_that_was_asked_for(line: RejectLine) -> None:
    line.bench.changeover(5)
    for judged_by in (0, 3, 5):
        part = line.part()
        assert part.recipe == 5
        line.edge.send(Result(part.part_id, part.encoder, Verdict.OK, recipe=judged_by), line.now_ms / 1000)
        line.pass_ms(20)
    line.pass_ms(120)
    assert [decided.passed for decided in line.bench.decided()] == [False, False, True]


def test_a_changeover_that_is_lost_lets_no_part_pass_by_the_recipe_before(line: RejectLine) -> None:
    line.connected = False
    line.bench.changeover(5)
    line.pass_ms(1)
    line.connected = True
    part = line.part()  # overtakes the changeover, which is repeated only after the retry time
    assert not any(isinstance(event, Changeover) for event in line.events)
    assert part.recipe == 5


def test_each_session_of_the_station_is_told_the_settings_in_force(line: RejectLine) -> None:
    assert [event for event in line.events if isinstance(event, Settings)] == [SETTINGS]
    changed = replace(SETTINGS, deadline_ms=70)
    line.edge.send(changed, line.now_ms / 1000)
    line.pass_ms(10)
    assert [event for event in line.events if isinstance(event, Settings)] == [SETTINGS, changed]
    line.events.clear()
    line.edge = Session(Hello(Role.EDGE), 6, line.now_ms / 1000)
    line.pass_ms(100)
    assert [event for event in line.events if isinstance(event, Settings)] == [changed]
