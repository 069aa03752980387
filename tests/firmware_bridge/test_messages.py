"""Messages: every kind, every field, every way to be malformed."""

import dataclasses
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from firmware_bridge.errors import FieldOutOfRange, MessageMalformed
from firmware_bridge.messages import (
    AGE_UNKNOWN,
    HEADER,
    KINDS,
    SHADOW,
    Ack,
    ActiveAlarms,
    BeltPosition,
    Changeover,
    Counters,
    Fault,
    FaultCode,
    Header,
    Heartbeat,
    Hello,
    Message,
    Offline,
    OnSilence,
    Result,
    Role,
    Settings,
    State,
    Trigger,
    Verdict,
    decode,
    encode,
)

EXAMPLES: list[Message] = [
    Hello(Role.PLC, "line 3", "1.2.0", "0123456789abcdef" * 4),
    Ack(),
    Heartbeat(State.RUNNING, 65535),
    Trigger(4294967295, 1000, 65535, 7, AGE_UNKNOWN),
    Result(7, 7000, Verdict.NG, 2, 0.9871, 431, (120, 40, 33, 18), 8125, 3, "12345678", SHADOW),
    Fault(FaultCode.CAMERA, 7, "no frame within 100 ms"),
    Changeover(3, "ab" * 32),
    Settings(5000, 250, 100, 300, OnSilence.STOP_LINE, 400, 2000),
    Counters(10, 8, 2, 1, 0, 0, 4),
    Offline("stopped by the operator"),
    BeltPosition(4294967295, 65535),
    ActiveAlarms(FaultCode.DRIFT.bit | FaultCode.OTHER.bit),
]


def test_there_is_an_example_of_every_kind() -> None:
    assert [type(message) for message in EXAMPLES] == [KINDS[kind] for kind in sorted(KINDS)]


@pytest.mark.parametrize("message", EXAMPLES, ids=lambda message: type(message).__name__)
def test_a_message_comes_back_as_it_was(message: Message) -> None:
    header = Header(message.KIND, 1, 65535, 513)
    assert decode(encode(header, message)) == (header, message)


@pytest.mark.parametrize("message", EXAMPLES, ids=lambda message: type(message).__name__)
@pytest.mark.parametrize("change", [-1, 1])
def test_a_wrong_length_is_malformed(message: Message, change: int) -> None:
    body = encode(Header(message.KIND, 1, 2, 3), message) + b"\0"
    with pytest.raises(MessageMalformed, match=r"bytes, expected|expected one of"):
        decode(body[: len(body) - 1 + change])


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("part_id", -1),
        ("part_id", 2**32),
        ("part_id", "7"),
        ("encoder", 2**32),
        ("verdict", 6),
        ("class_index", 256),
        ("score", 1.0001),
        ("score", float("nan")),
        ("area_px", -1),
        ("box", (0, 0, 0)),
        ("box", (0, 0, 0, 65536)),
        ("latency_us", 2**32),
        ("recipe", 65536),
        ("bundle", "1234"),
    ],
)
def test_a_value_out_of_range_is_refused_where_it_is_made(field: str, value: Any) -> None:
    with pytest.raises(FieldOutOfRange, match=f"Result.{field} is .*; the field takes "):
        dataclasses.replace(EXAMPLES[4], **{field: value})


@pytest.mark.parametrize("text", ["x" * 33, "müde", "two\nlines"])
def test_text_that_does_not_fit_is_refused(text: str) -> None:
    with pytest.raises(FieldOutOfRange, match=r"Offline\.reason"):
        Offline(text)


@pytest.mark.parametrize("digits", ["ab", "AB" * 32, "no digits"])
def test_a_hash_that_is_none_is_refused(digits: str) -> None:
    with pytest.raises(FieldOutOfRange, match=r"Changeover\.bundle_id"):
        Changeover(1, digits)


def test_a_verdict_without_its_complement_is_malformed() -> None:
    body = bytearray(encode(Header(Result.KIND, 1, 2, 3), EXAMPLES[4]))
    offset = HEADER.size + 8
    assert body[offset : offset + 2] == bytes([Verdict.NG, 0xFF ^ Verdict.NG])
    body[offset] = Verdict.OK
    with pytest.raises(MessageMalformed, match=r"Result\.verdict"):
        decode(bytes(body))


@given(st.binary(max_size=128))
def test_any_bytes_are_a_message_or_malformed(body: bytes) -> None:
    try:
        header, message = decode(body)
    except MessageMalformed:
        return
    assert encode(header, message) == body


@given(st.sampled_from(EXAMPLES), st.data())
def test_a_changed_byte_gives_a_message_or_is_malformed(message: Message, data: st.DataObject) -> None:
    body = bytearray(encode(Header(message.KIND, 1, 2, 3), message))
    body[data.draw(st.integers(0, len(body) - 1))] = data.draw(st.integers(0, 255))
    try:
        decode(bytes(body))
    except MessageMalformed:
        return


def test_every_fault_has_a_bit_of_its_own() -> None:
    assert sorted(code.bit for code in FaultCode) == [1 << place for place in range(len(FaultCode))]
    assert FaultCode.DRIFT.bit == 1 << FaultCode.DRIFT
