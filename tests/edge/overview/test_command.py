"""`edge-inspect overview`: wrong input is one line, before anything is served."""

import re
import signal
import socket
import subprocess
import sys

import pytest

from edge.cli import main

pytest.importorskip("psycopg", reason="the overview needs edge-inspect[central]")

AWAY = "postgresql://reader@127.0.0.1:1/quality"


@pytest.mark.parametrize(
    ("words", "problem"),
    [
        (["mysql://db/quality"], "'mysql://db/quality' is not the address of a database"),
        ([AWAY, "--listen", "nonsense"], "overview: --listen: 'nonsense' is not an address with a port"),
        ([AWAY, "--listen", "127.0.0.1:99999"], "'127.0.0.1:99999' is not an address with a port"),
        ([AWAY, "--listen", "0.0.0.0:8090"], "found --listen 0.0.0.0:8090 without --password-file"),
        ([AWAY, "--password-file", "none"], "none: cannot be read"),
        ([AWAY, "--database-password-file", "none"], "none: cannot be read"),
        (
            [AWAY, "--listen", "127.0.0.1:{taken}"],
            "overview: cannot listen at 127.0.0.1, port {taken} (Address already",
        ),
    ],
)
def test_wrong_input_is_one_line(words: list[str], problem: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        taken = str(server.getsockname()[1])
        with pytest.raises(SystemExit) as ended:
            main(["overview", *(word.replace("{taken}", taken) for word in words)])

    assert problem.replace("{taken}", taken) in str(ended.value)
    assert "\n" not in str(ended.value)


def test_a_database_that_is_away_is_said_at_the_start_and_asked_again() -> None:
    command = [sys.executable, "-c", "from edge.cli import main; main()", "overview", AWAY, "--listen", "127.0.0.1:0"]
    process = subprocess.Popen(command, stderr=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert process.stderr is not None
    said = process.stderr.readline()
    still_serves = process.poll() is None
    process.send_signal(signal.SIGTERM)
    process.communicate(timeout=60)

    assert re.match(r"overview: central records postgresql://127.0.0.1:1/quality: .*; the page asks again", said)
    assert still_serves
