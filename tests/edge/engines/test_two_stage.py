"""Two stages on every engine: the same defects with fewer tiles, and no part passed on a first stage that fails."""

from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest

from bundle import Bundle, GoldenMismatch, Image, Manifest, load_bundle
from edge.engines.engine import Engine, Outputs
from edge.engines.registry import ENGINES, open_engine, open_stages
from edge.engines.reopening import ReopeningEngine
from edge.engines.two_stage import TwoStageEngine
from edge.errors import DeviceError, EngineError, EngineMissing
from tests.conftest import tiny_manifest, tiny_outputs
from tests.edge.engines.tensorrt_.recording_driver import RecordingDriver, open_stream
from tests.tiled import LEVEL, TILED, first_of, open_or_skip, picture_of, tiled_changes, write_staged

BATCH = TILED.tiles.batch if TILED.tiles else 0
SPOTS = [(20, 30, 6, 6), (0, 64, 6, 6), (3, 3, 6, 40)]


class TinyEngine(Engine):
    """The tiny network in numpy; counts the frames or tiles that it sees, and answers as `fault` makes of it."""

    def __init__(self, manifest: Manifest, fault: Callable[[Outputs], Outputs] = lambda outputs: outputs) -> None:
        super().__init__(manifest, "tiny")
        self.seen, self.closed, self._fault = 0, False, fault

    def _infer(self, inputs: Image) -> Outputs:
        self.seen += len(inputs)
        return self._fault(tiny_outputs(inputs))

    def close(self) -> None:
        self.closed = True


FIRST, TILES = tiny_manifest(**tiled_changes(first_of(TILED))), tiny_manifest(**tiled_changes(TILED))


def open_recorded(*drivers: RecordingDriver) -> Engine:
    """Both stages on recorded devices."""
    first, tiles = (
        open_stream(driver, batch=batch, **tiled_changes(spec))
        for driver, spec, batch in zip(drivers, (first_of(TILED), TILED), (2, BATCH), strict=True)
    )
    return TwoStageEngine(first, tiles, LEVEL)


RECORDED: dict[str, Callable[[], Engine]] = {
    "tensorrt, recorded device": lambda: open_recorded(RecordingDriver(), RecordingDriver()),
    "tensorrt, recorded device, reopening": lambda: ReopeningEngine(
        lambda: open_recorded(RecordingDriver(), RecordingDriver())
    ),
}


@pytest.fixture(params=[*ENGINES, *RECORDED])
def engine(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Engine]:
    recorded = RECORDED.get(request.param)
    opened = recorded() if recorded else open_or_skip(request.param, write_staged(tmp_path / "staged"))
    yield opened
    opened.close()


def test_what_is_marked_is_judged_as_with_all_tiles_and_the_rest_is_empty(engine: Engine) -> None:
    pictures = [picture_of(TILED), *(picture_of(TILED, spot) for spot in SPOTS)]

    scores, masks = engine.begin(pictures)()

    bright = tiny_outputs(np.stack(pictures)[:, np.newaxis])[1][:, 0] >= 200
    assert np.array_equal(masks[:, 0] >= 200, bright)
    assert scores[:, 0] == pytest.approx([128 / 255, 1, 1, 1], abs=0.005)
    assert all((one == 0).mean() > 0.5 for one in masks)


def test_frames_and_prepared_pictures_give_the_same(engine: Engine) -> None:
    pictures = np.stack([picture_of(TILED, spot) for spot in SPOTS[:2]])

    prepared = engine.infer(pictures[:, np.newaxis])

    from_camera = [engine.begin([picture])() for picture in pictures]
    assert all(np.array_equal(prepared[part], np.concatenate([one[part] for one in from_camera])) for part in (0, 1))


def test_parts_one_after_the_other_and_as_many_at_a_time_as_the_engine_takes(engine: Engine) -> None:
    pictures = [picture_of(TILED), picture_of(TILED, SPOTS[0])] * 2
    under_way, scores = [], []
    for picture in pictures:
        if len(under_way) == engine.slots:
            scores.append(under_way.pop(0)()[0][0, 0])
        under_way.append(engine.begin([picture]))
    scores += [pending()[0][0, 0] for pending in under_way]

    assert scores == pytest.approx([128 / 255, 1, 128 / 255, 1], abs=0.005)


def test_a_good_picture_costs_one_tile_and_a_defective_one_those_that_show_the_defect() -> None:
    first, tiles = TinyEngine(FIRST), TinyEngine(TILES)
    staged = TwoStageEngine(first, tiles, LEVEL)

    staged.begin([picture_of(TILED), picture_of(TILED)])()
    assert (first.seen, tiles.seen) == (2, 2)
    staged.begin([picture_of(TILED, SPOTS[0])])()
    assert (first.seen, tiles.seen) == (3, 2 + 4)  # the spot lies in the overlap of two columns, at a seam of two rows
    staged.close()


FAULTS: dict[str, Callable[[Outputs], Outputs]] = {
    "no numbers": lambda outputs: (outputs[0] * np.float32(np.nan), outputs[1]),
    "other masks": lambda outputs: (outputs[0], outputs[1][..., 1:]),
    "other scores": lambda outputs: (outputs[0][:, :1], outputs[1]),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_a_faulty_first_stage_passes_no_part(fault: str) -> None:
    staged = TwoStageEngine(TinyEngine(FIRST, FAULTS[fault]), TinyEngine(TILES), LEVEL)

    with pytest.raises(EngineError, match=r"found (scores|outputs)"):
        staged.begin([picture_of(TILED)])()
    staged.close()


@pytest.mark.parametrize("failing", [0, 1], ids=["first stage", "tiles"])
def test_either_device_that_fails_is_opened_again(failing: int) -> None:
    drivers: list[RecordingDriver] = []

    def open_both() -> Engine:
        drivers.extend((RecordingDriver(), RecordingDriver()))
        return open_recorded(*drivers[-2:])

    reopening = ReopeningEngine(open_both)
    drivers[failing].fail_from("upload", 1)
    with pytest.raises(DeviceError, match="could not upload"):
        reopening.begin([picture_of(TILED)])()

    assert reopening.begin([picture_of(TILED, SPOTS[0])])()[0][0, 0] == pytest.approx(1)
    assert len(drivers) == 4
    reopening.close()


def test_both_engines_are_closed() -> None:
    first, tiles = TinyEngine(FIRST), TinyEngine(TILES)
    TwoStageEngine(first, tiles, LEVEL).close()

    assert (first.closed, tiles.closed) == (True, True)


def test_a_first_stage_that_disagrees_with_its_golden_frames_is_not_opened(tmp_path: Path) -> None:
    opened: list[TinyEngine] = []

    def halved(outputs: Outputs) -> Outputs:
        return outputs[0] / 2, outputs[1]

    def opener(bundle: Bundle, _threads: int | None, _batch: int) -> Engine:
        manifest = bundle.manifest
        opened.append(TinyEngine(manifest) if manifest.input.tiles else TinyEngine(manifest, halved))
        return opened[-1]

    with pytest.raises(GoldenMismatch):
        open_stages(opener, load_bundle(write_staged(tmp_path / "staged")), None, 1)
    assert [one.closed for one in opened] == [True, True]


@pytest.mark.parametrize("name", ["openvino", "cpu"])
def test_nothing_is_written_into_the_bundle(tmp_path: Path, name: str) -> None:
    folder = write_staged(tmp_path / "staged")
    for _ in range(2):
        try:
            open_engine(name, load_bundle(folder), threads=1).close()
        except EngineMissing as error:
            pytest.skip(f"{name} does not run here: {error}")

    assert load_bundle(folder).first_stage is not None
    assert any((tmp_path / "staged.engines" / "first").iterdir())


def test_the_description_names_both_networks(tmp_path: Path) -> None:
    engine = open_engine("onnxruntime", load_bundle(write_staged(tmp_path / "staged")), threads=1)

    assert "; first stage tiny, onnxruntime" in engine.description
    assert engine.description.endswith(f"tiles from level {LEVEL}")
    engine.close()
