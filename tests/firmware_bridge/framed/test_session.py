"""Sessions: introduction, delivery, duplicates, limits; all in time that the test passes in."""

import pytest

from firmware_bridge.events import (
    Acknowledged,
    HelloReceived,
    Undelivered,
)
from firmware_bridge.framed.delivery import QUEUE_LIMIT
from firmware_bridge.framed.frames import FrameDecoder, encode_frame
from firmware_bridge.framed.session import OPEN_PARTS_LIMIT, Session
from firmware_bridge.messages import (
    AGE_LIMIT_MS,
    AGE_UNKNOWN,
    SHADOW,
    Ack,
    Header,
    Hello,
    Message,
    Result,
    Role,
    Trigger,
    Verdict,
    encode,
)
from tests.firmware_bridge.framed.conftest import TIMING, Pair

OK = Result(1, 1000, Verdict.OK)


def test_a_hello_each_way_opens_the_line() -> None:
    pair = Pair()
    pair.exchange()
    assert pair.edge.is_open
    assert pair.plc.is_open
    assert pair.at_edge == [HelloReceived(Hello(Role.PLC), restarted=False)]
    assert pair.at_plc == [HelloReceived(Hello(Role.EDGE), restarted=False)]


def test_nothing_is_sent_before_the_peer_is_known() -> None:
    edge = Session(Hello(Role.EDGE), 101, 0.0, TIMING)
    edge.outgoing()
    edge.send(OK, 0.0)
    assert edge.outgoing() == b""


def test_what_was_sent_early_goes_out_when_the_peer_is_known() -> None:
    pair = Pair()
    pair.edge.send(OK, 0.0)
    pair.exchange()
    assert OK in pair.at_plc
    assert Acknowledged(OK) in pair.at_edge


def test_a_result_is_received_once_and_acknowledged(pair: Pair) -> None:
    pair.edge.send(OK, pair.now)
    pair.exchange()
    assert pair.at_plc == [OK]
    assert pair.at_edge == [Acknowledged(OK)]


def test_a_lost_result_is_repeated(pair: Pair) -> None:
    pair.lost = frozenset({"to_plc"})
    pair.edge.send(OK, pair.now)
    pair.exchange()
    pair.lost = frozenset()
    pair.pass_time(0.1)
    assert pair.at_plc == [OK]
    assert pair.at_edge == [Acknowledged(OK)]


@pytest.mark.parametrize(("said", "heard"), [(0, 60), (5, 65), (65_530, AGE_LIMIT_MS), (AGE_LIMIT_MS, AGE_LIMIT_MS)])
def test_a_repeated_trigger_says_how_old_it_is(pair: Pair, said: int, heard: int) -> None:
    pair.lost = frozenset({"to_edge"})
    pair.plc.send(Trigger(1, 1000, said), pair.now)
    pair.exchange()
    pair.lost = frozenset()
    pair.pass_time(0.1)

    assert pair.at_edge == [Trigger(1, 1000, heard)]
    assert pair.at_plc == [Acknowledged(Trigger(1, 1000, said))]


def test_the_age_of_a_trigger_is_unknown_by_its_own_flag_only(pair: Pair) -> None:
    pair.plc.send(Trigger(1, 1000, flags=AGE_UNKNOWN), pair.now)
    pair.plc.send(Trigger(2, 2000, AGE_LIMIT_MS), pair.now)
    pair.exchange()
    assert [event.age_s for event in pair.at_edge if isinstance(event, Trigger)] == [None, AGE_LIMIT_MS / 1000]


@pytest.mark.parametrize("shadow", [False, True])
def test_each_heartbeat_says_whether_the_station_is_in_shadow_mode(shadow: bool) -> None:
    pair = Pair(edge=Session(Hello(Role.EDGE), 101, 0.0, TIMING, shadow))
    pair.exchange()
    pair.pass_time(0.3)
    assert pair.plc.peer_heartbeat is not None
    assert bool(pair.plc.peer_heartbeat.flags & SHADOW) is shadow


def test_a_lost_acknowledgement_gives_no_second_result(pair: Pair) -> None:
    pair.lost = frozenset({"to_edge"})
    pair.edge.send(OK, pair.now)
    pair.exchange()
    pair.lost = frozenset()
    pair.pass_time(0.1)
    assert pair.at_plc == [OK]
    assert pair.at_edge == [Acknowledged(OK)]
    assert pair.plc.tally.duplicates == 1


def test_a_result_is_given_up_at_its_deadline(pair: Pair) -> None:
    pair.lost = frozenset({"to_plc"})
    pair.edge.send(OK, pair.now)
    pair.pass_time(0.98)
    assert pair.at_edge == []
    pair.pass_time(0.04)
    assert Undelivered(OK, "no acknowledgement") in pair.at_edge


def test_the_sequence_wraps_around(pair: Pair) -> None:
    pair.edge.delivery._next = 65_530
    for part in range(20):
        pair.edge.send(Result(part, 0, Verdict.OK), pair.now)
        pair.exchange()
    assert [event.part_id for event in pair.at_plc if isinstance(event, Result)] == list(range(20))
    assert pair.plc.tally.duplicates == 0
    assert pair.edge.delivery._next == 14


def test_only_a_window_is_under_way(pair: Pair) -> None:
    for part in range(20):
        pair.edge.send(Result(part, 0, Verdict.OK), pair.now)
    assert len(FrameDecoder().feed(pair.edge.outgoing())) == TIMING.window


def test_a_full_queue_gives_the_newest_up(pair: Pair) -> None:
    pair.lost = frozenset({"to_plc"})
    for part in range(TIMING.window + QUEUE_LIMIT):
        assert pair.edge.send(Result(part, 0, Verdict.OK), pair.now) == []
    assert pair.edge.send(OK, pair.now) == [Undelivered(OK, "too many messages wait for the peer")]


def test_heartbeats_keep_an_idle_line_open(pair: Pair) -> None:
    pair.pass_time(10)
    assert pair.at_edge == pair.at_plc == []


@pytest.mark.parametrize("message", [Ack(), Hello()])
def test_the_session_sends_its_own_messages_itself(pair: Pair, message: Message) -> None:
    with pytest.raises(ValueError, match="sent by the session itself"):
        pair.edge.send(message, 0.0)


@pytest.mark.parametrize("number", [0, 65536])
def test_a_session_number_is_a_u16_but_not_zero(number: int) -> None:
    with pytest.raises(ValueError, match="1 to 65535"):
        Session(Hello(), number, 0.0)


def test_more_open_parts_than_any_line_has_are_forgotten(pair: Pair) -> None:
    for part in range(OPEN_PARTS_LIMIT + 10):
        pair.plc.send(Trigger(part, 0), pair.now)
        pair.exchange()
    assert len(pair.edge._peer.open_parts) == OPEN_PARTS_LIMIT


def test_a_good_frame_that_is_no_message_is_counted_and_not_acknowledged(pair: Pair) -> None:
    header = Header(Trigger.KIND, pair.plc.number, pair.edge.number, 9)
    assert pair.edge.receive(encode_frame(encode(header, Trigger(1, 2)) + b"more"), pair.now) == []
    assert pair.edge.tally.malformed == 1
    assert pair.edge.outgoing() == b""


def test_a_late_acknowledgement_is_ignored(pair: Pair) -> None:
    header = Header(Ack.KIND, pair.plc.number, pair.edge.number, 4711)
    assert pair.edge.receive(encode_frame(encode(header, Ack())), pair.now) == []


# Disturbances of the wire
