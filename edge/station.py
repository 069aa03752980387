"""One line put together: everything that `line.toml` names, opened, checked, logged, and closed again."""

import logging
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from importlib.metadata import version
from time import monotonic

from bundle import Bundle, Manifest, load_bundle
from edge.camera import Camera, Clock, open_camera
from edge.cameras.address import shown
from edge.drift import Drift
from edge.engine import open_engine
from edge.ignore import load_ignore
from edge.inspector import Inspector, Sight
from edge.line import CameraSettings, Line
from edge.part import Part
from edge.pictures import Pictures
from edge.records import Records
from edge.runtime import Rules, Runtime
from firmware_bridge.link import Link, open_link
from firmware_bridge.messages import Hello

log = logging.getLogger(__name__)


@contextmanager
def open_station(line: Line, *watchers: Callable[[Part], None], clock: Clock = monotonic) -> Iterator[Runtime]:
    """Open a line and run it until the `with` block ends; then every open part gets its verdict.

    The order is that of trust: the bundle with its golden frames first, the PLC last, so that no trigger is taken
    before its part can be judged. The watchers are shown every part once its result is sent.
    Raises BundleError, StationError or LinkError with nothing left open.
    """
    with ExitStack() as opened:
        inspector = open_inspector(line, clock)
        records = Records(line.records)
        opened.callback(_close_records, records)
        cameras: dict[str, Camera] = {}
        for settings in line.camera:
            cameras[settings.name] = open_camera(settings.address, clock)
            opened.callback(cameras[settings.name].close)
        link = open_link(line.plc, introduction(inspector.bundle), clock)
        opened.callback(link.close)
        _log_choices(line, inspector)
        runtime = assemble(line, inspector, cameras, records, link, clock)
        opened.callback(runtime.close_inspector)
        for watcher in (*watchers, *_own_watchers(line, runtime, records, opened)):
            runtime.watch(watcher)
        runtime.start()
        try:
            yield runtime
        finally:
            runtime.stop()


def _own_watchers(
    line: Line, runtime: Runtime, records: Records, opened: ExitStack
) -> Iterator[Callable[[Part], None]]:
    def manifest() -> Manifest:
        return runtime.bundle.manifest

    yield Drift(line.drift, line.records, manifest).add
    if line.pictures is not None:
        pictures = Pictures(line.pictures, records, manifest)
        opened.callback(pictures.close)
        yield pictures.offer


def open_inspector(line: Line, clock: Clock) -> Inspector:
    """Open the line's bundle on its engine, with its golden frames checked, and warm it up.

    Raises BundleError or StationError.
    """
    bundle = load_bundle(line.bundle)
    engine = open_engine(line.engine, bundle, line.engine_threads, len(line.camera), line.engine_reopens)
    sights = [_sight(camera, bundle.manifest) for camera in line.camera]
    inspector = Inspector(bundle, engine, clock, line.unsure_margin, sights)
    inspector.warm_up(len(line.camera))
    return inspector


def _sight(camera: CameraSettings, manifest: Manifest) -> Sight:
    region = load_ignore(camera.ignore, manifest.input, manifest.masks) if camera.ignore else None
    return Sight(region, camera.mm_per_px)


def assemble(
    line: Line,
    inspector: Inspector,
    cameras: Mapping[str, Camera],
    records: Records,
    link: Link,
    clock: Clock,
) -> Runtime:
    """Make the loop over opened things with the rules that the line sets."""
    rules = Rules(
        deadline_s=line.deadline_ms / 1e3,
        grab_timeout_s=line.grab_timeout_ms / 1e3,
        open_parts=line.open_parts,
        record_wait_s=line.record_wait_ms / 1e3,
        shadow=line.shadow,
        alarm_after_rejects=line.alarm_after_rejects,
    )
    return Runtime(inspector, cameras, records, link, rules, clock)


def introduction(bundle: Bundle) -> Hello:
    """Say who we are to the PLC."""
    return Hello(software=version("edge-inspect"), bundle_id=bundle.id)


def _close_records(records: Records) -> None:
    left = records.close()
    if left:
        log.error("records %s: %d entries never reached the disk; free some space", records.path, left)


def _log_choices(line: Line, inspector: Inspector) -> None:
    bundle, engine = inspector.bundle, inspector.engine
    log.info("bundle %s %s, %s: its golden frames agree", bundle.manifest.name, bundle.id[:12], bundle.folder)
    log.info("engine %s, as the line asks", engine.description)
    for name, threshold in bundle.manifest.thresholds.items():
        log.info("threshold %s: %s", name, threshold)
    for camera in line.camera:
        log.info("camera %s: %s", camera.name, shown(camera.address))
    log.info("PLC %s; records %s", line.plc, line.records)
    if line.shadow:
        log.warning("shadow mode: the PLC is told OK for every part, nothing is rejected")
    log.info("a part without a verdict %g ms after its trigger is TIMEOUT", line.deadline_ms)
