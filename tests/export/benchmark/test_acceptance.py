"""GPU acceptance test on the simulated device, and the comparison of engines."""

import itertools
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx
import pytest

pytest.importorskip("sklearn", reason="the comparison needs the extra: pip install '.[export]'")

from bundle import Bundle, load_bundle
from edge.engines.registry import open_engine
from edge.engines.tensorrt_.engine import StreamEngine
from edge.errors import EngineError
from export.benchmark.acceptance import Accepted, accept, kernel_gap, sized
from export.benchmark.acceptance_network import SETTING, Setting, comparison_bundles, resized
from export.benchmark.acceptance_report import AcceptanceReport, to_page
from export.benchmark.acceptance_rivals import EngineFigures, onnxruntime_cuda, row
from export.benchmark.acceptance_run import Acceptance, Machine
from export.benchmark.benchmark import Speed, advice, measure
from export.benchmark.op_counts import count_work
from export.benchmark.roofline import Peak
from tests.edge.engines.tensorrt_.recording_driver import RecordingDriver, TinyNetwork

ROOT = Path(__file__).resolve().parents[3]


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


def findings(accepted: list[Accepted], rows: list[EngineFigures], **changes: object) -> AcceptanceReport:
    content = {
        "machine": {"device": "recording device"},
        "answers": {"tensorrt 10.3.0": "yes"},
        "stand_in": None,
        "accepted": tuple(accepted),
        "not_accepted": {},
        "setting": "400x300",
        "rows": tuple(rows),
        "peak": "not known",
        "seconds": 1.0,
    }
    return AcceptanceReport(**{**content, **changes})


def test_the_page_has_a_row_for_each_way_of_each_bundle(bundle: Bundle, engine: StreamEngine) -> None:
    page = to_page(findings([accepted(bundle, engine)], []))

    assert page.startswith("# Acceptance on recording device\n\nPassed.")
    assert "| tiny | fp32 | yes | kernel by kernel | 2.000 | 2.000 | 1.00 |" in page
    assert "| tiny | fp32 | yes | CUDA graph | 2.000 |" in page


def test_the_page_says_what_is_missing_and_why(bundle: Bundle, engine: StreamEngine) -> None:
    one = accepted(bundle, engine).model_copy(update={"runtime_over_bare": 0.5})
    rows = [
        EngineFigures(engine="torch", precision="int8", missing="no INT8"),
        EngineFigures(engine="us", precision="fp16", p50_ms=1, p99_ms=2, frames_per_s=1000, layered_share=0.25),
    ]
    answers = {"tensorrt_rtx 1.7.1": "no: not for this GPU"}
    found = findings([one], rows, answers=answers, stand_in="torch", not_accepted={"other": "it broke"})

    page = to_page(found)

    assert not found.passed
    assert "**Not passed.**" in page
    assert "- tensorrt_rtx 1.7.1: no: not for this GPU" in page
    assert "torch takes its place" in page
    assert "nothing of TensorRT" in page
    assert "- tiny: runtime: 0.5 of the bare engine, at least 0.95" in page
    assert "- other: not measured: it broke" in page
    assert "| int8 | torch | not measured: no INT8 |" in page
    assert "| fp16 | us | 1.000 | 2.000 | 1000 | 25.0% | unknown | unknown |" in page


def test_a_run_passes_only_if_tensorrt_ran_every_bundle(bundle: Bundle, engine: StreamEngine) -> None:
    one = accepted(bundle, engine)

    assert findings([one], []).passed
    assert not findings([one], [], stand_in="torch").passed
    assert not findings([one], [], not_accepted={"other": "it broke"}).passed
    assert not findings([], []).passed


def test_every_table_row_has_as_many_columns_as_its_header(bundle: Bundle, engine: StreamEngine) -> None:
    one = accepted(bundle, engine)
    rows = [
        EngineFigures(engine="a", precision="fp16", missing="gone"),
        EngineFigures(engine="b", precision="fp16", p50_ms=1, p99_ms=1, frames_per_s=1),
    ]
    lines = to_page(findings([one, one.model_copy(update={"graph": None, "graph_refusal": "so"})], rows)).splitlines()

    for first, second in itertools.pairwise(line for line in lines if line):
        if first.startswith("|") and second.startswith("|"):
            assert first.count("|") == second.count("|"), (first, second)


def test_an_uneven_latency_does_not_pass(bundle: Bundle, engine: StreamEngine) -> None:
    result = accepted(bundle, engine)
    slow = replace(result.plain, p50_ms=1.0, p99_ms=1.3)

    assert result.model_copy(update={"plain": slow, "graph": None}).objections == [
        "latency: p99 1.30 times p50, at most 1.2"
    ]


def test_both_ways_to_launch_are_measured(bundle: Bundle, engine: StreamEngine) -> None:
    result = accepted(bundle, engine)

    assert result.graph is not None
    assert result.speed == result.plain  # as fast, so nothing is gained
    faster = replace(result.plain, p50_ms=result.plain.p50_ms / 2)
    assert result.model_copy(update={"graph": faster}).speed == faster


def test_a_refused_graph_leaves_the_rest_measured(bundle: Bundle) -> None:
    driver = RecordingDriver()
    driver.refuses_capture = True
    engine = StreamEngine(bundle.manifest, driver, lambda: TinyNetwork(driver, bundle.manifest), b"cubin")

    result = accepted(bundle, engine)

    assert result.passed
    assert (result.graph, result.graph_refusal) == (None, "recording device: no capture (as asked)")
    engine.close()


def test_memory_is_watched_as_long_as_there_is_time(bundle: Bundle, engine: StreamEngine) -> None:
    reference = open_engine("onnxruntime", bundle, threads=1)
    clock = ticks(0.001)

    result = accept(bundle, engine, reference, frames=16, soak=40, clock=clock, until=0.0, runs=10)

    assert result.memory.frames == 0


# the whole run


class Opened:
    """Opens engines on doubles, and keeps count of those that are closed."""

    def __init__(self) -> None:
        self.drivers: list[RecordingDriver] = []

    def __call__(self, bundle: Bundle) -> StreamEngine:
        if bundle.manifest.name == "broken":
            raise EngineError("broken: as asked")
        driver = RecordingDriver()
        self.drivers.append(driver)
        return StreamEngine(bundle.manifest, driver, lambda: TinyNetwork(driver, bundle.manifest), b"cubin")


def acceptance(rivals: dict[str, Callable[[Bundle], object]], deadline: float = 1e6) -> tuple[Acceptance, Opened]:
    opens = Opened()
    machine = Machine("us", opens, lambda bundle: 0.99, rivals, None)
    return Acceptance(machine, 16, 20, deadline, lambda line: None, ticks(0.002), runs=20), opens


def named(bundle: Bundle, name: str) -> Bundle:
    return replace(bundle, manifest=bundle.manifest.model_copy(update={"name": name}))


def test_a_bundle_that_cannot_be_opened_is_noted_and_the_others_go_on(make_bundle: Callable[..., Path]) -> None:
    broken, fine = (named(load_bundle(make_bundle(name)), name) for name in ("broken", "fine"))
    run, opens = acceptance({})

    accepted = run.bundles([broken, fine])

    assert [one.bundle for one in accepted] == ["fine"]
    assert accepted[0].runtime_over_bare == 0.99
    assert run.not_accepted == {"broken": "broken: as asked"}
    assert all(driver.closed for driver in opens.drivers)


def test_each_rival_has_its_row_or_its_reason(bundle: Bundle) -> None:
    def gone(bundle: Bundle) -> object:
        raise EngineError("gone: not installed")

    def there(bundle: Bundle) -> object:
        return open_engine("onnxruntime", bundle, threads=1).infer

    run, opens = acceptance({"there": there, "gone": gone})

    rows = run.comparison([bundle])

    assert [(row.engine, row.missing) for row in rows] == [
        *(("us", ""), ("us, CUDA graph", ""), ("there", ""), ("gone", "gone: not installed")),
    ]
    assert rows[2].p50_ms == pytest.approx(2.0)
    assert rows[2].score_gap == pytest.approx(0, abs=1e-6)
    assert all(driver.closed for driver in opens.drivers)


def test_without_time_the_rivals_say_so(bundle: Bundle) -> None:
    run, _ = acceptance({"there": lambda bundle: pytest.fail("it was opened")}, deadline=5.0)

    assert run.comparison([bundle])[-1].missing == "the time was up; give it more --minutes"


def test_shares_of_the_roofline_are_the_shortest_time_over_that_of_a_frame() -> None:
    bundle = load_bundle(ROOT / "models" / "demo-tiles")
    peak = Peak({"fp32": 1e12, "fp16": 2e12, "int8": 4e12}, bytes_per_s=1e15, source="")

    found = row("us", bundle, Speed("demo", "fp32", 1.0, 1.0, 500.0), peak)

    assert found.fused_share == pytest.approx(0.754e9 / 1e12 * 500, rel=0.01)  # 0.754 GMAC, counted by hand elsewhere
    assert found.layered_share == pytest.approx(found.fused_share, rel=0.01)
    assert row("us", bundle, Speed("demo", "fp32", 1.0, 1.0, 500.0), None).layered_share is None


# the networks that are compared


SMALL = Setting(height=80, width=60, pooling=2)
"""The tests' own, since the real one takes a CPU seconds."""


@pytest.fixture(scope="module")
def compared(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Bundle]:
    sources = [load_bundle(ROOT / "models" / name) for name in ("demo-tiles", "demo-tiles-int8")]
    made = comparison_bundles(sources, tmp_path_factory.mktemp("compared"), SMALL)
    return {bundle.manifest.precision: bundle for bundle in made}


def test_the_compared_networks_have_the_setting_in_every_precision(compared: dict[str, Bundle]) -> None:
    assert set(compared) == {"fp32", "fp16", "int8"}
    for bundle in compared.values():
        spec, masks = bundle.manifest.input, bundle.manifest.masks
        assert (spec.height, spec.width, masks.height, masks.width) == (80, 60, 40, 30)
        bundle.check(open_engine("onnxruntime", bundle, threads=1).infer)


def test_what_is_compared_by_default_is_400x300_with_pooling_2() -> None:
    graph = resized(onnx.load(ROOT / "models" / "demo-tiles" / "model.onnx"), SETTING).graph

    frames, masks = graph.input[0], graph.output[1]
    sides = [[side.dim_value for side in value.type.tensor_type.shape.dim[2:]] for value in (frames, masks)]
    assert sides == [[400, 300], [200, 150]]


def test_the_int8_one_computes_every_layer_but_the_head_in_int8(compared: dict[str, Bundle]) -> None:
    work = count_work(onnx.load(compared["int8"].model))

    layers = [kernel for kernel in work.kernels if kernel.macs]
    assert [kernel.precision for kernel in layers] == ["int8"] * 13 + ["fp16"]
    assert work.macs == count_work(onnx.load(compared["fp16"].model)).macs


def test_torch_plays_the_same_networks(compared: dict[str, Bundle]) -> None:
    pytest.importorskip("torch", reason="torch is not installed")
    from tools.torch_network import open_torch

    bundle = load_bundle(ROOT / "models" / "demo-tiles")
    bundle.check(open_torch(bundle, device="cpu"))
    compared["fp16"].check(open_torch(compared["fp16"], device="cpu"))
    with pytest.raises(EngineError, match="no INT8 convolution"):
        open_torch(compared["int8"], device="cpu")


def test_what_is_not_here_says_why(bundle: Bundle) -> None:
    if not no_gpu():
        pytest.skip("there is a GPU")

    with pytest.raises(EngineError, match="expected CUDAExecutionProvider; pip install onnxruntime-gpu"):
        onnxruntime_cuda(bundle)


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
    if not no_gpu():
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


def no_gpu() -> bool:
    return not (Path("/dev/nvidiactl").exists() or Path("/dev/nvhost-gpu").exists())
