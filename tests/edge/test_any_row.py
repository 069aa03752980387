"""Fuzz tests of what operators ask for, of rows that others wrote, and of the streams to the page."""

import json
from collections.abc import Callable
from contextlib import closing
from io import BytesIO
from pathlib import Path

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from edge.errors import MarkError, OperatorRequestError, ReleaseError, ServerError
from edge.monitoring import operator_requests
from edge.monitoring.operator_requests import acknowledgements_asked, challenges_asked, open_pause
from edge.records.database import connect, connect_existing, reading
from edge.release.releases import ReleaseRow, _noted, history
from edge.review.marks import Mark, add_mark
from edge.servers.channel import read_messages, write_message
from edge.servers.state import StateUpdate
from tests.edge.page.doubles import alarm, part, station
from tests.fuzzing import EXAMPLES, ODD, budget, one_line

pytestmark = pytest.mark.fuzz

few = settings(budget, max_examples=EXAMPLES // 4)
"""Each example is a commit on the disk."""
TEXT = st.sampled_from(ODD) | st.text(max_size=20)
UNICODE = TEXT.filter(lambda text: not any("\ud800" <= each <= "\udfff" for each in text))
VALUE = UNICODE | st.integers(-(2**63), 2**63 - 1) | st.floats(allow_nan=False)
"""Any value that another program could have put into a column."""


@pytest.fixture(scope="module")
def records(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("any") / "records.sqlite"
    connect(path).close()
    return path


@pytest.mark.parametrize("ask", [operator_requests.pause, operator_requests.acknowledge])
@few
@given(who=TEXT, reason=TEXT)
@example(who="\udcff", reason="")
def test_any_name_and_reason_is_asked_or_refused(
    records: Path, ask: Callable[..., object], who: str, reason: str
) -> None:
    with pytest.raises(OperatorRequestError) as refused:  # no station answers
        ask(records, who, reason, taken_s=0.0)
    one_line(refused.value)


@few
@given(who=TEXT, note=TEXT)
@example(who="\udcff", note="")
def test_any_name_and_note_of_a_release_is_a_row_or_refused(records: Path, who: str, note: str) -> None:
    try:
        row = _noted(records, ReleaseRow(0, "", who, "release", "", "ab" * 32, note))
    except ReleaseError as error:
        one_line(error)
    else:
        assert history(records)[-1] == row


@few
@given(who=TEXT, note=TEXT)
@example(who="\udcff", note="")
def test_any_name_and_note_of_a_mark_is_a_row_or_refused(records: Path, who: str, note: str) -> None:
    with closing(connect_existing(records)) as connection, connection:
        statement = "INSERT OR IGNORE INTO parts (number, time, part_id, encoder, verdict, told, fault, bundle_id)"
        connection.execute(f"{statement} VALUES (1, '2026', 1, 1, 1, 1, '', 'id')")
    try:
        add_mark(records, Mark(1, "good", who, (), note))
    except MarkError as error:
        one_line(error)


def table_of(records: Path, *rows: tuple[str, list[object]]) -> None:
    """Put one row into each table, in place of those that are there."""
    with closing(connect_existing(records)) as connection, connection:
        for statement, values in rows:
            connection.execute(f"DELETE FROM {statement.split()[2]}")
            connection.execute(f"{statement} VALUES ({', '.join('?' * len(values))})", values)


@few
@given(values=st.lists(VALUE, min_size=4, max_size=4))
def test_any_row_of_an_order_is_read(records: Path, values: list[object]) -> None:
    table_of(
        records,
        ("INSERT INTO pauses (time, who, reason)", values[:3]),
        ("INSERT INTO acknowledgements (time, who)", values[:2]),
        ("INSERT INTO challenges (time, who, parts, class)", values),
    )
    with reading(records) as connection:
        assert open_pause(connection) is not None
        assert len(challenges_asked(connection)) == len(acknowledgements_asked(connection)) == 1


@budget
@given(text=UNICODE)
def test_any_text_stays_one_event_of_the_stream(text: str) -> None:
    state = StateUpdate(station=station(alarms=(alarm("a", text),)), parts=(part(1, "FAULT", fault=text),))
    event = f"data: {state.model_dump_json()}\n\n"

    assert "\n" not in event[:-2]
    assert "\r" not in event
    assert json.loads(event.removeprefix("data: "))["parts"][0]["fault"] == text


@budget
@given(cut=st.integers(0, 10**6), piece=st.binary(max_size=12), drop=st.integers(0, 40))
@example(cut=0, piece=b'{"kind":"Other","bytes":-1}\n', drop=0)
def test_a_damaged_pipe_ends_in_one_line(cut: int, piece: bytes, drop: int) -> None:
    pipe = BytesIO()
    for number in (1, 2):
        write_message(pipe, StateUpdate(station=station(), parts=(part(number),)), b"\xff" * 9)
    good = pipe.getvalue()
    at = cut % len(good)
    damaged = good[:at] + piece + good[at + drop :]
    try:
        found = [*read_messages(BytesIO(damaged), StateUpdate)]
    except ServerError as error:
        one_line(error)
    else:
        assert len(found) <= 2
