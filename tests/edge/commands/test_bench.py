"""The bench: every way is run on the same frames, and the figures say what they claim."""

import json
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from bundle import Crop, Image, InputSpec, load_bundle
from edge.cli import main
from edge.commands.bench import Bench, InstantPlc, RuntimeRounds
from edge.commands.bench_report import BenchFigures, RuntimeFigures
from edge.engines.engine import Pending
from edge.errors import EngineError
from edge.records.retention import OVERLAYS
from firmware_bridge.messages import Fault, FaultCode, Result, Trigger, Verdict
from tests.conftest import HEIGHT, WIDTH
from tests.edge.line_doubles import NumpyEngine

PARTS = 10


class TwoSlotEngine(NumpyEngine):
    """Notes how many batches are under way at a time."""

    slots = 2

    def __init__(self, *arguments: object) -> None:
        super().__init__(*arguments)  # type: ignore[arg-type]
        self.most = 0
        self._under_way: deque[int] = deque()

    def begin(self, frames: Sequence[Image]) -> Pending:
        """Begin a batch."""
        self._under_way.append(1)
        self.most = max(self.most, len(self._under_way))
        waiting = super().begin(frames)

        def finish():  # type: ignore[no-untyped-def]
            self._under_way.popleft()
            return waiting()

        return finish


def test_the_command_writes_every_figure(
    make_bundle: Callable[..., Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["bench", str(make_bundle()), "--threads", "1", "--parts", str(PARTS), "--json", str(tmp_path / "b.json")])

    found = json.loads((tmp_path / "b.json").read_text())
    kept = found["runtime"]["every picture"]
    assert ended.value.code in (None, 0)
    assert len(found["bare"]["per_s"]) == len(kept["per_s"]) == found["rounds"]
    assert kept["stages_ms"]["alone"]["infer"]["p50"] <= kept["stages_ms"]["alone"]["infer"]["worst"]
    assert "outside the engine" in capsys.readouterr().out


def test_a_round_runs_each_part_once_and_notes_its_times(make_bundle: Callable[..., Path], tmp_path: Path) -> None:
    bundle = load_bundle(make_bundle())
    engine = NumpyEngine(bundle.manifest)
    bench, course = Bench(bundle, engine, PARTS), RuntimeRounds(tmp_path / "course", open_parts=1, pictures=False)
    warmed_up = engine.calls

    bench.run(course)

    assert engine.calls - warmed_up == PARTS
    assert len(course.to_result_ms) == len(course.around_engine_ms) == PARTS
    assert all(0 < around < whole for around, whole in zip(course.around_engine_ms, course.to_result_ms, strict=True))


class ShapesEngine(NumpyEngine):
    """Notes the sizes of the frames that it is given."""

    def __init__(self, *arguments: object) -> None:
        super().__init__(*arguments)  # type: ignore[arg-type]
        self.shapes: set[tuple[int, ...]] = set()

    def begin(self, frames: Sequence[Image]) -> Pending:
        """Begin a batch."""
        self.shapes |= {frame.shape for frame in frames}
        return super().begin(frames)


@pytest.mark.parametrize("fitted", [False, True])
def test_fitted_frames_have_the_size_of_the_input(
    make_bundle: Callable[..., Path], tmp_path: Path, fitted: bool
) -> None:
    stored = load_bundle(make_bundle())
    large = replace(stored.golden, frames=[np.zeros((31, 20), np.uint8)])
    bundle = replace(stored, golden=large)
    engine = ShapesEngine(bundle.manifest)
    bench = Bench(bundle, engine, PARTS, fitted)
    engine.shapes.clear()  # of the warm-up
    bench.run(RuntimeRounds(tmp_path / "course", open_parts=1, pictures=False))
    assert engine.shapes == {(HEIGHT, WIDTH) if fitted else (31, 20)}


def test_a_bundle_that_crops_cannot_be_fitted(make_bundle: Callable[..., Path]) -> None:
    spec = InputSpec(height=8, width=8, channels=1, crop=Crop(x=0, y=0, width=8, height=8))
    bundle = load_bundle(make_bundle(input=spec))
    with pytest.raises(EngineError, match="bench --fitted: found that the bundle takes a part of each frame"):
        Bench(bundle, NumpyEngine(bundle.manifest), PARTS, fitted=True)


def test_figures_of_an_engine_that_fails_are_not_given(make_bundle: Callable[..., Path], tmp_path: Path) -> None:
    bundle = load_bundle(make_bundle())
    bench = Bench(bundle, NumpyEngine(bundle.manifest, fail_on=3 + PARTS // 2), PARTS)  # three to warm up

    with pytest.raises(EngineError, match="failed as asked"):
        bench.run(RuntimeRounds(tmp_path / "course", open_parts=1, pictures=False))


def test_every_picture_is_kept_where_pictures_are(make_bundle: Callable[..., Path], tmp_path: Path) -> None:
    bundle = load_bundle(make_bundle())
    course = RuntimeRounds(tmp_path / "course", open_parts=4, pictures=True)

    Bench(bundle, NumpyEngine(bundle.manifest), PARTS).run(course)

    pictures = [path for path in course.folder.rglob("*.png") if OVERLAYS not in path.parts]
    assert (len(pictures), course.skipped) == (PARTS, 0)


def test_the_bare_engine_may_use_all_its_slots(make_bundle: Callable[..., Path]) -> None:
    bundle = load_bundle(make_bundle())
    engine = TwoSlotEngine(bundle.manifest)

    Bench(bundle, engine, PARTS).bare()

    assert engine.most == 2


def test_the_plc_counts_results_alone() -> None:
    plc = InstantPlc(parts=1, open_parts=1)

    plc.send(Fault(FaultCode.OTHER))
    waiting = not plc.done.is_set()
    plc.send(Result(1, 1000, Verdict.OK))

    assert (waiting, plc.done.is_set()) == (True, True)
    assert plc.poll(0) == [Trigger(1, 1000)]


def test_the_overhead_is_counted_from_the_bare_median_and_the_ratio_round_by_round() -> None:
    way = RuntimeFigures(
        per_s=[9.0, 16.0, 5.0], to_result_ms=[12.0, 13.0, 20.0], around_engine_ms=[1.0], stages_ms={}, skipped=0
    )
    found = BenchFigures(
        "b", "id", "e", 1, PARTS, bare_per_s=[10.0, 20.0, 10.0], bare_ms=[9.0, 10.0, 99.0], ways={"w": way}
    )

    assert found.ratio(way) == pytest.approx(0.8)
    assert found.overhead_ms(way)["p50"] == pytest.approx(3.0)
