"""The process that formats every second chunk of a CSV file."""

import json
import signal
import subprocess
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from edge.errors import RecordsError
from edge.module_process import module_command
from edge.records.csv_process import CsvProcess
from edge.records.database import connect

VIEW = "SELECT 'line' AS line"
QUERY = "SELECT ?2 - ?1, CAST(line || ?1 AS BLOB) FROM exported"
SPANS = [(first, first + 3) for first in range(1000)]


@pytest.fixture
def records(tmp_path: Path) -> Path:
    connect(tmp_path / "records.sqlite").close()
    return tmp_path / "records.sqlite"


@pytest.fixture
def child(records: Path) -> Iterator["subprocess.Popen[bytes]"]:
    """The process alone, after its first answer of 1000."""
    command = module_command("edge.records.csv_process")
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        process.stdin.write(json.dumps([str(records), VIEW, QUERY, SPANS]).encode() + b"\n")
        process.stdin.flush()
        assert process.stdout.read(len(ANSWER)) == ANSWER
        yield process
        process.kill()


ANSWER = b'[3, 5, ""]\nline0'


def test_chunks_come_in_order(records: Path) -> None:
    with closing(CsvProcess(records, VIEW, QUERY, SPANS)) as process:
        assert [process.next_chunk() for _ in SPANS] == [(3, f"line{first}".encode()) for first, _ in SPANS]


def test_an_error_of_the_child_is_the_error_of_its_parent(records: Path) -> None:
    problem = r"records\.sqlite: cannot be read \(no such table: gone\)"
    with (
        closing(CsvProcess(records, VIEW, "SELECT * FROM gone", SPANS)) as process,
        pytest.raises(RecordsError, match=problem),
    ):
        process.next_chunk()


@pytest.mark.parametrize("received", [0, 1])
def test_a_child_that_is_killed_is_an_error(records: Path, received: int) -> None:
    """Each chunk is larger than the pipe, so that the child cannot be done."""
    with closing(CsvProcess(records, "SELECT zeroblob(2000000) AS line", QUERY, SPANS)) as process:
        for _ in range(received):
            process.next_chunk()
        process.child.process.kill()

        with pytest.raises(RecordsError, match="ended with status -9, expected all of its rows"):
            process.next_chunk()


def test_ctrl_c_leaves_the_child_to_its_parent(child: "subprocess.Popen[bytes]") -> None:
    child.send_signal(signal.SIGINT)

    output, _ = child.communicate()
    assert output.endswith(b"line999")
    assert child.returncode == 0


def test_a_child_without_parent_ends(records: Path, child: "subprocess.Popen[bytes]") -> None:
    assert child.stdout is not None
    child.stdout.close()

    assert child.wait() == -signal.SIGPIPE
