"""What the acceptance script measures, on the double of the device; and the measuring of engines side by side."""

import itertools
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("sklearn", reason="the comparison needs the extra: pip install '.[export]'")

from bundle import Bundle, load_bundle
from edge.engine import open_engine
from edge.engines.stream import StreamEngine
from export.acceptance import Accepted, accept, kernel_gap, sized, to_page
from export.engine import Speed, advice, measure
from tests.tensorrt.recording_driver import RecordingDriver, TinyNetwork

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def bundle(make_bundle: Callable[..., Path]) -> Bundle:
    return load_bundle(make_bundle())


def opened(bundle: Bundle, wrong: int = 0) -> StreamEngine:
    driver = RecordingDriver()
    return StreamEngine(bundle.manifest, driver, lambda: TinyNetwork(driver, bundle.manifest, wrong=wrong), b"cubin")


@pytest.fixture
def engine(bundle: Bundle) -> Iterator[StreamEngine]:
    engine = opened(bundle)
    yield engine
    engine.close()


def ticks(step_s: float) -> Callable[[], float]:
    """A clock that goes on by a step whenever it is read."""
    count = itertools.count()
    return lambda: next(count) * step_s


def accepted(bundle: Bundle, engine: StreamEngine) -> Accepted:
    reference = open_engine("onnxruntime", bundle, threads=1)
    return accept(bundle, engine, reference, frames=16, soak=40, clock=ticks(0.002))


def test_an_engine_that_agrees_passes(bundle: Bundle, engine: StreamEngine) -> None:
    result = accepted(bundle, engine)

    assert result.passed
    assert result.parity["changed_verdicts"] == []
    assert result.kernel_largest_gap == 0  # the double's kernel is `preprocess`
    assert result.speed.p50_ms == pytest.approx(2.0)
    assert result.memory.device_bytes == 0


def test_an_engine_that_answers_otherwise_does_not(bundle: Bundle) -> None:
    engine = opened(bundle, wrong=9)

    result = accepted(bundle, engine)

    assert not result.passed
    assert result.parity["largest_mask_difference"] >= 9
    engine.close()


def test_a_slow_runtime_does_not_pass(bundle: Bundle, engine: StreamEngine) -> None:
    result = accepted(bundle, engine)

    assert result.model_copy(update={"runtime_over_bare": 0.96}).passed
    assert not result.model_copy(update={"runtime_over_bare": 0.94}).passed


def test_memory_that_grows_does_not_pass(bundle: Bundle, engine: StreamEngine) -> None:
    result = accepted(bundle, engine)
    leak = result.memory.model_copy(update={"device_bytes": 100 << 20})

    assert not result.model_copy(update={"memory": leak}).passed


def test_the_page_has_a_row_for_each_bundle(bundle: Bundle, engine: StreamEngine) -> None:
    page = to_page({"device": "recording device"}, [accepted(bundle, engine)])

    assert page.startswith("# Acceptance on recording device")
    assert "| tiny | fp32 | yes | 2.000 | 2.000 |" in page


def test_frames_are_tried_in_every_layout(engine: StreamEngine) -> None:
    frames = sized([np.full((16, 12), 100, np.uint8)] * 16)

    assert {frame.ndim for frame in frames} == {2, 3}
    assert any(frame.strides[-1] < 0 for frame in frames)
    assert all(kernel_gap(engine, frame) == 0 for frame in frames)


def test_speed_is_measured_with_every_slot_in_use(bundle: Bundle, engine: StreamEngine) -> None:
    speed = measure(bundle, engine, runs=50, clock=ticks(0.001))

    assert (speed.p50_ms, speed.p99_ms) == (pytest.approx(1.0), pytest.approx(1.0))
    assert speed.frames_per_s == pytest.approx(50_000)  # the clock is read at the beginning and at the end


def speed(name: str, precision: str, p50_ms: float) -> Speed:
    return Speed(name, precision, p50_ms, p50_ms, 1000 / p50_ms)


def test_the_fastest_is_named_and_a_slow_int8_explained() -> None:
    said = advice([speed("half", "fp16", 1.0), speed("small", "int8", 1.5)])

    assert said.startswith("best here: half (fp16), 1.000 ms a frame; next small (int8) with 1.50 times that")
    assert "INT8 is slower on this board" in said
    assert "slower" not in advice([speed("half", "fp16", 1.0), speed("small", "int8", 0.5)])
    assert "alone" in advice([speed("half", "fp16", 1.0)])


def test_without_a_driver_the_script_says_so_in_one_line(bundle: Bundle, tmp_path: Path) -> None:
    if Path("/dev/nvidiactl").exists() or Path("/dev/nvhost-gpu").exists():
        pytest.skip("there is a GPU")
    script = ROOT / "tools" / "gpu-acceptance"
    run = subprocess.run(
        [sys.executable, str(script), str(bundle.folder), "--out", str(tmp_path / "out")],
        capture_output=True,
        text=True,
        check=False,
    )

    assert run.returncode == 1
    assert run.stderr.startswith("gpu-acceptance: CUDA: found no driver")
    assert run.stderr.count("\n") == 1
    assert not (tmp_path / "out").exists()
