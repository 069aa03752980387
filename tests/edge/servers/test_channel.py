"""Messages between the station and a server's process, and what a process that hangs or ends does to them."""

import os
from collections.abc import Iterator
from io import BytesIO
from typing import IO

import pytest

from edge.errors import ServerError
from edge.page.state import ViewPicture
from edge.servers.channel import ServerPipe, read_messages, write_message
from edge.servers.state import StateUpdate
from tests.edge.page.doubles import part, station

Ends = tuple[IO[bytes], IO[bytes], IO[bytes], IO[bytes]]


@pytest.fixture
def ends() -> Iterator[Ends]:
    """Two pipes: what the server reads, what the station writes, what it reads, what the server answers into."""
    pairs = [os.pipe(), os.pipe()]
    opened = tuple(os.fdopen(number, mode) for pair in pairs for number, mode in zip(pair, ("rb", "wb"), strict=True))
    yield opened  # type: ignore[misc]
    for end in opened:
        end.close()


def test_what_is_written_is_read() -> None:
    pipe = BytesIO()
    update, drawn = StateUpdate(station=station(), parts=(part(1, "NG"),)), ViewPicture(number=1, camera="top\nleft")
    write_message(pipe, drawn, b"picture\nwith a line")
    write_message(pipe, update)

    assert [*read_messages(BytesIO(pipe.getvalue()), StateUpdate, ViewPicture)] == [
        (drawn, b"picture\nwith a line"),
        (update, b""),
    ]


@pytest.mark.parametrize("cut", [1, 30, 80, -1])
def test_a_message_that_is_cut_off_is_not_given(cut: int) -> None:
    pipe = BytesIO()
    write_message(pipe, ViewPicture(number=1, camera="top"), b"x" * 100)

    assert [*read_messages(BytesIO(pipe.getvalue()[:cut]), ViewPicture)] == []


def test_a_process_that_takes_nothing_is_given_up(ends: Ends) -> None:
    _, out, back, _ = ends
    pipe = ServerPipe(out, back, 0.05, lambda: False)

    with pytest.raises(ServerError, match=r"its process has not answered for 0\.05 s"):
        pipe.write(bytes(1 << 20))  # more than a pipe holds


def test_a_process_that_answers_nothing_is_given_up(ends: Ends) -> None:
    _, out, back, _ = ends

    with pytest.raises(ServerError, match="has not answered"):
        ServerPipe(out, back, 0.05, lambda: False).answer()


def test_a_station_that_stops_waits_no_longer(ends: Ends) -> None:
    _, out, back, _ = ends

    with pytest.raises(ServerError):
        ServerPipe(out, back, 1e6, lambda: True).answer()


def test_the_answers_are_lines_whatever_pieces_they_come_in(ends: Ends) -> None:
    _, out, back, answering = ends
    pipe = ServerPipe(out, back, 10.0, lambda: False)
    answering.write(b"\nthe port\nis")
    answering.flush()

    assert [pipe.answer(), pipe.answer()] == ["", "the port"]


def test_a_process_that_ended_is_told_from_one_that_hangs(ends: Ends) -> None:
    there, out, back, answering = ends
    pipe = ServerPipe(out, back, 10.0, lambda: False)
    answering.close()
    there.close()

    with pytest.raises(OSError, match="ended"):
        pipe.answer()
    with pytest.raises(BrokenPipeError):
        pipe.write(b"x")
