"""C reads and writes the framed protocol as Python does."""

import subprocess
from pathlib import Path
from random import Random

from firmware_bridge.errors import MessageMalformed
from firmware_bridge.framed.frames import FrameDecoder, encode_frame
from firmware_bridge.messages import (
    decode,
    encode,
)
from firmware_bridge.simulator.random_frames import random_stream
from tests.firmware_bridge.device.device_bench import (
    build,
)
from tests.firmware_bridge.test_protocol_document import EXAMPLES, read


def filtered(stream: bytes, folder: Path) -> bytes:
    """Give each message that C finds in `stream`, as C writes it."""
    return subprocess.run([build("filter", folder)], input=stream, capture_output=True, check=True).stdout


def test_c_reads_and_writes_each_example_of_the_protocol(device_folder: Path) -> None:
    stream = b"".join(read(example)[2] for example in EXAMPLES)
    assert filtered(stream, device_folder) == stream


def test_c_and_python_agree_on_twenty_thousand_random_frames(device_folder: Path) -> None:
    stream = random_stream(20_000, Random(4))
    expected = b""
    for body in FrameDecoder().feed(stream):
        try:
            expected += encode_frame(encode(*decode(body)))
        except MessageMalformed:
            continue
    assert len(expected) > 100_000
    assert filtered(stream, device_folder) == expected
