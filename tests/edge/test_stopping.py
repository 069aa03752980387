"""The order to stop ends a station, whatever hangs."""

import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from time import monotonic

import pytest

from bundle import load_bundle
from edge.cameras.camera import Camera
from edge.cli import limit_words
from edge.engines.registry import open_engine
from edge.errors import StationError
from edge.pipeline.inspector import Inspector
from edge.pipeline.runtime import Runtime
from edge.records.writer import Records
from edge.stopping import GAVE_UP, ends_within
from tests.conftest import grey_frame
from tests.edge.line_doubles import HandPlc, ListCamera, make_line


def test_what_hangs_is_ended_with_its_name() -> None:
    ended: list[str] = []
    over = threading.Event()

    def end(hanging: str) -> None:
        ended.append(hanging)
        over.set()

    with ends_within(0.01, end) as stopping:
        stopping()
        assert over.wait(10.0)

    assert "MainThread" in ended[0]
    assert "last resort" not in ended[0]


def test_a_stop_in_time_is_left_alone() -> None:
    ended: list[str] = []
    with ends_within(60.0, ended.append) as stopping:
        stopping()

    assert not ended
    assert "last resort" not in {thread.name for thread in threading.enumerate() if not thread.daemon}


def test_without_an_order_to_stop_no_time_runs() -> None:
    with ends_within(0.0, lambda _: pytest.fail("nothing was told to stop")):
        pass


HANGING = """
import threading
from edge.stopping import ends_within
never = threading.Event()
threading.Thread(target=never.wait, name="infer").start()  # a call of an engine that does not return
with ends_within(0.1) as stopping:
    stopping()
    never.wait()
"""


def test_a_process_with_a_call_that_hangs_ends_and_names_its_thread() -> None:
    done = subprocess.run([sys.executable, "-c", HANGING], capture_output=True, text=True, timeout=60, check=False)

    assert done.returncode == GAVE_UP
    assert "infer" in done.stderr


def test_a_limit_of_memory_or_tasks_is_said_in_one_line() -> None:
    refused = NoThread()
    with pytest.raises(RuntimeError) as found:
        refused.start()

    assert limit_words(found.value).startswith("found no room (can't start new thread); raise the limits")
    assert limit_words(MemoryError()).startswith("found no room (out of memory); raise the limits")
    with pytest.raises(RuntimeError, match="a programming error"):
        limit_words(RuntimeError("a programming error"))


class HalfRuntime(Runtime):
    """A runtime whose thread of that name cannot be started, as at a limit of memory or tasks."""

    refused = ""

    def _thread(self, name: str, loop: Callable[[], None]) -> threading.Thread:
        return NoThread(name=name) if name == self.refused else super()._thread(name, loop)


class NoThread(threading.Thread):
    """A thread that the system refuses."""

    def start(self) -> None:
        raise RuntimeError("can't start new thread")


@pytest.mark.parametrize("refused", ["line", "grab camera", "infer", "report"])
def test_a_start_that_fails_half_way_ends_with_no_thread_left(
    make_bundle: Callable[..., Path], tmp_path: Path, refused: str
) -> None:
    bundle = load_bundle(make_bundle())
    records = Records(tmp_path / "records.sqlite")
    inspector = Inspector(bundle, open_engine("onnxruntime", bundle, threads=1), monotonic)
    cameras: dict[str, Camera] = {"camera": ListCamera([grey_frame()])}
    before = threading.active_count()
    kind = type("Half", (HalfRuntime,), {"refused": refused})
    runtime: Runtime = kind(inspector, cameras, records, HandPlc(), make_line(), monotonic)
    assert refused in {thread.name for thread in runtime._threads}

    with pytest.raises(StationError, match=f"the {refused} thread: cannot be started"):
        runtime.start()

    assert threading.active_count() == before
    runtime.close_inspector()
    records.close()
