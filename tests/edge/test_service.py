"""A station takes over another line file or bundle, or refuses it."""

import logging
import queue
import threading
from collections.abc import Callable
from pathlib import Path
from time import monotonic

import pytest

from bundle import Bundle, Threshold, load_bundle
from edge.config.line import load_line
from edge.engines.engine import Engine
from edge.engines.registry import open_engine
from edge.errors import EngineError
from edge.pipeline.inspector import Inspector
from edge.service import change_over, reload
from edge.station import Equipment, open_inspector
from firmware_bridge.messages import Fault, FaultCode
from tests.conftest import CLASSES
from tests.edge.line_doubles import NumpyEngine
from tests.edge.running_line import Run

Make = Callable[..., Path]


class Taker:
    """Stands in for a runtime: takes inspectors."""

    def __init__(self) -> None:
        self.taken: list[tuple[str, int]] = []
        self.refused: list[int] = []
        self.reloads_refused: list[str] = []
        self.changeovers: queue.SimpleQueue[int] = queue.SimpleQueue()
        self.finished = threading.Event()

    def clock(self) -> float:
        """Stand still."""
        return 0.0

    def use(self, inspector: Inspector, recipe: int = 0) -> None:
        """Note the bundle."""
        self.taken.append((inspector.bundle.id, recipe))

    def refuse_changeover(self, recipe: int, reason: str) -> None:
        """Note the recipe."""
        self.refused.append(recipe)

    def refuse_reload(self, reason: str) -> None:
        """Note the reason."""
        self.reloads_refused.append(reason)


def write_line(folder: Path, bundle: Path, more: str = "") -> Path:
    path = folder / "line.toml"
    path.write_text(f'bundle = "{bundle}"\nplc = "serial:///x"\ncamera = [{{ address = "synthetic://" }}]\n{more}')
    return path


@pytest.mark.parametrize(("recipes", "number"), [("", 0), ('[recipes]\n3 = "b"\n', 3)])
def test_a_new_bundle_is_taken_over_with_its_recipe_number(
    make_bundle: Make, tmp_path: Path, recipes: str, number: int
) -> None:
    path, runtime = write_line(tmp_path, make_bundle("a"), recipes), Taker()
    line = load_line(path)
    other = make_bundle("b", thresholds={name: Threshold(score=0.8) for name in CLASSES})
    write_line(tmp_path, other, recipes)

    line = reload(path, line, runtime)  # type: ignore[arg-type]

    assert runtime.taken == [(load_bundle(other).id, number)]
    assert line.bundle == other


@pytest.mark.parametrize(
    ("key", "value", "takes_effect"),
    [
        ("unsure_margin", 0.125, True),
        ("engine_threads", 1, True),
        ("engine_reopens", False, True),
        ("deadline_ms", 250, False),
        ("record_wait_ms", 7, False),
    ],
)
def test_a_reload_takes_the_keys_that_need_no_restart_and_names_the_others(
    make_bundle: Make,
    tmp_path: Path,
    key: str,
    value: float | bool,
    takes_effect: bool,
    caplog: pytest.LogCaptureFixture,
) -> None:
    bundle, runtime = make_bundle("a"), Taker()
    path = write_line(tmp_path, bundle)
    line = load_line(path)
    write_line(tmp_path, bundle, f"{key} = {str(value).lower()}\n")

    after = reload(path, line, runtime)  # type: ignore[arg-type]

    assert (getattr(after, key) == value) is takes_effect
    assert (f"reload: {key} changed too" in caplog.text) is not takes_effect


@pytest.mark.parametrize("damage", ["model", "line"])
def test_a_bad_reload_changes_nothing(make_bundle: Make, tmp_path: Path, damage: str) -> None:
    path, runtime = write_line(tmp_path, make_bundle("a")), Taker()
    line = load_line(path)
    other = make_bundle("b")
    (other / "model.onnx").write_bytes(b"damaged")
    write_line(tmp_path, other if damage == "model" else line.bundle, "" if damage == "model" else "shaddow = true\n")

    assert reload(path, line, runtime) == line  # type: ignore[arg-type]
    assert runtime.taken == []
    assert len(runtime.reloads_refused) == 1


def break_down(*_: object) -> Engine:
    """Fail in a way that no engine announces."""
    raise MemoryError("no room for the engine")


def test_an_unexpected_error_does_not_stop_the_line(make_bundle: Make, tmp_path: Path) -> None:
    path, runtime = write_line(tmp_path, make_bundle("a"), '[recipes]\n3 = "a"\n'), Taker()
    line, equipment = load_line(path), Equipment(open_engine=break_down)
    runtime.changeovers.put(3)

    assert reload(path, line, runtime, equipment) == line  # type: ignore[arg-type]
    assert runtime.reloads_refused == ["MemoryError: no room for the engine"]
    assert change_over(line, runtime, equipment) == line  # type: ignore[arg-type]
    assert (runtime.taken, runtime.refused) == ([], [3])


def test_an_engine_that_cannot_be_warmed_up_is_closed(make_bundle: Make, tmp_path: Path) -> None:
    bundle = load_bundle(make_bundle("a"))
    engine = NumpyEngine(bundle.manifest, fail_on=1)

    line, equipment = load_line(write_line(tmp_path, bundle.folder)), Equipment(open_engine=lambda *_: engine)

    with pytest.raises(EngineError):
        open_inspector(line, monotonic, equipment)
    assert engine.closed


def test_a_reload_keeps_to_the_cameras_that_are_open(make_bundle: Make, tmp_path: Path) -> None:
    path, runtime = write_line(tmp_path, make_bundle("a")), Taker()
    line, batches = load_line(path), []

    def open_one(name: str, bundle: Bundle, threads: int | None, batch: int, reopens: bool) -> Engine:
        batches.append(batch)
        return open_engine(name, bundle, threads, batch, reopens)

    path.write_text(path.read_text().replace("camera = [", 'camera = [{ address = "synthetic://", name = "second" }, '))
    reload(path, line, runtime, Equipment(open_engine=open_one))  # type: ignore[arg-type]

    assert batches == [1]


def test_what_needs_a_restart_is_said(make_bundle: Make, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    path, runtime = write_line(tmp_path, make_bundle("a")), Taker()
    line = load_line(path)
    write_line(tmp_path, line.bundle, "deadline_ms = 100\n")

    with caplog.at_level(logging.WARNING):
        after = reload(path, line, runtime)  # type: ignore[arg-type]

    assert after.deadline_ms == line.deadline_ms
    assert "deadline_ms changed too" in caplog.text


def test_the_plc_s_recipe_is_taken_over(make_bundle: Make, tmp_path: Path) -> None:
    other = make_bundle("b", thresholds={name: Threshold(score=0.8) for name in CLASSES})
    path, runtime = write_line(tmp_path, make_bundle("a"), '[recipes]\n3 = "b"\n'), Taker()
    runtime.changeovers.put(2)
    runtime.changeovers.put(3)

    line = change_over(load_line(path), runtime)  # type: ignore[arg-type]

    assert runtime.taken == [(load_bundle(other).id, 3)]
    assert line.bundle == other


def test_a_station_that_stops_does_not_wait_for_a_bundle_that_never_opens(make_bundle: Make, tmp_path: Path) -> None:
    path, runtime, released = write_line(tmp_path, make_bundle("a"), '[recipes]\n3 = "a"\n'), Taker(), threading.Event()
    line = load_line(path)

    def never_open(*_: object) -> Engine:
        runtime.finished.set()  # as SIGTERM does, once the opening has begun
        assert released.wait(60)
        raise EngineError("released")

    runtime.changeovers.put(3)
    try:
        assert change_over(line, runtime, Equipment(open_engine=never_open)) == line  # type: ignore[arg-type]
    finally:
        released.set()
    assert runtime.refused == [3]


@pytest.mark.parametrize("number", [4, 5])
def test_a_recipe_that_is_not_to_be_had_is_refused(make_bundle: Make, tmp_path: Path, number: int) -> None:
    path, runtime = write_line(tmp_path, make_bundle("a"), '[recipes]\n4 = "nothing-here"\n'), Taker()
    line = load_line(path)
    runtime.changeovers.put(number)

    assert change_over(line, runtime) == line  # type: ignore[arg-type]
    assert (runtime.taken, runtime.refused) == ([], [number])


def test_a_refused_reload_is_an_alarm_until_one_succeeds(run: Run, caplog: pytest.LogCaptureFixture) -> None:
    with run() as line:
        right = line.path.read_text()
        line.path.write_text(right + "shaddow = true\n")
        for _ in range(2):
            reload(line.path, line.line, line.runtime, line.equipment)
        assert caplog.text.count("reload refused, the station continues unchanged: ") == 2
        (alarm,) = line.runtime.alarms.active
        line.path.write_text(right.replace('"tiny"', '"other"'))
        reload(line.path, line.line, line.runtime, line.equipment)
        line.plc.wait_for_other(2)

        assert line.plc.others[0] == Fault(FaultCode.BUNDLE, text="reload refused")
        assert "shaddow" in alarm.text
        assert line.alarms == []


def test_a_refused_recipe_is_an_alarm_and_each_request_is_answered(run: Run) -> None:
    with run(recipes={3: "other"}) as line:
        for _ in range(2):
            line.runtime.changeovers.put(9)
            change_over(line.line, line.runtime, line.equipment)
        refused = line.alarms
        faults = [sent for sent in line.plc.others if isinstance(sent, Fault)]
        line.runtime.changeovers.put(3)
        change_over(line.line, line.runtime, line.equipment)
        line.plc.wait_for_other(5)

        assert (refused, len(faults)) == (["recipe 9 refused"], 2)
        assert line.alarms == []


def test_a_recipe_without_its_bundle_is_said_at_the_start(run: Run) -> None:
    with run(recipes={3: "other", 4: "nothing-here"}) as line:
        (alarm,) = line.runtime.alarms.active

    assert alarm.name == "recipe 4 unusable"
    assert "nothing-here" in alarm.text
