"""A running station: reload, and word to the supervisor."""

import logging
import queue
import socket
from collections.abc import Callable
from pathlib import Path

import pytest

from bundle import Threshold, load_bundle
from edge.inspector import Inspector
from edge.line import load_line
from edge.service import change_over, reload
from edge.systemd import notify
from tests.conftest import CLASSES

Make = Callable[..., Path]


class Taker:
    """Stands in for a runtime: takes inspectors."""

    def __init__(self) -> None:
        self.taken: list[tuple[str, int]] = []
        self.refused: list[int] = []
        self.changeovers: queue.SimpleQueue[int] = queue.SimpleQueue()

    def clock(self) -> float:
        """Stand still."""
        return 0.0

    def use(self, inspector: Inspector, recipe: int = 0) -> None:
        """Note the bundle."""
        self.taken.append((inspector.bundle.id, recipe))

    def refuse_changeover(self, recipe: int, reason: str) -> None:
        """Note the recipe."""
        self.refused.append(recipe)


def write_line(folder: Path, bundle: Path, more: str = "") -> Path:
    path = folder / "line.toml"
    path.write_text(f'bundle = "{bundle}"\nplc = "serial:///x"\ncamera = [{{ address = "synthetic://" }}]\n{more}')
    return path


def test_a_new_bundle_is_taken_over(make_bundle: Make, tmp_path: Path) -> None:
    path, runtime = write_line(tmp_path, make_bundle("a")), Taker()
    line = load_line(path)
    other = make_bundle("b", thresholds={name: Threshold(score=0.8) for name in CLASSES})
    write_line(tmp_path, other)

    line = reload(path, line, runtime)  # type: ignore[arg-type]

    assert runtime.taken == [(load_bundle(other).id, 0)]
    assert line.bundle == other


@pytest.mark.parametrize("damage", ["model", "line"])
def test_a_bad_reload_changes_nothing(
    make_bundle: Make, tmp_path: Path, damage: str, caplog: pytest.LogCaptureFixture
) -> None:
    path, runtime = write_line(tmp_path, make_bundle("a")), Taker()
    line = load_line(path)
    other = make_bundle("b")
    (other / "model.onnx").write_bytes(b"damaged")
    write_line(tmp_path, other if damage == "model" else line.bundle, "" if damage == "model" else "shaddow = true\n")

    assert reload(path, line, runtime) == line  # type: ignore[arg-type]
    assert runtime.taken == []
    assert "the station goes on as before" in caplog.text


def test_what_needs_a_restart_is_said(make_bundle: Make, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    path, runtime = write_line(tmp_path, make_bundle("a")), Taker()
    line = load_line(path)
    write_line(tmp_path, line.bundle, "deadline_ms = 100\n")

    with caplog.at_level(logging.WARNING):
        after = reload(path, line, runtime)  # type: ignore[arg-type]

    assert after.deadline_ms == line.deadline_ms
    assert "deadline_ms changed too" in caplog.text


def test_the_supervisor_hears_us(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as supervisor:
        supervisor.bind(str(tmp_path / "notify"))
        monkeypatch.setenv("NOTIFY_SOCKET", str(tmp_path / "notify"))
        notify("READY=1")

        assert supervisor.recv(100) == b"READY=1"


def test_without_a_supervisor_nothing_happens(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("NOTIFY_SOCKET", raising=False)

    notify("READY=1")


def test_the_plc_s_recipe_is_taken_over(make_bundle: Make, tmp_path: Path) -> None:
    other = make_bundle("b", thresholds={name: Threshold(score=0.8) for name in CLASSES})
    path, runtime = write_line(tmp_path, make_bundle("a"), '[recipes]\n3 = "b"\n'), Taker()
    runtime.changeovers.put(2)
    runtime.changeovers.put(3)

    line = change_over(load_line(path), runtime)  # type: ignore[arg-type]

    assert runtime.taken == [(load_bundle(other).id, 3)]
    assert line.bundle == other


@pytest.mark.parametrize("number", [4, 5])
def test_a_recipe_that_is_not_to_be_had_is_refused(make_bundle: Make, tmp_path: Path, number: int) -> None:
    path, runtime = write_line(tmp_path, make_bundle("a"), '[recipes]\n4 = "nothing-here"\n'), Taker()
    line = load_line(path)
    runtime.changeovers.put(number)

    assert change_over(line, runtime) == line  # type: ignore[arg-type]
    assert (runtime.taken, runtime.refused) == ([], [number])
