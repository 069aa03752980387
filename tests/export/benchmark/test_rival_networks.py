"""Networks of other packages, measured in a child process."""

import subprocess
import sys
from contextlib import closing
from pathlib import Path

import pytest

from edge.errors import EngineError
from tools.rival_networks import ROOT, Command, RivalNetwork, environment

ECHO = """
import json, sys
print("ready", flush=True)
for line in sys.stdin:
    print(json.dumps([[1.5] * int(line), 2.5]), flush=True)
"""


def test_a_rival_is_measured_in_its_own_process() -> None:
    with closing(RivalNetwork([sys.executable, "-c", ECHO])) as rival:
        assert rival.turn(3) == ([1.5, 1.5, 1.5], 2.5)
        assert rival.turn(1) == ([1.5], 2.5)


def test_a_rival_that_cannot_be_built_says_why() -> None:
    with pytest.raises(EngineError, match="ended: ModuleNotFoundError: No module named 'no_such_rival'"):
        RivalNetwork([sys.executable, "-c", "import no_such_rival"])


def test_an_environment_is_made_once_with_the_pinned_versions(tmp_path: Path) -> None:
    commands: list[Command] = []

    def run(command: Command) -> None:
        commands.append(command)
        (tmp_path / "rival-1.0").mkdir(exist_ok=True)

    pythons = [environment("rival==1.0", tmp_path, run) for _ in range(2)]

    assert pythons == [tmp_path / "rival-1.0" / "bin" / "python"] * 2
    assert [command[2] for command in commands] == ["venv", "pip"]
    assert [str(word).rpartition("/")[2] for word in commands[1][-2:]] == ["constraints.txt", "rival==1.0"]


def test_an_environment_that_cannot_be_made_is_made_again(tmp_path: Path) -> None:
    def fail(command: Command) -> None:
        raise EngineError(f"{command[-1]}: no space left")

    for _ in range(2):
        with pytest.raises(EngineError, match="no space left"):
            environment("rival==1.0", tmp_path, fail)


def test_what_a_package_prints_is_no_answer() -> None:
    script = (
        "import os; from tools.rival_network import answer_stream; answers = answer_stream()\n"
        "os.write(1, b'library'); print('package'); print('answer', file=answers, flush=True)"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True, cwd=ROOT)

    assert done.stdout == "answer\n"
