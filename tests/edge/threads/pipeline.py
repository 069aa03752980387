"""Cases of the threads of the pipeline, its cameras and engines: the station stops, or the part is FAULT."""

import os
import threading
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from time import monotonic

import numpy as np
import pytest

from bundle import Image, load_bundle
from edge.cameras.device import DeviceLost
from edge.cameras.rtsp import RtspDevice, RtspOptions
from edge.ejector.output import SimulatedOutput
from edge.engines.engine import Engine, Outputs
from edge.engines.onnxruntime_cpu import OnnxruntimeEngine
from edge.engines.probe import probe_bundle
from edge.engines.registry import EngineKind, open_engine
from edge.engines.tensorrt_.preprocess_kernel import compiled
from edge.errors import EngineError
from edge.records.rows import Statement
from firmware_bridge.events import Event
from firmware_bridge.messages import Message, Result
from tests.conftest import grey_frame
from tests.edge.cameras.doubles import HandDevice, Plug, live
from tests.edge.line_doubles import HandPlc, ListCamera, NumpyEngine
from tests.edge.running_line import Run
from tests.edge.threads.registry import PATIENCE_S, Planted, planted, wait_until


class PlantedPlc(HandPlc):
    """A link that fails at a poll or at a result."""

    def __init__(self, poll: bool = False, result: bool = False) -> None:
        super().__init__()
        self._fail_poll, self._fail_result = poll, result

    def poll(self, timeout_s: float) -> list[Event]:
        """Fail once the first part is there."""
        events = super().poll(timeout_s)
        if events and self._fail_poll:
            raise Planted("at a poll")
        return events

    def send(self, message: Message) -> None:
        """Fail at a result."""
        if isinstance(message, Result) and self._fail_result:
            raise Planted("at a result")
        super().send(message)


def stopped_by(run: Run, name: str, plc: HandPlc, **doubles: object) -> None:
    """Trigger two parts on a line whose thread of that name fails; the station stops, and passes neither."""
    with run(doubles={"plc": plc, "clock": monotonic, **doubles}) as line:
        plc.trigger(1, 2)
        wait_until(lambda: f"{name} thread" in line.alarms)

        assert line.runtime.finished.is_set()
        assert not line.runtime.alive
        assert isinstance(line.runtime.failure, Planted)
    assert line.rows(f"SELECT count(*) FROM alarms WHERE name = '{name} thread'") == [(1,)]
    if name != "report":
        assert line.rows("SELECT count(*) FROM parts WHERE verdict = 1 AND link = 'acknowledged'") == [(0,)]


@planted("line")
def poll_of_the_link(run: Run) -> None:
    stopped_by(run, "line", PlantedPlc(poll=True))


@planted("report")
def result_to_the_link(run: Run) -> None:
    stopped_by(run, "report", PlantedPlc(result=True))


class PlantedCamera(ListCamera):
    """A camera that fails outside of the work on one part."""

    @property
    def exhausted(self) -> bool:
        """Fail."""
        raise Planted("after a frame")


@planted("grab camera")
def question_after_a_frame(run: Run) -> None:
    stopped_by(run, "grab camera", HandPlc(), make_camera=lambda: PlantedCamera([grey_frame(255)]))


class PlantedEngine(NumpyEngine):
    """An engine that fails outside of the work on one part."""

    @property
    def slots(self) -> int:
        """Fail in the thread of the inference."""
        if threading.current_thread().name == "infer":
            raise Planted("between two parts")
        return 1


@planted("infer")
def slots_of_the_engine(run: Run) -> None:
    stopped_by(run, "infer", HandPlc(), engine_kind=PlantedEngine)


class PlantedOutput(SimulatedOutput):
    """An output that fails when it is to fire."""

    def _set(self, on: bool) -> None:
        if on:
            raise Planted("at a pulse")
        super()._set(on)


@planted("eject")
def pulse_of_the_output(run: Run) -> None:
    ejector = {"output": "simulated://", "delay_ms": 10, "length_ms": 10, "fail_safe": "off"}
    with run([grey_frame(255)], doubles={"output": PlantedOutput()}, ejector=ejector) as line:
        line.verdicts(1)
        line.clock.now = 0.015
        wait_until(lambda: "eject thread" in line.alarms)
        line.plc.trigger(2)
        line.plc.wait_for(2)

        assert not line.runtime.alive
        assert line.runtime.finished.is_set()
        assert line.verdicts()[1] == "FAULT"


class PlantedStatements(list[Statement]):
    """Statements that cannot even be read."""

    def __iter__(self) -> Iterator[Statement]:
        """Fail."""
        raise Planted("at a row")


class PlantedDevice(HandDevice):
    """A device that fails to close, as a driver after its camera was pulled out."""

    def close(self) -> None:
        """Fail."""
        raise Planted("at the closing")


@planted("edge/cameras/live.py:__init__")
def closing_of_a_device(run: Run, caplog: pytest.LogCaptureFixture) -> None:
    device = PlantedDevice()
    plug = Plug(device)
    with run(doubles={"make_camera": lambda: live(plug)}) as line:
        device.fail(Planted("at a frame"))
        wait_until(lambda: plug.attempts >= 3)  # the thread goes on to connect
        wait_until(lambda: "camera camera" in line.alarms)

        assert line.verdicts(1) == ["FAULT"]
    assert "lost: Planted: at a frame" in caplog.text  # the alarm may name a later attempt to connect
    assert "its driver failed to close it" in caplog.text


class PlantedCapture:
    """A stream whose decoder fails after its first frame."""

    def __init__(self, *_: object) -> None:
        self.reads, self.released = 0, False

    def read(self) -> tuple[bool, np.ndarray]:
        """Return one frame, then fail."""
        self.reads += 1
        if self.reads > 1:
            raise Planted("at a decoding")
        return True, np.zeros((12, 16, 3), np.uint8)

    def release(self) -> None:
        """Note it."""
        self.released = True


@planted("edge/cameras/rtsp.py:__init__")
def decoder_of_a_stream() -> None:
    device = RtspDevice("rtsp://", "rtsp://", RtspOptions(), PlantedCapture)

    with suppress(DeviceLost):  # the first frame may come before
        device.receive(PATIENCE_S)
    with pytest.raises(DeviceLost, match="ended by Planted: at a decoding"):
        device.receive(PATIENCE_S)
    device.close()


@planted("edge/module_process.py:__init__")
def trial_of_a_bundle(make_bundle: Callable[..., Path]) -> None:
    with pytest.raises(EngineError, match="found it ended by SIGABRT"):
        probe_bundle(
            make_bundle(), "aborts", kind=EngineKind("tests.edge.threads.pipeline:aborting_engine", trial_s=400)
        )


def aborting_engine(*_: object) -> Engine:
    """End the process that opens it."""
    os.abort()


def failing_engine(*_: object) -> Engine:
    """Fail to open."""
    raise Planted("at the opening")


@planted("edge/engines/registry.py:_within")
def opening_of_an_engine(make_bundle: Callable[..., Path]) -> None:
    kinds = {"fails": EngineKind(f"{__name__}:{failing_engine.__name__}")}

    with pytest.raises(Planted, match="at the opening"):
        open_engine("fails", load_bundle(make_bundle()), kinds=kinds)


@planted("edge/engines/processor.py:__init__")
def batch_of_the_engine(make_bundle: Callable[..., Path]) -> None:
    bundle = load_bundle(make_bundle())
    engine = PlantedSession(bundle, threads=1)
    frames = [grey_frame()]
    first, second = engine.begin(frames), engine.begin(frames)

    for pending in (first, second):
        with pytest.raises(Planted, match="at a batch"):
            pending()
    engine.close()


class PlantedSession(OnnxruntimeEngine):
    """onnxruntime with an error that is none of its own."""

    def _infer(self, inputs: Image) -> Outputs:
        raise Planted("at a batch")


@planted("edge/engines/tensorrt_/preprocess_kernel.py:compiled")
def compiler_of_the_kernel(tmp_path: Path) -> None:
    compiler = tmp_path / "nvcc"
    compiler.write_text("#!/bin/sh\nkill -SEGV $$\n")
    compiler.chmod(0o755)

    with pytest.raises(EngineError, match="cannot compile it"):
        compiled("sm_87", [str(compiler)])
