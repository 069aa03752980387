"""An unexpected exception in any thread or child process of the station is seen: a FAULT or a stop, and an alarm."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

import edge
import firmware_bridge
from tests.edge.running_line import Run
from tests.edge.threads import beside_the_pipeline, pipeline
from tests.edge.threads.registry import CASES

WITH_CASES = (beside_the_pipeline, pipeline)
"""Modules that enter their cases when they are imported."""
FOLDERS = (Path(edge.__file__).parent, Path(firmware_bridge.__file__).parent)
STARTERS = {"Thread", "Timer", "Popen", "Process", "ThreadPoolExecutor", "ProcessPoolExecutor", "start_new_thread"}
NOT_THE_STATION = ("simulator",)
"""Folders of what is at the other end of the line."""

THREADS = {"line", "grab camera", "infer", "report", "eject"}
"""Threads of the pipeline, all started in one place."""


def starts_of(path: Path, root: Path) -> Iterator[str]:
    """Yield `file:function` of each place that starts a thread or a process."""
    for function in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if not isinstance(function, (ast.FunctionDef, ast.AsyncFunctionDef)):
            continue
        for call in (node for node in ast.walk(function) if isinstance(node, ast.Call)):
            name = ast.unparse(call.func)
            if name.rpartition(".")[2] in STARTERS or name in ("subprocess.run", "os.fork"):
                yield f"{path.relative_to(root)}:{function.name}"


FOUND = sorted(
    {
        start
        for folder in FOLDERS
        for path in folder.rglob("*.py")
        if not set(NOT_THE_STATION) & set(path.parts)
        for start in starts_of(path, folder.parent)
    }
)


@pytest.mark.parametrize(
    "start", [*(start for start in FOUND if start != "edge/pipeline/runtime.py:_thread"), *sorted(THREADS)]
)
def test_an_exception_in_a_thread_or_child_process_is_seen(start: str, request: pytest.FixtureRequest) -> None:
    assert start in CASES, f"{start} starts a thread or process without a case in threads/; plant an exception in it"
    case = CASES[start]
    names = case.__code__.co_varnames[: case.__code__.co_argcount]

    case(*(request.getfixturevalue(name) for name in names))


def test_there_is_no_case_of_a_thread_that_is_gone() -> None:
    assert set(CASES) <= {*FOUND, *THREADS}


def test_the_threads_of_the_pipeline_are_those_of_the_cases(run: Run) -> None:
    with run(ejector={"output": "simulated://", "delay_ms": 10, "length_ms": 10}) as line:
        started = {thread.name for thread in (*line.runtime._threads, *line.runtime._ejecting)}

    assert started == THREADS
