"""`engine = "cpu"`: which engine is taken, why, and what happens when it fails."""

import json
import os
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest

from bundle import Bundle, GoldenMismatch, Image, load_bundle
from edge.engines.engine import Engine, Outputs
from edge.engines.engine_cache import EngineCache
from edge.engines.fastest import ProcessorChoice, choice_of, open_choice
from edge.engines.onnxruntime_cpu import open_in_float32
from edge.engines.processor import processor_name
from edge.engines.registry import ENGINES, EngineKind
from edge.errors import EngineError
from tests.conftest import tiny_outputs

FRAME_S = {"float": 0.015, "reference": 0.020, "quick": 0.010, "alike": 0.0199, "wrong": 0.001, "subtle": 0.001}


class TimedEngine(Engine):
    """The tiny network in numpy; each frame advances the clock by its time."""

    clock = 0.0
    opened: tuple[str, ...] = ()
    broken: tuple[str, ...] = ()

    def __init__(self, bundle: Bundle, name: str) -> None:
        if name in self.broken:
            raise EngineError(f"{name} is broken")
        super().__init__(bundle.manifest, name)
        TimedEngine.opened = (*TimedEngine.opened, name)

    def _infer(self, inputs: Image) -> Outputs:
        TimedEngine.clock += FRAME_S[self.description]
        scores, masks = tiny_outputs(inputs)
        wrong = self.description == "wrong" or (self.description == "subtle" and inputs.min() == 0)
        return (1 - scores if wrong else scores), masks


def open_reference(bundle: Bundle, _threads: int | None, _batch: int) -> Engine:
    return TimedEngine(bundle, "reference")


def open_float(bundle: Bundle, _threads: int | None, _batch: int) -> Engine:
    """The network of an INT8 bundle in float32, with outputs of its own."""
    return TimedEngine(bundle, "float")


def open_quick(bundle: Bundle, _threads: int | None, _batch: int) -> Engine:
    return TimedEngine(bundle, "quick")


def open_alike(bundle: Bundle, _threads: int | None, _batch: int) -> Engine:
    return TimedEngine(bundle, "alike")


def open_wrong(bundle: Bundle, _threads: int | None, _batch: int) -> Engine:
    return TimedEngine(bundle, "wrong")


def open_subtle(bundle: Bundle, _threads: int | None, _batch: int) -> Engine:
    """Right on the golden frames, wrong on frames with black pixels."""
    return TimedEngine(bundle, "subtle")


def kinds(*names: str) -> dict[str, EngineKind]:
    others = {name: EngineKind(f"{__name__}:open_{name}", processor_package="pytest") for name in names}
    return {"onnxruntime": EngineKind(f"{__name__}:open_reference", processor_package="numpy"), **others}


@pytest.fixture
def bundle(make_bundle: Callable[..., Path], monkeypatch: pytest.MonkeyPatch) -> Iterator[Bundle]:
    monkeypatch.delenv("EDGE_INSPECT_CACHE", raising=False)
    TimedEngine.opened, TimedEngine.broken = (), ()
    yield load_bundle(make_bundle())
    TimedEngine.broken = ()


def chosen(bundle: Bundle, *names: str) -> ProcessorChoice:
    return choice_of(bundle, 1, kinds(*names), lambda: TimedEngine.clock)


def opened(bundle: Bundle, *names: str) -> str:
    engine = open_choice(bundle, 1, 1, kinds(*names), lambda: TimedEngine.clock)
    engine.close()
    return engine.description


def test_the_choice_has_the_time_of_all_engines_that_it_measures() -> None:
    assert ENGINES["cpu"].trial_s >= sum(kind.trial_s for kind in ENGINES.values() if kind.processor_package)


def test_the_fastest_that_agrees_is_taken_with_its_reason(bundle: Bundle) -> None:
    choice = chosen(bundle, "quick", "wrong")

    assert choice.chosen == "quick"
    assert str(choice).startswith(
        "quick chosen; onnxruntime 20.00 ms a frame; quick 10.00 ms a frame; wrong: golden frame"
    )


def test_a_gain_within_noise_does_not_replace_the_reference(bundle: Bundle) -> None:
    assert chosen(bundle, "alike").chosen == "onnxruntime"


def test_an_engine_that_agrees_on_the_golden_frames_alone_is_not_taken(bundle: Bundle) -> None:
    bundle.check(TimedEngine(bundle, "subtle").infer)

    choice = chosen(bundle, "subtle")

    assert choice.chosen == "onnxruntime"
    assert "found differences" in choice.trials[1].objection


def open_coarse(bundle: Bundle, _threads: int | None, _batch: int) -> Engine:
    """Agrees within the tolerance of the bundle, with fewer bits."""
    engine = TimedEngine(bundle, "quick")
    engine.coarser = True
    return engine


def test_an_engine_of_fewer_bits_than_the_bundle_is_measured_but_not_taken(bundle: Bundle) -> None:
    choice = chosen(bundle, "coarse")
    assert choice.chosen == "onnxruntime"
    assert "coarse 10.00 ms a frame (fewer bits than the bundle's: taken only where it is named)" in str(choice)


def test_an_engine_that_is_not_installed_is_named(bundle: Bundle) -> None:
    table = kinds() | {"absent": EngineKind("edge.engines.no_such_file:open_it", processor_package="no-such-package")}

    choice = choice_of(bundle, 1, table, lambda: TimedEngine.clock)

    assert choice.chosen == "onnxruntime"
    assert "absent: engine absent: cannot be imported" in str(choice)


@pytest.mark.parametrize(("others", "said"), [((), True), (("quick",), False)])
def test_where_float32_is_faster_than_int8_the_choice_says_so(
    make_bundle: Callable[..., Path], others: tuple[str, ...], said: bool
) -> None:
    tolerance = load_bundle(make_bundle()).manifest.tolerances["fp32"]
    int8 = load_bundle(make_bundle("int8", precision="int8", tolerances={"int8": tolerance}))

    choice = choice_of(int8, 1, kinds(*others), lambda: TimedEngine.clock, f"{__name__}:open_float")

    assert choice.chosen == (others[0] if others else "onnxruntime")
    assert choice.float32_ms == pytest.approx(15)
    assert ("INT8 is slower here than float32, in which onnxruntime would take 15.00 ms" in str(choice)) == said


def test_a_float_bundle_has_no_time_in_float32_beside(bundle: Bundle) -> None:
    assert chosen(bundle, "quick").float32_ms is None


def test_an_int8_bundle_without_its_quantisers_does_not_pass_its_check() -> None:
    """So it is only measured, and never used in silence."""
    int8 = load_bundle(Path(__file__).parents[3] / "models" / "magnetic-tile-int8")
    engine = open_in_float32(int8, 1, 1)

    with pytest.raises(GoldenMismatch):
        int8.check(engine.infer)


def test_the_choice_is_kept_and_not_measured_again(bundle: Bundle) -> None:
    first = chosen(bundle, "quick")
    TimedEngine.opened = ()

    assert chosen(bundle, "quick") == first
    assert TimedEngine.opened == ()


@pytest.mark.parametrize("changed", [{"bundle_id": "0" * 64}, {"processor": "another"}, {"versions": {}}])
def test_another_bundle_processor_or_version_is_measured_again(bundle: Bundle, changed: dict[str, object]) -> None:
    chosen(bundle, "quick")
    (path,) = EngineCache.of(bundle).folder.glob("cpu-threads-1.json")
    kept = json.loads(path.read_text())
    path.write_text(json.dumps(kept | {"key": kept["key"] | changed}))
    TimedEngine.opened = ()

    assert chosen(bundle, "quick").key.bundle_id == bundle.id
    assert set(TimedEngine.opened) == {"reference", "quick"}


def test_a_damaged_choice_is_measured_again(bundle: Bundle) -> None:
    chosen(bundle, "quick")
    (path,) = EngineCache.of(bundle).folder.glob("cpu-threads-1.json")
    path.write_text("{")

    assert chosen(bundle, "quick").chosen == "quick"


@pytest.mark.parametrize(
    ("others", "named"),
    [(("quick",), "cpu"), (("quick",), "absent"), (("quick", "wrong"), "wrong"), (("quick", "coarse"), "coarse")],
)
def test_a_kept_choice_of_an_engine_that_could_not_be_chosen_is_made_again(
    bundle: Bundle, others: tuple[str, ...], named: str
) -> None:
    """Such as one that a person wrote into the file."""
    table = kinds(*others) | {"cpu": EngineKind("edge.engines.fastest:open_fastest")}
    choice_of(bundle, 1, table, lambda: TimedEngine.clock)
    (path,) = EngineCache.of(bundle).folder.glob("cpu-threads-1.json")
    path.write_text(json.dumps(json.loads(path.read_text()) | {"chosen": named}))

    assert choice_of(bundle, 1, table, lambda: TimedEngine.clock).chosen == "quick"
    assert json.loads(path.read_text())["chosen"] == "quick"


def make_folder(path: Path) -> None:
    path.mkdir()


def link_to_device(path: Path) -> None:
    path.symlink_to("/dev/zero")


@pytest.mark.parametrize("make", [make_folder, os.mkfifo, link_to_device])
def test_a_choice_that_is_no_file_is_not_read(bundle: Bundle, make: Callable[[Path], None]) -> None:
    """It is stopped by the time limit, not by the end of all memory."""
    folder = EngineCache.of(bundle).folder
    folder.mkdir()
    make(folder / "cpu-threads-1.json")

    assert EngineCache(folder).read("cpu-threads-1.json") is None
    assert chosen(bundle, "quick").chosen == "quick"


def test_a_chosen_engine_that_fails_later_gives_way_to_the_reference(
    bundle: Bundle, caplog: pytest.LogCaptureFixture
) -> None:
    assert opened(bundle, "quick") == "quick"
    TimedEngine.broken = ("quick",)

    assert opened(bundle, "quick") == "reference"
    assert "quick fails now, onnxruntime is used instead: quick is broken" in caplog.text


def test_without_the_reference_nothing_is_opened(bundle: Bundle) -> None:
    TimedEngine.broken = ("reference",)

    with pytest.raises(EngineError, match="reference is broken"):
        opened(bundle, "quick")


def test_a_reference_that_disagrees_with_the_golden_frames_stays_off_line(bundle: Bundle) -> None:
    table = kinds("quick")
    table["onnxruntime"] = EngineKind(f"{__name__}:open_wrong", processor_package="numpy")

    with pytest.raises(GoldenMismatch):
        open_choice(bundle, 1, 1, table, lambda: TimedEngine.clock)


def test_a_choice_that_cannot_be_kept_is_made_all_the_same(
    bundle: Bundle, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").write_bytes(b"")
    monkeypatch.setenv("EDGE_INSPECT_CACHE", str(tmp_path / "file"))

    assert opened(bundle, "quick") == "quick"


def test_the_processor_is_told_by_name_and_instructions(tmp_path: Path) -> None:
    described = "processor\t: {0}\nmodel name\t: Some CPU\ncpu MHz\t\t: {0}\nflags\t\t: avx2 {1}\n\nprocessor\t: 1\n"
    names = []
    for number, flags in enumerate(("fma", "fma", "fma avx512_vnni")):
        (tmp_path / "cpuinfo").write_text(described.format(number, flags))
        names.append(processor_name(tmp_path / "cpuinfo"))

    assert "Some CPU" in names[0]
    assert names[0] == names[1] != names[2]
    assert np.all(["MHz" not in name for name in names])
