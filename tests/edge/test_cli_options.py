"""Options of the command line that stand before a subcommand, and the words of the log."""

import io
import json
import logging
import subprocess
import sys
from contextlib import closing
from importlib.metadata import version
from pathlib import Path

import pytest

from bundle import Threshold
from edge.cli import main
from edge.errors import RecordsError
from edge.log_lines import JsonLines, PlainLines, log_handler
from edge.pipeline.plc_messages import event_text
from edge.records.database import VERSION, connect, reading
from firmware_bridge.events import HelloReceived, PeerLost
from firmware_bridge.messages import Hello, Role

ROOT = Path(__file__).resolve().parents[2]


def test_the_version_names_program_records_and_bundles(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["--version"])

    assert ended.value.code in (0, None)
    expected = f"edge-inspect {version('edge-inspect')}, records version {VERSION}, bundle formats 1 to 4\n"
    assert capsys.readouterr().out == expected


def test_a_line_of_the_json_log_is_one_object() -> None:
    try:
        raise ValueError("two\nlines")
    except ValueError:
        record = logging.getLogger("edge.test").makeRecord(
            "edge.test", logging.ERROR, "file", 1, "camera %s", ("top",), sys.exc_info()
        )
    line = JsonLines().format(record)

    assert "\n" not in line
    found = json.loads(line)
    assert (found["level"], found["logger"], found["message"]) == ("ERROR", "edge.test", "camera top")
    assert found["time"].endswith("+00:00")
    assert "two\nlines" in found["exception"]


def test_a_json_log_has_nothing_but_objects(tmp_path: Path) -> None:
    command = [sys.executable, "-c", "from edge.cli import main; main()", "--log-json", "demo", "--parts", "3"]
    environment = {"PYTHONPATH": str(ROOT), "PATH": ""}
    ended = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False)

    assert ended.returncode == 0, ended.stderr
    messages = [json.loads(line)["message"] for line in ended.stderr.splitlines()]
    assert any(message.startswith("threshold Crack: score 0.311, level 64, area 0 px") for message in messages)
    assert not [message for message in messages if "=<" in message or "(hello=" in message]


@pytest.fixture
def long_record() -> logging.LogRecord:
    """An error with a message far longer than a terminal is wide, and characters that break lines."""
    values = (
        "edge",
        logging.ERROR,
        "file",
        1,
        "camera %s: " + "no frame " * 30,
        ("top\n12:00 INFO fine\x1b[2J",),
        None,
    )
    return logging.LogRecord(*values)


def test_a_message_to_a_file_is_one_line(long_record: logging.LogRecord) -> None:
    file = io.StringIO()
    log_handler(journal=False, stream=file).handle(long_record)

    (line,) = file.getvalue().splitlines()
    assert "ERROR    camera top\\n12:00 INFO fine\\x1b[2J: no frame" in line


def test_the_journal_gets_the_priority_of_each_line() -> None:
    try:
        raise ValueError("two\nlines")
    except ValueError:
        record = logging.LogRecord("edge", logging.ERROR, "file", 1, "camera lost", (), sys.exc_info())
    first, *trace = PlainLines(journal=True).format(record).splitlines()

    assert first == "<3>camera lost"
    assert trace
    assert all(line.startswith("<3>") for line in trace)


def test_an_event_is_logged_in_words() -> None:
    hello = Hello(Role.PLC, "line 3", protocol=3)

    assert event_text(HelloReceived(hello, restarted=False)) == "hello received: role PLC, name line 3, protocol 3, " \
        "restarted False"  # fmt: skip
    assert event_text(PeerLost(1.23456)) == "peer lost: silent_s 1.235"


def test_thresholds_are_logged_with_three_digits() -> None:
    assert Threshold(score=0.2572025954723358, level=128, min_area_px=8).words == "score 0.257, level 128, area 8 px"


def test_records_of_a_newer_program_are_refused_with_the_way_out(tmp_path: Path) -> None:
    with closing(connect(tmp_path / "r.sqlite")) as connection:
        connection.execute(f"PRAGMA user_version = {VERSION + 1}")

    said = f"found version {VERSION + 1}, expected at most {VERSION}; .* use the edge-inspect that wrote this one"
    with pytest.raises(RecordsError, match=said):
        connect(tmp_path / "r.sqlite")
    with pytest.raises(RecordsError, match=said), reading(tmp_path / "r.sqlite"):
        pytest.fail("records of a newer version were read")
