"""Steps whose cost is measured against the size of what they work on."""

import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, closing, contextmanager, redirect_stderr, redirect_stdout
from dataclasses import dataclass
from functools import partial
from io import StringIO
from pathlib import Path

import numpy as np
import onnx

from bundle import Bundle, Golden, MaskSize, Threshold, Tiling, encode_png, load_bundle, write_bundle
from bundle.decide import Geometry, decide
from bundle.folder import MODEL
from bundle.golden import encode
from tools import record_database

ROOT = Path(__file__).resolve().parents[2]
DEMO, TILES = ROOT / "models" / "demo-tiles", ROOT / "models" / "magnetic-tile"
Work = Callable[[], object]
Prepared = Callable[[int, Path, Path], AbstractContextManager[Work]]
"""Called with the size, a folder that is kept and one that is not; gives the work to be measured."""
STATION_S = 8.0
"""Seconds over which a running station is measured."""
TILE_PX, OVERLAP_PX = 256, 64
PATIENCE_S = 60.0
BYSTANDERS: set[int] = set()
"""Processes that a step has started and whose cost is not counted."""


@dataclass(frozen=True)
class Step:
    """One step with the sizes at which it is measured."""

    unit: str
    sizes: tuple[int, ...]
    prepared: Prepared
    repeats: bool = False
    """Whether the step can be run again, as a quick one is."""


@contextmanager
def camera_frame(size: int, kept: Path, own: Path) -> Iterator[Work]:
    """A grey frame of `size` thousand pixels to its verdict; the network's input stays the same."""
    yield _verdict(load_bundle(DEMO), side_px=round((1000 * size) ** 0.5))


@contextmanager
def network_input(size: int, kept: Path, own: Path) -> Iterator[Work]:
    """A frame to its verdict in a network whose input has `size` thousand pixels."""
    yield _verdict(_at_input(size, own), side_px=round((1000 * size) ** 0.5))


@contextmanager
def tiles(size: int, kept: Path, own: Path) -> Iterator[Work]:
    """A picture of `size` tiles in a square to its verdict."""
    across = round(size**0.5)
    side = TILE_PX + (across - 1) * (TILE_PX - OVERLAP_PX)
    small = _at_input(TILE_PX**2 // 1000, own, side_px=TILE_PX)
    spec = small.manifest.input.model_copy(
        update={"height": side, "width": side, "tiles": Tiling(height=TILE_PX, width=TILE_PX, overlap=OVERLAP_PX)}
    )
    cells = side * small.manifest.masks.height // TILE_PX
    changes = {"name": "tiled", "format": 2, "input": spec, "masks": MaskSize(height=cells, width=cells)}
    manifest = small.manifest.model_copy(update=changes)
    frames, shape = (np.zeros((side, side), np.uint8),) * 2, (2, len(manifest.classes))
    unchecked = Golden(frames, np.zeros(shape, np.float32), np.zeros((*shape, cells, cells), np.uint8))
    write_bundle(own / "tiled", manifest, {MODEL: small.read_model()} | encode(unchecked))
    yield _verdict(load_bundle(own / "tiled"), side_px=side)


@contextmanager
def classes(size: int, kept: Path, own: Path) -> Iterator[Work]:
    """A frame to its verdict in a network with `size` classes."""
    import torch

    from export.bundles.assemble import open_draft
    from export.graph.signature import check_graph
    from tools.bench_networks import untrained

    torch.set_num_threads(1)
    names, first = tuple(f"class {number}" for number in range(size)), load_bundle(TILES)
    graph = untrained("CAN 32, pooling 4", first.manifest.input, names).to_onnx()
    changes = {
        "classes": names,
        "thresholds": dict.fromkeys(names, Threshold()),
        "masks": check_graph(graph, first.manifest.input, names),
    }
    manifest = first.manifest.model_copy(update=changes)
    engine = open_draft(graph.SerializeToString(), manifest, threads=1)
    frame = first.prepare(first.golden.frames[0])[np.newaxis]
    geometry = Geometry.of(manifest.input, *frame.shape[2:])

    def judge() -> None:
        scores, masks = engine.infer(frame)
        decide(scores[0], masks[0], manifest.thresholds, geometry)

    yield judge


@contextmanager
def defects(size: int, kept: Path, own: Path) -> Iterator[Work]:
    """The decision on a mask with `size` blobs."""
    side = 2 * int(np.ceil(size**0.5))
    mask = np.zeros((side, side), np.uint8)
    mask[::2, ::2].flat[:size] = 255
    scores, thresholds = np.ones(1, np.float32), {"blob": Threshold(min_area_px=1)}
    yield lambda: decide(scores, mask[np.newaxis], thresholds, Geometry(side, side, 0, 0, side, side))


@contextmanager
def cameras(size: int, kept: Path, own: Path) -> Iterator[Work]:
    """A station with `size` cameras, at two parts a second."""
    with _station(own, rate_hz=2, cameras=size) as (run, _):
        yield run


@contextmanager
def rate(size: int, kept: Path, own: Path) -> Iterator[Work]:
    """A station at `size` parts a second."""
    with _station(own, rate_hz=size) as (run, _):
        yield run


@contextmanager
def readers(size: int, kept: Path, own: Path) -> Iterator[Work]:
    """A station whose page `size` browsers hold open, at five parts a second."""
    with _station(own, rate_hz=5, page=True) as (run, port):
        command = [sys.executable, str(ROOT / "tools" / "stress-page"), "--watch", str(port), "--readers", str(size)]
        browsers = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
        BYSTANDERS.add(browsers.pid)
        try:
            assert browsers.stdout is not None
            browsers.stdout.readline()  # every browser has had its first answer
            yield run
        finally:
            browsers.communicate()


def records(name: str) -> Prepared:
    """A reader of records with `size` thousand parts."""

    @contextmanager
    def prepared(size: int, kept: Path, own: Path) -> Iterator[Work]:
        parts = 1000 * size
        path = record_database.drawn_database(kept / "records", parts, record_database.NEWEST)
        source = compile(record_database.STEPS[name], name, "exec")
        scope = {"path": path, "now": record_database.last_moment(parts)}
        for line in record_database.STEPS[name].splitlines():
            if line.startswith(("from", "import")):
                exec(line.partition(";")[0], {})  # imports are no part of the growth
        yield partial(_quietly, partial(exec, source, scope))

    return prepared


def training(*options: str) -> Prepared:
    """A training run on `size` drawn tiles."""

    @contextmanager
    def prepared(size: int, kept: Path, own: Path) -> Iterator[Work]:
        from tests.torchvision_operators import declare_torchvision_operators
        from train.cli.main import main

        declare_torchvision_operators()
        where = ("--data", str(_data(size, kept)), "--out", str(own / "run"))
        yield _command(main, "train", *where, "--device", "cpu", "--threads", "1", *options)

    return prepared


@contextmanager
def check(size: int, kept: Path, own: Path) -> Iterator[Work]:
    """`train check` of `size` drawn tiles."""
    from train.cli.main import main

    yield _command(main, "train", "check", str(_data(size, kept)))


@contextmanager
def near_duplicates(size: int, kept: Path, own: Path) -> Iterator[Work]:
    """The search for nearly equal pictures among `size`, a part of `train check`."""
    from train.data.duplicates import DETAIL_PX, near_duplicates

    random = np.random.default_rng(0)
    details = [random.normal(0, 8, (DETAIL_PX, DETAIL_PX)).astype(np.float32) for _ in range(size)]
    yield lambda: list(near_duplicates(details))


STEPS = {
    "frame of the camera": Step("thousand pixels", (300, 1200, 4800, 19200), camera_frame, repeats=True),
    "input of the network": Step("thousand pixels", (75, 300, 1200, 4800), network_input, repeats=True),
    "picture in tiles": Step("tiles", (4, 16, 64, 256), tiles, repeats=True),
    "classes": Step("classes", (1, 4, 16, 64), classes, repeats=True),
    "blobs of a mask": Step("blobs", (100, 1000, 10_000, 100_000), defects, repeats=True),
    "cameras": Step("cameras", (1, 2, 4, 8), cameras),
    "parts a second": Step("parts/s", (2, 4, 8, 16), rate),
    "readers of the page": Step("readers", (5, 10, 20, 40), readers),
    "start of the records": Step("thousand rows", (100, 300, 1000), records("open")),
    "shift report": Step("thousand rows", (100, 300, 1000), records("report")),
    "export of all parts": Step("thousand rows", (100, 300, 1000), records("export parts")),
    "page, part by id": Step("thousand rows", (100, 300, 1000), records("page part id")),
    "page, its start": Step("thousand rows", (100, 300, 1000), records("page start")),
    "review queue": Step("thousand rows", (100, 300, 1000), records("review queue")),
    "training, one epoch": Step(
        "pictures", (50, 100, 200), training("--recipe", "demo-tiles", "--epochs", "1", "--set", "run.batch=8")
    ),
    "training, good-only": Step("pictures", (50, 100, 200), training("--recipe", "good-only")),
    "check of a data set": Step("pictures", (100, 200, 400, 800), check),
    "check, near duplicates": Step("pictures", (500, 1000, 2000, 4000), near_duplicates),
}
"""By name, in the order of the report."""


def _at_input(size: int, own: Path, side_px: int | None = None) -> Bundle:
    """Bundle of the demo's network for a square of `size` thousand pixels."""
    from export.benchmark.acceptance_network import Setting, bundle_of, resized

    source = load_bundle(DEMO)
    side = side_px or 8 * round((1000 * size) ** 0.5 / 8)
    graph = resized(onnx.load(source.model), Setting(height=side, width=side, pooling=4))
    return bundle_of(source, graph, "fp32", own / f"input-{side}")


def _verdict(bundle: Bundle, side_px: int) -> Work:
    """One square frame to its verdict on onnxruntime, one thread."""
    from edge.engines.onnxruntime_cpu import OnnxruntimeEngine

    engine = OnnxruntimeEngine(bundle, 1)
    frame = np.random.default_rng(0).integers(100, 160, (side_px, side_px), dtype=np.uint8)
    geometry = Geometry.of(bundle.manifest.input, side_px, side_px)

    def judge() -> None:
        scores, masks = engine.begin([frame])()
        decide(scores[0], masks[0], bundle.manifest.thresholds, geometry)

    return judge


@contextmanager
def _station(own: Path, rate_hz: float, cameras: int = 1, page: bool = False) -> Iterator[tuple[Work, int]]:
    """A running station with a simulated PLC; gives the work of letting it run, and the port of its page."""
    from edge.config.line import Line
    from edge.config.page import PageSettings
    from edge.config.schema import CameraSettings
    from edge.station import open_station
    from firmware_bridge.simulator.plc import PlcSimulator

    (own / "pictures").mkdir()
    for number, frame in enumerate(load_bundle(DEMO).golden.frames):
        (own / "pictures" / f"{number}.png").write_bytes(encode_png(frame))
    with closing(socket.create_server(("127.0.0.1", 0))) as probe:
        port = probe.getsockname()[1]
    seen = tuple(CameraSettings(name=f"camera-{n}", address=f"file://{own}/pictures?loop=1") for n in range(cameras))
    with ExitStack() as stack:
        plc = stack.enter_context(PlcSimulator(10**6, rate_hz=rate_hz, max_open=4, deadline_s=PATIENCE_S))
        line = Line(
            bundle=DEMO, camera=seen, plc=plc.address, records=own / "records.sqlite", engine_threads=1,
            deadline_ms=20_000, grab_timeout_ms=20_000, page=PageSettings(listen=f"127.0.0.1:{port}") if page else None,
        )  # fmt: skip
        stack.enter_context(open_station(line))
        started = time.monotonic()
        while not plc.report().parts:
            if time.monotonic() > started + PATIENCE_S:
                raise RuntimeError(f"found no part after {PATIENCE_S:g} s, expected some")
            time.sleep(0.1)

        def run() -> None:
            before = plc.report().parts
            time.sleep(STATION_S)
            inspected, expected = plc.report().parts - before, rate_hz * STATION_S
            if inspected < 0.8 * expected:
                raise RuntimeError(f"found {inspected} parts, expected {expected:g}: this machine is too slow or busy")

        yield run, port


def _data(size: int, kept: Path) -> Path:
    """Folder of `size` drawn tiles."""
    folder = kept / f"tiles-{size}"
    if not folder.exists():
        command = [sys.executable, str(ROOT / "tools" / "draw-tiles"), "--parts", str(size), "--out", str(folder)]
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    return folder


def _quietly(work: Callable[[], object]) -> None:
    """Run a command in this process. Raises RuntimeError if it fails with another status than that of findings."""
    printed = StringIO()
    try:
        with redirect_stdout(printed), redirect_stderr(printed):
            work()
    except SystemExit as error:
        if error.code not in (None, 0, 1):
            raise RuntimeError(printed.getvalue()[-300:]) from None


def _command(main: Callable[[], None], *words: str) -> Work:
    """Work of a command's `main` with these words."""

    def run() -> None:
        sys.argv = list(words)
        main()

    return partial(_quietly, run)
