"""The order of calls on the device, and what becomes of each failure."""

import logging

import numpy as np
import pytest

from bundle import Crop, FrameError, InputSpec
from edge.engines.reopening import ReopeningEngine
from edge.engines.tensorrt_.engine import StreamEngine
from edge.errors import CaptureRefused, DeviceError, EngineError
from tests.conftest import HEIGHT, WIDTH, grey_frame, tiny_outputs
from tests.edge.engines.tensorrt_.recording_driver import RecordingDriver, open_stream

RNG = np.random.default_rng(3)


def noise(*shape: int) -> np.ndarray:
    return RNG.integers(0, 256, shape, dtype=np.uint8)


def test_one_frame_is_one_upload_one_kernel_two_downloads_and_one_wait() -> None:
    driver = RecordingDriver()
    engine = open_stream(driver)
    made = len(driver.calls)

    engine.begin([grey_frame()])()

    assert driver.names()[made:] == [
        *("current", "upload", "launch", "enqueue", "record", "download", "download", "record"),
        *("current", "synchronize"),
    ]
    engine.close()


def test_memory_is_allocated_once() -> None:
    driver = RecordingDriver()
    engine = open_stream(driver)
    engine.begin([noise(90, 70, 3)])()
    made = len(driver.calls)
    for _ in range(6):
        engine.begin([noise(90, 70, 3)])()
        engine.begin([noise(40, 30)])()

    late = set(driver.names()[made:])

    # the second slot meets the large frame for the first time
    assert driver.names()[made:].count("allocate") <= 1
    assert late <= {
        *("current", "upload", "launch", "wait_for", "enqueue", "record", "download", "synchronize"),
        *("allocate", "allocate_pinned", "free", "free_pinned"),
    }
    engine.close()


def test_the_copies_of_a_frame_overlap_its_neighbour() -> None:
    driver = RecordingDriver()
    engine = open_stream(driver)
    made = len(driver.calls)
    first, second = engine.begin([grey_frame(spot=255)]), engine.begin([grey_frame(spot=0)])
    answers = first()[0], second()[0]

    work = [call for call in driver.calls[made:] if call[0] in ("upload", "wait_for", "enqueue", "synchronize")]

    # both are uploaded before a caller waits; the second network starts after the first
    assert work == [
        *(("upload", 1), ("enqueue", 1), ("upload", 2), ("wait_for", 2), ("enqueue", 2)),
        *(("synchronize", 1), ("synchronize", 2)),
    ]
    assert [answer[0].round(2).tolist() for answer in answers] == [[1.0, 0.5], [0.5, 1.0]]
    engine.close()


def test_the_second_may_be_waited_for_first() -> None:
    engine = open_stream(RecordingDriver())
    frames = [noise(HEIGHT, WIDTH) for _ in range(2)]
    first, second = (engine.begin([frame]) for frame in frames)

    answers = [second(), first()]

    for frame, (scores, _) in zip(reversed(frames), answers, strict=True):
        assert np.allclose(scores, tiny_outputs(frame[np.newaxis, np.newaxis])[0])
    engine.close()


def test_more_than_the_slots_is_our_fault() -> None:
    engine = open_stream(RecordingDriver())
    under_way = [engine.begin([grey_frame()]) for _ in range(2)]

    with pytest.raises(EngineError, match="2 batches under way"):
        engine.begin([grey_frame()])

    assert [pending()[0].shape for pending in under_way] == [(1, 2)] * 2
    engine.close()


def test_several_cameras_go_as_one_batch_with_one_upload() -> None:
    driver = RecordingDriver()
    engine = open_stream(driver, batch=3)
    frames = [noise(40, 30), noise(HEIGHT, WIDTH, 3), noise(99, 13)]
    made = len(driver.calls)

    scores, _ = engine.begin(frames)()

    calls = driver.names()[made:]
    assert [calls.count(name) for name in ("upload", "launch", "enqueue", "synchronize")] == [1, 3, 1, 1]
    alone = [open_stream(RecordingDriver()).begin([frame])()[0][0] for frame in frames]
    assert np.array_equal(scores, np.stack(alone))
    engine.close()


def test_more_cameras_than_the_batch_are_refused() -> None:
    engine = open_stream(RecordingDriver(), batch=2)

    with pytest.raises(EngineError, match="found 3 frames at a time, expected 1 to 2"):
        engine.begin([grey_frame()] * 3)
    engine.close()


def test_a_camera_s_bgr_is_uploaded_as_it_lies() -> None:
    driver = RecordingDriver()
    engine = open_stream(driver)
    rgb = noise(40, 30, 3)
    bgr_camera = np.ascontiguousarray(rgb[..., ::-1])[..., ::-1]  # RGB to look at, BGR in memory

    one, other = engine.begin([bgr_camera])(), engine.begin([rgb])()

    assert np.array_equal(one[1], other[1])
    engine.close()


def test_only_the_crop_is_uploaded() -> None:
    driver = RecordingDriver()
    crop = Crop(x=10, y=20, width=24, height=32)
    engine = open_stream(driver, input=InputSpec(height=HEIGHT, width=WIDTH, channels=1, crop=crop))
    frame = noise(60, 50)

    answer = engine.begin([frame])()

    assert max(size for name, size in driver.calls if name == "allocate_pinned") == 24 * 32
    assert np.array_equal(answer[1], engine.begin([frame.copy()])()[1])
    with pytest.raises(FrameError, match="found 30x60, expected at least 34x52"):
        engine.begin([noise(60, 30)])
    engine.close()


def test_everything_is_freed() -> None:
    driver = RecordingDriver()
    engine = open_stream(driver)
    engine.begin([noise(90, 70)])
    engine.close()

    assert not driver.memory
    assert not driver.pinned
    assert driver.closed


CALLS = ("upload", "launch", "wait_for", "record", "download", "synchronize", "allocate", "allocate_pinned")


@pytest.mark.parametrize("call", CALLS)
def test_a_call_that_fails_is_an_engine_error_and_the_engine_stays_down(call: str) -> None:
    driver = RecordingDriver()
    engine = open_stream(driver)
    driver.fail_from(call)

    with pytest.raises(DeviceError, match=f"could not {call}"):  # noqa: PT012, whichever of the two sees it
        for _ in range(2):
            engine.begin([noise(90, 70)])()

    with pytest.raises(DeviceError, match=f"down since: .*could not {call}"):
        engine.begin([grey_frame()])
    engine.close()
    assert driver.closed
    assert not driver.memory
    assert not driver.pinned


OPENING = [("load_kernel", 1)] + [
    (call, time) for call in ("make_stream", "make_event", "allocate", "allocate_pinned") for time in (1, 2, 4)
]


@pytest.mark.parametrize(("call", "time"), OPENING)
def test_an_engine_that_cannot_be_opened_leaves_nothing_behind(call: str, time: int) -> None:
    driver = RecordingDriver()
    driver.fail_from(call, time if call != "make_stream" else min(time, 2))

    with pytest.raises(DeviceError, match=f"could not {call}"):
        open_stream(driver)

    assert driver.closed
    assert not driver.memory
    assert not driver.pinned


def test_an_engine_opens_again_where_that_is_wanted(caplog: pytest.LogCaptureFixture) -> None:
    drivers = [RecordingDriver(), RecordingDriver()]
    to_open = iter(drivers)
    engine = ReopeningEngine(lambda: open_stream(next(to_open)))
    drivers[0].fail_from("upload")
    with caplog.at_level(logging.WARNING), pytest.raises(DeviceError, match="could not upload"):
        engine.begin([grey_frame()])

    answer = engine.begin([grey_frame()])()

    assert answer[0].shape == (1, 2)
    assert [driver.closed for driver in drivers] == [True, False]
    assert "reopened" in caplog.text
    engine.close()
    assert drivers[1].closed


# the network as a CUDA graph


def captured_stream(driver: RecordingDriver, batch: int = 1) -> StreamEngine:
    engine = open_stream(driver, batch)
    engine.capture()
    return engine


def test_a_capture_runs_the_network_once_before_and_takes_nothing_else_in() -> None:
    driver = RecordingDriver()
    engine = open_stream(driver)
    made = len(driver.calls)

    engine.capture()

    run = ["upload", "enqueue", "record", "download", "download", "record", "synchronize"]
    one = [*run, "capture", "enqueue"]
    assert driver.names()[made:] == ["current", *one, *one]
    assert [len(graph) for graph in driver.graphs.values()] == [1, 1]
    engine.close()


def test_a_second_capture_takes_the_place_of_the_first() -> None:
    driver = RecordingDriver()
    engine = captured_stream(driver)
    first = set(driver.graphs)

    engine.capture()

    assert len(driver.graphs) == 2
    assert not first & set(driver.graphs)
    engine.close()


def test_a_graph_takes_the_place_of_the_network_s_launches_alone() -> None:
    driver = RecordingDriver()
    engine = captured_stream(driver)
    engine.begin([grey_frame()])()
    made = len(driver.calls)

    engine.begin([grey_frame()])()

    assert driver.names()[made:] == [
        *("current", "upload", "launch", "wait_for", "launch_graph", "record", "download", "download", "record"),
        *("current", "synchronize"),
    ]
    engine.close()


def test_frames_of_any_size_go_through_the_same_graph() -> None:
    driver = RecordingDriver()
    engine = captured_stream(driver, batch=2)
    frames = [[noise(HEIGHT, WIDTH)], [noise(90, 70, 3), noise(40, 30)], [noise(200, 100)], [grey_frame()]]

    answers = [engine.begin(several)()[0] for several in frames]

    plain = open_stream(RecordingDriver(), batch=2)
    assert all(
        np.array_equal(answer, plain.begin(several)()[0]) for answer, several in zip(answers, frames, strict=True)
    )
    assert driver.names().count("capture") == 2  # once for each slot
    engine.close()


def test_released_it_launches_kernel_by_kernel_again() -> None:
    driver = RecordingDriver()
    engine = captured_stream(driver)
    engine.release()
    made = len(driver.calls)

    answer = engine.begin([grey_frame(spot=255)])()

    assert not driver.graphs
    assert "launch_graph" not in driver.names()[made:]
    assert answer[0][0, 0] == pytest.approx(1.0)
    engine.close()


def test_a_capture_that_is_refused_leaves_the_engine_as_it_was() -> None:
    driver = RecordingDriver()
    engine = captured_stream(driver)
    driver.refuses_capture = True

    with pytest.raises(CaptureRefused, match="no capture"):
        engine.capture()

    assert not driver.graphs
    assert engine.begin([grey_frame(spot=255)])()[0][0, 0] == pytest.approx(1.0)
    engine.close()


def test_graphs_are_freed_with_the_engine() -> None:
    driver = RecordingDriver()
    engine = captured_stream(driver)
    engine.begin([grey_frame()])
    engine.close()

    names = driver.names()
    before = [names[place - 1] for place, name in enumerate(names) if name == "free_graph"]
    assert before == ["synchronize", "synchronize"]  # a slot's launches are done before its graph goes
    assert not driver.graphs
    assert driver.closed


def test_a_graph_that_cannot_be_launched_is_an_engine_error_and_the_engine_stays_down() -> None:
    driver = RecordingDriver()
    engine = captured_stream(driver)
    driver.fail_from("launch_graph")

    with pytest.raises(DeviceError, match="could not launch_graph"):
        engine.begin([grey_frame()])

    with pytest.raises(DeviceError, match="down since"):
        engine.begin([grey_frame()])
    engine.close()
    assert not driver.graphs
    assert not driver.memory


def test_nothing_is_captured_while_a_batch_is_under_way() -> None:
    engine = open_stream(RecordingDriver())
    pending = engine.begin([grey_frame()])

    with pytest.raises(EngineError, match="found batches under way"):
        engine.capture()

    pending()
    engine.close()
