"""A runtime on doubles for the tests of the pipeline."""

import sqlite3
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing
from pathlib import Path
from time import monotonic

import pytest

from bundle import load_bundle
from edge.cameras.camera import Camera
from edge.engines.engine import Engine
from edge.engines.registry import open_engine
from edge.pipeline.inspector import Inspector
from edge.pipeline.runtime import Runtime
from edge.records.writer import Records
from firmware_bridge.messages import Result
from tests.conftest import grey_frame
from tests.edge.line_doubles import HandPlc, make_line

GOOD, BRIGHT, DARK = grey_frame(), grey_frame(spot=255), grey_frame(spot=0)

Run = Callable[..., Runtime]


@pytest.fixture
def station(make_bundle: Callable[..., Path], tmp_path: Path) -> Iterator[Run]:
    """Start runtimes that stop when the test ends."""
    bundle = load_bundle(make_bundle())
    with ExitStack() as stack:

        def start(
            plc: HandPlc, *cameras: Camera, top: Camera | None = None, engine: Engine | None = None, **keys: object
        ) -> Runtime:
            """top: the camera, where its table is among the keys."""
            records = Records(tmp_path / "records.sqlite")
            stack.callback(records.close)
            inspector = Inspector(bundle, engine or open_engine("onnxruntime", bundle, threads=1), monotonic)
            numbered = {f"camera{number}": camera for number, camera in enumerate(cameras)}
            named = numbered if top is None else {"top": top}
            tables = [{"address": "list", "name": name} for name in named]
            patient = {"deadline_ms": 10_000, "grab_timeout_ms": 5000, "record_wait_ms": 1000, "camera": tables}
            runtime = Runtime(inspector, named, records, plc, make_line(**patient | keys), monotonic)
            stack.callback(runtime.close_inspector)
            stack.callback(runtime.stop)
            runtime.start()
            return runtime

        yield start


def rows(tmp_path: Path, query: str) -> list[tuple[object, ...]]:
    with closing(sqlite3.connect(tmp_path / "records.sqlite")) as connection:
        return connection.execute(query).fetchall()


def manifest_of(tmp_path: Path):  # type: ignore[no-untyped-def]
    return load_bundle(tmp_path / "tiny").manifest


def verdicts(results: list[Result]) -> list[str]:
    return [result.verdict.name for result in results]
