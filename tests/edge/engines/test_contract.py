"""One contract over every engine of the registry, and over the TensorRT engine on a recorded device.

An engine whose packages, driver or device are missing on this machine is skipped, with the reason printed.
"""

from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest

from bundle import Bundle, FrameError, Golden, GoldenMismatch, load_bundle, write_bundle
from bundle.golden import encode
from edge.engines.engine import Engine, Outputs
from edge.engines.registry import ENGINES, EngineKind, load_opener, open_engine
from edge.engines.reopening import ReopeningEngine
from edge.errors import EngineError, EngineMissing
from tests.conftest import HEIGHT, WIDTH, grey_frame, tiny_files, tiny_manifest, tiny_outputs
from tests.edge.engines.tensorrt_.recording_driver import RecordingDriver, open_stream

RNG = np.random.default_rng(3)
RECORDED: dict[str, Callable[[], Engine]] = {
    "tensorrt, recorded device": lambda: open_stream(RecordingDriver()),
    "tensorrt, recorded device, batch 3": lambda: open_stream(RecordingDriver(), batch=3),
    "tensorrt, recorded device, reopening": lambda: ReopeningEngine(lambda: open_stream(RecordingDriver())),
}


def noise(*shape: int) -> np.ndarray:
    return RNG.integers(0, 256, shape, dtype=np.uint8)


def open_here(name: str, bundle: Bundle, reopens: bool = False) -> Engine:
    """Open an engine of the registry, or skip the test with the reason."""
    try:
        return open_engine(name, bundle, threads=1, reopens=reopens)
    except EngineMissing as error:
        pytest.skip(f"does not run here: {error}")


@pytest.fixture(params=[*ENGINES, *RECORDED])
def engine(request: pytest.FixtureRequest, make_bundle: Callable[..., Path]) -> Iterator[Engine]:
    recorded = RECORDED.get(request.param)
    opened = recorded() if recorded else open_here(request.param, load_bundle(make_bundle()))
    yield opened
    opened.close()


def test_frames_of_the_camera_and_preprocessed_frames_give_the_same(engine: Engine, make_bundle) -> None:
    bundle: Bundle = load_bundle(make_bundle("other"))
    frame = noise(37, 29, 3)

    from_camera, prepared = engine.begin([frame])(), engine.infer(bundle.prepare(frame)[np.newaxis])

    assert all(np.array_equal(one, other) for one, other in zip(from_camera, prepared, strict=True))


def test_many_frames_come_back_in_their_order(engine: Engine) -> None:
    inputs = noise(7, 1, HEIGHT, WIDTH)

    scores, masks = engine.infer(inputs)

    halved = "layers in" in engine.description  # 8 bits of precision in bfloat16
    assert np.allclose(scores, tiny_outputs(inputs)[0], atol=0.01 if halved else 1e-6)
    assert np.abs(masks.astype(int) - tiny_outputs(inputs)[1]).max() <= (3 if halved else 1)  # else a rounded half


def test_outputs_belong_to_the_caller(engine: Engine) -> None:
    scores, _ = engine.begin([grey_frame()])()
    kept = scores.copy()
    for _ in range(4):
        engine.begin([noise(HEIGHT, WIDTH)])()

    assert np.array_equal(scores, kept)


def test_a_frame_may_be_overwritten_once_it_was_begun(engine: Engine) -> None:
    frame = grey_frame(spot=255)
    pending = engine.begin([frame])
    frame[:] = 0

    assert pending()[0][0, 0] == pytest.approx(1.0)


def test_what_is_no_frame_is_refused_and_the_next_one_is_fine(engine: Engine) -> None:
    with pytest.raises(FrameError, match="expected uint8"):
        engine.begin([np.zeros((4, 4), np.float32)])

    assert engine.begin([grey_frame()])()[0].shape == (1, 2)


def test_inputs_of_another_shape_are_refused(engine: Engine) -> None:
    with pytest.raises(EngineError, match="found input uint8"):
        engine.infer(np.zeros((1, 1, HEIGHT, WIDTH + 1), np.uint8))


def test_a_closed_engine_can_be_closed_again(engine: Engine) -> None:
    engine.begin([grey_frame()])()
    engine.close()
    engine.close()


@pytest.mark.parametrize("name", ENGINES)
def test_the_registry_names_a_function_that_exists(name: str) -> None:
    assert callable(load_opener(name, ENGINES[name]))


@pytest.mark.parametrize("name", ENGINES)
def test_an_engine_that_disagrees_with_the_golden_frames_is_not_opened(name: str, tmp_path: Path) -> None:
    frames = (grey_frame(), grey_frame(spot=255))
    scores, masks = tiny_outputs(np.stack(frames)[:, np.newaxis])
    others = encode(Golden(frames, 1 - scores, masks))
    write_bundle(tmp_path / "tiny", tiny_manifest(), tiny_files() | others)
    bundle = load_bundle(tmp_path / "tiny")

    with pytest.raises((EngineError, GoldenMismatch), match="golden") as caught:
        open_here(name, bundle).close()

    assert "expected" in str(caught.value)


def test_an_engine_without_its_packages_says_what_to_install(make_bundle: Callable[..., Path]) -> None:
    bundle = load_bundle(make_bundle())
    kinds = {"toy": EngineKind("edge.engines.no_such_file:open_toy")}
    with pytest.raises(EngineMissing, match=r"engine toy: cannot be imported .*install"):
        open_engine("toy", bundle, kinds=kinds)


def test_a_new_engine_is_a_line_in_the_table(make_bundle: Callable[..., Path]) -> None:
    bundle = load_bundle(make_bundle())
    kinds = {"toy": EngineKind(f"{__name__}:open_toy", reopens=True)}
    once, again = open_engine("toy", bundle, kinds=kinds), open_engine("toy", bundle, reopens=True, kinds=kinds)

    assert once.description == "toy"
    assert isinstance(again, ReopeningEngine)


def test_a_reopening_engine_has_the_slots_of_its_engine() -> None:
    opened = ReopeningEngine(lambda: open_stream(RecordingDriver()))

    assert opened.slots == open_stream(RecordingDriver()).slots == 2
    opened.close()


def test_an_engine_without_a_device_is_not_reopened(make_bundle) -> None:
    kinds = {"toy": EngineKind(f"{__name__}:open_toy")}

    opened = open_engine("toy", load_bundle(make_bundle()), reopens=True, kinds=kinds)

    assert not isinstance(opened, ReopeningEngine)
    opened.close()


def test_an_engine_with_wrong_outputs_is_closed_again(make_bundle: Callable[..., Path]) -> None:
    bundle = load_bundle(make_bundle())
    kinds = {"toy": EngineKind(f"{__name__}:open_wrong_toy")}
    with pytest.raises(GoldenMismatch):
        open_engine("toy", bundle, kinds=kinds)

    assert WrongToy.closed == 1


class ToyEngine(Engine):
    """The tiny network in numpy."""

    def _infer(self, inputs: np.ndarray) -> Outputs:
        return tiny_outputs(inputs)


class WrongToy(ToyEngine):
    """Answers with inverted scores."""

    closed = 0

    def _infer(self, inputs: np.ndarray) -> Outputs:
        scores, masks = super()._infer(inputs)
        return 1 - scores, masks

    def close(self) -> None:
        type(self).closed += 1


class RoundingToy(ToyEngine):
    """Its sigmoid is one bit above 1, as onnxruntime's can be."""

    def _infer(self, inputs: np.ndarray) -> Outputs:
        scores, masks = super()._infer(inputs)
        return np.full_like(scores, np.nextafter(np.float32(1), np.float32(2))), masks


def test_no_score_is_above_1(make_bundle: Callable[..., Path]) -> None:
    manifest = load_bundle(make_bundle()).manifest
    inputs = np.zeros((2, manifest.input.channels, manifest.input.height, manifest.input.width), np.uint8)
    scores, _ = RoundingToy(manifest, "rounding toy").infer(inputs)
    assert scores.dtype == np.float32
    assert scores.min() == scores.max() == 1


def open_toy(bundle: Bundle, _threads: int | None, _batch: int) -> ToyEngine:
    return ToyEngine(bundle.manifest, "toy")


def open_wrong_toy(bundle: Bundle, _threads: int | None, _batch: int) -> WrongToy:
    return WrongToy(bundle.manifest, "wrong toy")


@pytest.mark.parametrize("name", ENGINES)
def test_an_engine_that_does_not_run_here_says_which_it_is(name: str, make_bundle: Callable[..., Path]) -> None:
    problem = None
    try:
        open_engine(name, load_bundle(make_bundle()), threads=1).close()
    except EngineMissing as error:
        problem = str(error)
    assert problem is None or problem.startswith(f"engine {name}: ")
