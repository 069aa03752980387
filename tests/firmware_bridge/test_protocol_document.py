"""PROTOCOL.md: its examples and its numbers are true, and what is generated is up to date."""

import re
from pathlib import Path

import pytest

from firmware_bridge import messages
from firmware_bridge.framed.frames import CRC_SIZE, MAX_BODY, FrameDecoder, encode_frame
from firmware_bridge.generate import __main__ as generate
from firmware_bridge.messages import KINDS, Ack, Header, Message, Result, decode, encode
from firmware_bridge.timing import RESULT_AND_ACK_BYTES, Timing

DOCUMENT = (generate.HERE / "PROTOCOL.md").read_text(encoding="utf-8")
EXAMPLE = re.compile(r"^(\w+\(.*\)) sender=(\w+) receiver=(\w+) sequence=(\w+)\n((?:    [0-9a-f ]+\n)+)", re.MULTILINE)
EXAMPLES = [match.groups() for match in EXAMPLE.finditer(DOCUMENT)]


def read(example: tuple[str, ...]) -> tuple[Header, Message, bytes]:
    """Give header, message and bytes of an example."""
    text, sender, receiver, sequence, digits = example
    message: Message = eval(text, vars(messages))
    return Header(message.KIND, int(sender, 16), int(receiver, 16), int(sequence)), message, bytes.fromhex(digits)


def on_wire(kind: str) -> int:
    """Give the bytes that a message of `kind` takes on the wire."""
    payload = next(message.LAYOUT.size for message in KINDS.values() if message.__name__ == kind)
    return len(encode_frame(bytes(messages.HEADER.size + payload)))


def test_there_is_an_example_of_every_kind() -> None:
    assert {read(example)[0].kind for example in EXAMPLES} == set(KINDS)


@pytest.mark.parametrize("example", EXAMPLES, ids=lambda example: example[0])
def test_an_example_encodes_to_its_bytes(example: tuple[str, ...]) -> None:
    header, message, expected = read(example)
    assert encode_frame(encode(header, message)) == expected


@pytest.mark.parametrize("example", EXAMPLES, ids=lambda example: example[0])
def test_the_bytes_of_an_example_decode_to_it(example: tuple[str, ...]) -> None:
    header, message, stream = read(example)
    (body,) = FrameDecoder().feed(stream)
    assert decode(body) == (header, message)


@pytest.mark.parametrize("path", generate.TARGETS, ids=lambda path: path.name)
def test_what_is_generated_is_up_to_date(path: Path) -> None:
    assert path.read_text(encoding="utf-8") == generate.TARGETS[path](), "run python -m firmware_bridge.generate"


def test_the_sizes_in_the_text_are_true() -> None:
    sizes = [on_wire(kind) for kind in ("Trigger", "Result", "Ack", "Heartbeat", "BeltPosition", "ActiveAlarms")]
    said = "A Trigger takes {} bytes on the wire, a Result {}, an Ack {}, a Heartbeat {},\n"
    said += "a BeltPosition {}, an ActiveAlarms {}."
    assert said.format(*sizes) in DOCUMENT
    assert f"a buffer of {MAX_BODY + CRC_SIZE + 1} bytes" in DOCUMENT
    assert on_wire("Result") + on_wire("Ack") == RESULT_AND_ACK_BYTES


def test_the_times_in_the_text_are_true() -> None:
    assert Timing.for_baud(115_200).retry_s == pytest.approx(0.064, abs=0.001)
    assert Timing.for_baud(9_600).retry_s == pytest.approx(0.55, abs=0.01)
    assert (Timing().heartbeat_s, Timing().silence_s, Timing().deliver_s, Timing().window) == (0.25, 1.0, 1.0, 8)


def test_every_message_fits_in_a_frame() -> None:
    assert max(kind.LAYOUT.size for kind in KINDS.values()) + messages.HEADER.size <= MAX_BODY
    assert {Ack.KIND, Result.KIND} == {2, 5}
