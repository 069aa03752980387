"""Tiles on every engine: whole pictures in, outputs of whole pictures out."""

from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest

from bundle import FrameError
from edge.engines.engine import Engine
from edge.engines.registry import ENGINES
from edge.engines.reopening import ReopeningEngine
from edge.errors import DeviceError, EngineError
from tests.conftest import tiny_outputs
from tests.edge.engines.tensorrt_.recording_driver import RecordingDriver, open_stream
from tests.tiled import TILED, open_or_skip, picture_of, tiled_changes, write_tiled

RNG = np.random.default_rng(5)
BATCH = TILED.tiles.batch if TILED.tiles else 0


def open_recorded(driver: RecordingDriver) -> Engine:
    return open_stream(driver, batch=BATCH, **tiled_changes(TILED))


RECORDED: dict[str, Callable[[], Engine]] = {
    "tensorrt, recorded device": lambda: open_recorded(RecordingDriver()),
    "tensorrt, recorded device, reopening": lambda: ReopeningEngine(lambda: open_recorded(RecordingDriver())),
}


@pytest.fixture(params=[*ENGINES, *RECORDED])
def engine(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Engine]:
    recorded = RECORDED.get(request.param)
    opened = recorded() if recorded else open_or_skip(request.param, write_tiled(tmp_path / "tiled"))
    yield opened
    opened.close()


def test_a_picture_in_tiles_gives_what_the_whole_picture_gives(engine: Engine) -> None:
    pictures = RNG.integers(0, 256, (2, TILED.height, TILED.width), dtype=np.uint8)

    scores, masks = engine.begin(list(pictures))()

    whole = tiny_outputs(pictures[:, np.newaxis])
    assert np.allclose(scores, whole[0], atol=1 / 510)  # half a level of 255
    assert np.abs(masks.astype(int) - whole[1]).max() <= 1  # a half may fall to either side


def test_frames_and_prepared_pictures_give_the_same(engine: Engine) -> None:
    picture = RNG.integers(0, 256, (TILED.height, TILED.width), dtype=np.uint8)

    from_camera, prepared = engine.begin([picture])(), engine.infer(picture[np.newaxis, np.newaxis])

    assert all(np.array_equal(one, other) for one, other in zip(from_camera, prepared, strict=True))


def test_parts_one_after_the_other_and_as_many_at_a_time_as_the_engine_takes(engine: Engine) -> None:
    pictures = [picture_of(TILED), picture_of(TILED, (20, 30, 6, 6))] * 2
    under_way, scores = [], []
    for picture in pictures:
        if len(under_way) == engine.slots:
            scores.append(under_way.pop(0)()[0][0, 0])
        under_way.append(engine.begin([picture]))
    scores += [pending()[0][0, 0] for pending in under_way]

    assert scores == pytest.approx([128 / 255, 1, 128 / 255, 1])


def test_a_picture_of_another_size_is_refused_and_the_next_one_is_fine(engine: Engine) -> None:
    with pytest.raises(FrameError, match="found 12x16, expected 54x70"):
        engine.begin([np.zeros((16, 12), np.uint8)])

    assert engine.begin([picture_of(TILED)])()[1].shape == (1, 2, 35, 27)


def test_tiles_are_no_pictures(engine: Engine) -> None:
    with pytest.raises(EngineError, match="found input uint8"):
        engine.infer(np.zeros((BATCH, 1, 16, 12), np.uint8))


def test_the_tiles_of_a_picture_use_both_slots_of_the_device() -> None:
    driver = RecordingDriver()
    with_tiles = open_recorded(driver)
    driver.calls.clear()

    with_tiles.begin([picture_of(TILED)])()

    runs = [handle for name, handle in driver.calls if name == "enqueue"]
    tiles = len(with_tiles.manifest.tile_grid.places) if with_tiles.manifest.tile_grid else 0
    assert len(runs) == -(-tiles // BATCH)
    assert len(set(runs)) == 2
    order = [name for name, _ in driver.calls if name in ("enqueue", "synchronize")]
    assert order[:3] == ["enqueue", "enqueue", "synchronize"]
    with_tiles.close()


def test_a_device_that_fails_amid_a_picture_is_opened_again() -> None:
    drivers: list[RecordingDriver] = []

    def open_one() -> Engine:
        drivers.append(RecordingDriver())
        return open_recorded(drivers[-1])

    reopening = ReopeningEngine(open_one)
    drivers[0].fail_from("upload", 3)
    with pytest.raises(DeviceError, match="could not upload"):
        reopening.begin([picture_of(TILED)])()

    scores, _ = reopening.begin([picture_of(TILED, (8, 8, 4, 4))])()
    assert scores[0, 0] == pytest.approx(1)
    assert len(drivers) == 2
    reopening.close()
