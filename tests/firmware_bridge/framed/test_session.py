"""Sessions: introduction, delivery, duplicates, silence, restarts; all in time that the test passes in."""

from dataclasses import dataclass, field

import pytest

from firmware_bridge.endpoint import HOLD_S
from firmware_bridge.events import (
    Acknowledged,
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
    Offline,
    Result,
    Role,
    Trigger,
    Verdict,
    decode,
    encode,
)
from firmware_bridge.timing import Timing

TIMING = Timing(heartbeat_s=0.25, silence_s=1.0, retry_s=0.06, deliver_s=1.0, window=8)
OK = Result(1, 1000, Verdict.OK)


@dataclass
class Pair:
    """Two sessions joined without a wire; what `lost` names does not arrive."""

    edge: Session = field(default_factory=lambda: Session(Hello(Role.EDGE), 101, 0.0, TIMING))
    plc: Session = field(default_factory=lambda: Session(Hello(Role.PLC), 202, 0.0, TIMING))
    now: float = 0.0
    lost: frozenset[str] = frozenset()
    at_edge: list[Event] = field(default_factory=list)
    at_plc: list[Event] = field(default_factory=list)

    def exchange(self) -> None:
        """Carry bytes until both are silent."""
        while any(data := (self.edge.outgoing(), self.plc.outgoing())):
            if "to_plc" not in self.lost:
                self.at_plc += self.plc.receive(data[0], self.now)
            if "to_edge" not in self.lost:
                self.at_edge += self.edge.receive(data[1], self.now)

    def pass_time(self, seconds: float) -> None:
        """Tick both ends every 10 ms."""
        for _ in range(round(seconds / 0.01)):
            self.now += 0.01
            self.at_edge += self.edge.tick(self.now)
            self.at_plc += self.plc.tick(self.now)
            self.exchange()

    def forget(self) -> None:
        """Drop the events so far."""
        self.at_edge.clear()
        self.at_plc.clear()


@pytest.fixture
def pair() -> Pair:
    """Two ends that know each other, with nothing in their lists."""
    joined = Pair()
    joined.exchange()
    joined.forget()
    return joined


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


# Disturbances of the wire


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
