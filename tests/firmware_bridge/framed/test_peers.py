"""Peers that are silent, restart, do not fit or are strangers; disturbances of the line."""

import pytest

from firmware_bridge.endpoint import HOLD_S
from firmware_bridge.events import (
    Event,
    HelloReceived,
    LineCleared,
    LineDisturbed,
    LineTrouble,
    PeerBack,
    PeerLost,
    Refused,
    Undelivered,
)
from firmware_bridge.framed.frames import FrameDecoder, encode_frame
from firmware_bridge.framed.session import Session
from firmware_bridge.messages import (
    Header,
    Hello,
    Offline,
    Result,
    Role,
    Trigger,
    Verdict,
    decode,
    encode,
)
from tests.firmware_bridge.framed.conftest import TIMING, Pair

OK = Result(1, 1000, Verdict.OK)


@pytest.mark.parametrize("lost", [{"to_plc"}, {"to_edge"}, {"to_plc", "to_edge"}])
def test_silence_is_noticed_and_ends(pair: Pair, lost: set[str]) -> None:
    pair.lost = frozenset(lost)
    pair.pass_time(3.0)
    events = pair.at_edge if "to_edge" in lost else pair.at_plc
    assert [type(event) for event in events] == [PeerLost]
    assert events[0].silent_s == pytest.approx(1.0, abs=0.011)  # one tick
    pair.lost = frozenset()
    pair.pass_time(0.3)
    assert [type(event) for event in events] == [PeerLost, PeerBack]
    assert pair.edge.is_open
    assert pair.plc.is_open


def test_an_end_that_is_not_heard_finds_out_from_its_peer(pair: Pair) -> None:
    pair.lost = frozenset({"to_plc"})
    pair.pass_time(3.0)
    assert not pair.edge.is_open
    sent = pair.edge.delivery._next
    pair.edge.send(OK, pair.now)
    assert pair.edge.delivery._next == sent


def test_a_peer_that_was_never_there_is_a_lost_peer() -> None:
    edge = Session(Hello(Role.EDGE), 101, 0.0, TIMING)
    assert edge.tick(0.99) == []
    assert edge.tick(1.0) == [PeerLost(1.0)]


def test_a_restarted_peer_is_no_duplicate(pair: Pair) -> None:
    pair.plc.send(Trigger(1, 1000), pair.now)
    pair.exchange()
    pair.forget()
    pair.plc = Session(Hello(Role.PLC), 203, pair.now, TIMING)
    pair.plc.send(Trigger(1, 1000), pair.now)
    pair.pass_time(0.1)
    assert pair.at_edge == [HelloReceived(Hello(Role.PLC), restarted=True), Trigger(1, 1000, age_ms=60)]
    assert pair.edge.tally.duplicates == 0


def test_what_is_under_way_to_a_former_session_is_given_up(pair: Pair) -> None:
    pair.lost = frozenset({"to_plc"})
    pair.edge.send(OK, pair.now)
    pair.exchange()
    pair.plc = Session(Hello(Role.PLC), 203, pair.now, TIMING)
    pair.lost = frozenset()
    pair.pass_time(0.2)
    assert Undelivered(OK, "the peer has restarted") in pair.at_edge
    assert OK not in pair.at_plc


def test_a_result_never_reaches_a_part_of_a_later_session(pair: Pair) -> None:
    """The part is triggered, the PLC restarts with new counts, then the first part's result is ready."""
    pair.plc.send(Trigger(1, 1000), pair.now)
    pair.exchange()
    pair.plc = Session(Hello(Role.PLC), 203, pair.now, TIMING)
    pair.exchange()
    pair.plc.send(Trigger(1, 1000), pair.now)
    pair.exchange()
    assert pair.edge.send(OK, pair.now) == [Undelivered(OK, "the peer has restarted since it triggered this part")]
    assert pair.edge.send(OK, pair.now) == []


def test_a_frame_of_a_stranger_is_answered_by_a_hello_only(pair: Pair) -> None:
    stranger = Pair(plc=Session(Hello(Role.PLC), 999, 0.0, TIMING), edge=Session(Hello(Role.EDGE), 101, 0.0, TIMING))
    stranger.exchange()
    stranger.plc.send(Trigger(5, 5000), 0.0)
    pair.now = 1.0
    assert pair.edge.receive(stranger.plc.outgoing(), pair.now) == []
    assert pair.edge.tally.strangers == 1
    pair.exchange()
    assert pair.at_edge == []


@pytest.mark.parametrize(
    ("hello", "reason"),
    [(Hello(Role.EDGE, "twin"), "role EDGE"), (Hello(Role.PLC, "old", protocol=2), "protocol version 2")],
)
def test_a_peer_that_does_not_fit_is_refused_once(hello: Hello, reason: str) -> None:
    pair = Pair(plc=Session(hello, 202, 0.0, TIMING))
    pair.exchange()
    pair.pass_time(0.9)
    refusals = [event for event in pair.at_edge if isinstance(event, Refused)]
    assert len(refusals) == 1
    assert reason in refusals[0].reason
    assert not pair.edge.is_open


def test_a_late_hello_of_a_former_session_changes_nothing(pair: Pair) -> None:
    late_hello = Session(Hello(Role.PLC), 202, 0.0, TIMING).outgoing()
    pair.plc = Session(Hello(Role.PLC), 203, pair.now, TIMING)
    pair.pass_time(0.1)
    pair.forget()
    assert pair.edge.is_open
    assert pair.edge.receive(late_hello, pair.now) == []
    assert pair.edge.is_open


def test_going_offline_is_told(pair: Pair) -> None:
    pair.edge.send(Offline("shift over"), pair.now)
    pair.exchange()
    assert pair.at_plc == [Offline("shift over")]


def test_a_frame_of_session_zero_is_ignored(pair: Pair) -> None:
    header = Header(Hello.KIND, 0, 0, 0)
    assert pair.edge.receive(encode_frame(encode(header, Hello(Role.PLC))), pair.now) == []


def test_what_is_addressed_to_a_former_session_of_ours_is_neither_taken_nor_acknowledged(pair: Pair) -> None:
    header = Header(Trigger.KIND, pair.plc.number, pair.edge.number - 1, 9)
    pair.now += 0.5
    assert pair.edge.receive(encode_frame(encode(header, Trigger(1, 2))), pair.now) == []
    (answer,) = FrameDecoder().feed(pair.edge.outgoing())
    assert isinstance(decode(answer)[1], Hello)
    assert not pair.edge.is_open


def troubles(events: list[Event]) -> list[LineTrouble]:
    """Give what has begun."""
    return [event.trouble for event in events if isinstance(event, LineDisturbed)]


def test_a_stray_hello_of_the_wrong_role_is_over_after_a_while(pair: Pair) -> None:
    twin = Session(Hello(Role.EDGE, "twin"), 555, pair.now, TIMING)
    pair.at_edge += pair.edge.receive(twin.outgoing(), pair.now)
    assert troubles(pair.at_edge) == [LineTrouble.STRANGER]
    assert pair.edge.is_open
    pair.pass_time(HOLD_S + 0.1)
    assert pair.at_edge[-1] == LineCleared(LineTrouble.STRANGER)


def test_two_plcs_on_one_wire_are_named() -> None:
    pair = Pair()
    other = Session(Hello(Role.PLC, "other"), 303, 0.0, TIMING)
    for _ in range(500):
        pair.now += 0.01
        written = [end.outgoing() for end in (pair.edge, pair.plc, other)]
        for end in (pair.plc, other):
            end.receive(written[0], pair.now)
            end.tick(pair.now)
        for data in written[1:]:
            pair.at_edge += pair.edge.receive(data, pair.now)
        pair.at_edge += pair.edge.tick(pair.now)
    assert troubles(pair.at_edge) == [LineTrouble.TWO_PEERS]


def test_a_plc_that_restarts_again_and_again_is_one_plc(pair: Pair) -> None:
    for number in range(203, 213):
        pair.plc = Session(Hello(Role.PLC), number, pair.now, TIMING)
        pair.pass_time(1.5)
    assert troubles(pair.at_edge) == []


def test_our_own_frames_are_an_echo_and_no_peer() -> None:
    edge = Session(Hello(Role.EDGE), 101, 0.0, TIMING)
    events: list[Event] = []
    for step in range(300):
        events += edge.receive(edge.outgoing(), step / 100)
        events += edge.tick(step / 100)
    assert troubles(events) == [LineTrouble.ECHO]
    assert not any(isinstance(event, Refused) for event in events)


def test_bytes_that_make_no_frame_are_told_apart_from_silence() -> None:
    edge = Session(Hello(Role.EDGE), 101, 0.0, TIMING)
    events: list[Event] = []
    for step in range(100):
        events += edge.receive(bytes([0xC3, 0x5A, 0xFF] * 5), step / 10)
        events += edge.tick(step / 10)
    assert troubles(events) == [LineTrouble.UNREADABLE]


def test_noise_between_good_frames_is_no_disturbance(pair: Pair) -> None:
    for _ in range(100):
        pair.at_edge += pair.edge.receive(bytes([0x55]) * 20 + b"\0", pair.now)
        pair.pass_time(0.3)
    assert troubles(pair.at_edge) == []
