"""Frames: round trip, damage, resynchronisation, bounded memory."""

from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from firmware_bridge.framed.frames import MAX_BODY, FrameDecoder, decode_frame, encode_frame

BODIES = st.binary(min_size=1, max_size=MAX_BODY)


@given(BODIES)
def test_a_frame_gives_its_body_back(body: bytes) -> None:
    assert FrameDecoder().feed(encode_frame(body)) == [body]


@given(BODIES)
def test_a_frame_has_zeros_at_its_ends_only(body: bytes) -> None:
    frame = encode_frame(body)
    assert frame[0] == frame[-1] == 0
    assert 0 not in frame[1:-1]


@given(st.lists(BODIES, max_size=5), st.lists(st.integers(1, 40), min_size=1))
def test_pieces_of_any_size_give_the_same_frames(bodies: list[bytes], sizes: list[int]) -> None:
    stream = b"".join(map(encode_frame, bodies))
    decoder, found, start = FrameDecoder(), [], 0
    while start < len(stream):
        size = sizes[start % len(sizes)]
        found += decoder.feed(stream[start : start + size])
        start += size
    assert found == bodies


@given(st.binary(max_size=400), BODIES)
def test_the_first_frame_after_any_garbage_is_found(garbage: bytes, body: bytes) -> None:
    assert FrameDecoder().feed(garbage + encode_frame(body))[-1] == body


@given(BODIES, st.data())
def test_up_to_three_flipped_bits_are_always_noticed(body: bytes, data: st.DataObject) -> None:
    """CRC-32 of IEEE 802.3 has Hamming distance 4 or more to 91,607 bits (Koopman), before COBS moves bytes about.

    A flip within COBS may change several bytes, so this is a test and not a proof.
    """
    frame = bytearray(encode_frame(body))
    flips = data.draw(st.sets(st.integers(8, 8 * len(frame) - 9), min_size=1, max_size=3))
    for flip in flips:
        frame[flip // 8] ^= 1 << flip % 8
    assert body not in FrameDecoder().feed(bytes(frame))


def test_ten_thousand_damaged_frames_give_nothing_bogus() -> None:
    random, decoder, sent = Random(1), FrameDecoder(), set()
    for _ in range(10_000):
        body = random.randbytes(random.randint(1, 60))
        sent.add(body)
        frame = bytearray(encode_frame(body))
        for _ in range(random.randint(0, 6)):
            frame[random.randrange(len(frame))] ^= 1 << random.randrange(8)
        assert set(decoder.feed(bytes(frame))) <= sent
    assert decoder.damaged > 5_000


def test_endless_noise_without_a_delimiter_takes_no_memory() -> None:
    decoder = FrameDecoder()
    for _ in range(100):
        assert decoder.feed(b"\x01" * 4096) == []
    assert len(decoder._text) <= MAX_BODY + 6
    assert decoder.feed(encode_frame(b"after")) == [b"after"]
    assert decoder.damaged == 1


@pytest.mark.parametrize("body", [b"", b"x" * (MAX_BODY + 1)])
def test_a_body_of_a_wrong_length_is_refused(body: bytes) -> None:
    with pytest.raises(ValueError, match="1 to 128 bytes"):
        encode_frame(body)


def test_a_frame_that_is_too_long_is_no_frame() -> None:
    assert decode_frame(b"\x01" * (MAX_BODY + 6)) is None
