"""Assembly of a station: opens, checks and connects all devices of a `line.toml`, and closes them again."""

import logging
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from time import monotonic

from bundle import Bundle, BundleError, Manifest, SignatureInvalid, load_bundle
from edge.address import kind_of, shown
from edge.alarms import Alarms
from edge.cameras.camera import Camera, Clock
from edge.cameras.device import DeviceOptions
from edge.cameras.registry import FILES, live_options, open_camera
from edge.central.feed import CentralFeed, central_task
from edge.config.line import Line
from edge.config.opcua import OpcUaSettings
from edge.config.page import PageSettings
from edge.config.schema import CameraSettings
from edge.ejector.ejector import Ejector
from edge.ejector.output import Output
from edge.ejector.registry import open_output
from edge.ejector.rejects import Rejects
from edge.engines.engine import Engine
from edge.engines.probe import open_probed
from edge.errors import LineConfigError
from edge.forwarding.feed import ForwardingFeed
from edge.forwarding.messages import ForwardingTask
from edge.monitoring.drift import Drift
from edge.monitoring.operator_service import OperatorService
from edge.monitoring.verdict_rates import VerdictRates
from edge.mqtt.feed import MqttFeed, mqtt_task
from edge.opcua.feed import OpcUaFeed
from edge.page.feed import Feed
from edge.page.state import StationInfo
from edge.part import Part
from edge.pipeline.ignore_region import load_ignore
from edge.pipeline.inspector import Inspector, ViewGeometry, expected_unsure, exposures_remark, too_wide
from edge.pipeline.runtime import Runtime
from edge.records.pictures import PictureStore
from edge.records.retention import free_bytes
from edge.records.writer import Records
from edge.release.releases import check_on_record
from edge.release.signature import check_signature
from edge.s3.feed import PictureFeed, picture_task
from edge.servers.outbox import Outbox
from edge.servers.snapshot import Snapshot
from edge.servers.state import StationState
from edge.trial.candidate import CandidateProcess
from edge.trial.trial import OpenCandidate, TrialSwitch
from firmware_bridge.link import Link, open_link
from firmware_bridge.messages import Hello

log = logging.getLogger(__name__)

OPERATOR_SERVICE_S = 2.0
"""Time that a stopping station waits for the operator service to end."""

GRAB_MARGIN_MS = 300.0
"""Suggested margin of a time limit above a camera's latency: frame periods, then inference."""


OpenPage = Callable[
    [PageSettings, Outbox, Callable[[], StationState], Callable[[], Manifest], Callable[[], StationInfo], Alarms], Feed
]
"""Starts a page; see `Feed`."""

OpenForwarder = Callable[
    [str, ForwardingTask, Callable[[], StationState], Alarms, Callable[[int], None]], ForwardingFeed
]
"""Starts a forwarder; see `ForwardingFeed`."""


@dataclass(frozen=True)
class Equipment:
    """Factories of a station's devices; tests and fault rigs substitute devices that fail on command."""

    open_camera: Callable[[str, Clock], Camera] = open_camera
    open_engine: Callable[[str, Bundle, int | None, int, bool], Engine] = open_probed
    open_output: Callable[[str], Output] = open_output
    open_link: Callable[[str, Hello, Clock, bool], Link] = open_link
    open_page: OpenPage = Feed
    open_opcua: Callable[[OpcUaSettings, Outbox, Callable[[], StationState], Alarms], OpcUaFeed] = OpcUaFeed
    open_candidate: OpenCandidate = CandidateProcess
    free_bytes: Callable[[Path], int] = free_bytes
    """Free bytes of the disk of a folder."""
    open_mqtt: OpenForwarder = MqttFeed
    open_central: OpenForwarder = CentralFeed
    open_s3: OpenForwarder = PictureFeed


REAL = Equipment()
"""Factories of the devices that the addresses of a line name."""


@contextmanager
def open_station(
    line: Line, *watchers: Callable[[Part], None], clock: Clock = monotonic, equipment: Equipment = REAL
) -> Iterator[Runtime]:
    """Run a line for the duration of a `with` block; at its end every open part gets its verdict.

    The bundle is opened first and checked on its golden frames, the PLC last, so that no trigger arrives before parts
    can be inspected. watchers: called with every part after its result is sent.
    Raises BundleError, StationError or LinkError with everything closed.
    """
    check_latencies(line)
    with ExitStack() as opened:
        inspector = open_released(line, clock, equipment)
        unused = opened.enter_context(ExitStack())  # closes the engine until the runtime owns it
        unused.callback(inspector.engine.close)
        check_challenge(line, inspector.bundle)
        records = Records(
            line.records,
            without_disk=line.without_disk,
            entries_in_memory=line.entries_in_memory,
            late_rows=line.late_rows,
        )
        opened.callback(_close_records, records)
        cameras: dict[str, Camera] = {}
        for settings in line.camera:
            cameras[settings.name] = equipment.open_camera(settings.address, clock)
            opened.callback(cameras[settings.name].close)
        alarms = Alarms()
        alarms.listeners.append(records.note_alarm)
        rejects = _open_rejects(line, records, alarms, clock, equipment, opened)
        link = equipment.open_link(line.plc, introduction(inspector.bundle), clock, line.shadow)
        opened.callback(link.close)
        _log_choices(line, inspector)
        runtime = Runtime(inspector, cameras, records, link, line, clock, alarms, rejects)
        _check_recipes(line, runtime)
        unused.pop_all()
        opened.callback(runtime.close_inspector)
        for watcher in (*watchers, *_own_watchers(line, runtime, records, clock, equipment, opened)):
            runtime.watch(watcher)
        trials = TrialSwitch(line, equipment.open_candidate, records, alarms, clock)
        opened.callback(trials.close)
        operators = OperatorService(line.challenge, records, alarms, pipeline=runtime, trials=trials)
        operators.restore_pause()
        runtime.watch(operators.add)
        runtime.watch(trials.offer)
        state = Snapshot(runtime, cameras, records, lambda: link.is_open, line.shadow, operators, trial=trials.current)
        if line.page is not None:
            _open_page(line, line.page, runtime, records, state, equipment, opened)
        if line.opcua is not None:
            outbox = Outbox(pictured=False)
            runtime.watch(outbox.add)
            opened.callback(equipment.open_opcua(line.opcua, outbox, state, alarms).close)
        if line.mqtt is not None:
            task = mqtt_task(line, line.mqtt)
            opened.callback(
                equipment.open_mqtt(line.mqtt.broker, task, state, alarms, runtime.request_changeover).close
            )
        if line.central is not None:
            task, peer = central_task(line, line.central), shown(line.central.database)
            opened.callback(equipment.open_central(peer, task, state, alarms, runtime.request_changeover).close)
        if line.s3 is not None:
            task = picture_task(line, line.s3)
            opened.callback(equipment.open_s3(line.s3.endpoint, task, state, alarms, runtime.request_changeover).close)
        runtime.start()
        opened.enter_context(_serving(operators))
        try:
            yield runtime
        finally:
            runtime.stop()


def check_latencies(line: Line) -> None:
    """Check that the frames of live cameras can arrive within the line's time limits; raises LineConfigError."""
    for camera in line.camera if line.trigger == "plc" else ():
        options = live_options(camera.address) if kind_of(camera.address) in FILES else None
        if options is None:
            continue
        _check_interval(camera, options)
        needed_ms = 0.0 if options.trigger == "software" else options.latency_ms
        if needed_ms >= line.grab_timeout_ms or needed_ms >= line.deadline_ms:
            raise LineConfigError(
                f"camera {camera.name}: latency_ms: found {needed_ms:g} ms from trigger to frame, expected less than "
                f"grab_timeout_ms ({line.grab_timeout_ms:g}) and deadline_ms ({line.deadline_ms:g}): every part would "
                f"be FAULT; set grab_timeout_ms = {needed_ms + GRAB_MARGIN_MS:g} and deadline_ms = "
                f"{needed_ms + 2 * GRAB_MARGIN_MS:g} in line.toml, or latency_ms in the address of a camera that is "
                "faster"
            )
        last_ms = camera.due_s[-1] * 1e3 + needed_ms
        if last_ms >= line.deadline_ms:
            raise LineConfigError(
                f"camera {camera.name}: exposure_interval_ms: found {last_ms:g} ms from the trigger to the last of "
                f"{camera.exposures} frames, expected less than deadline_ms ({line.deadline_ms:g}): every part would "
                f"be TIMEOUT; set deadline_ms = {last_ms + 2 * GRAB_MARGIN_MS:g}, or a shorter interval"
            )


def _check_interval(camera: CameraSettings, options: DeviceOptions) -> None:
    """Check that each exposure can be told from the next one; raises LineConfigError."""
    if camera.exposures == 1:
        return
    least_ms, reason = {
        "hardware": (
            2 * options.window_ms,
            "twice window_ms, so that the frame of a pulse is told from the next one's",
        ),
        "software": (options.window_ms, "window_ms, by which an exposure may be triggered late"),
        "free": (options.latency_ms, "latency_ms, to which it is known when a frame began"),
    }[options.trigger]
    if camera.exposure_interval_ms <= least_ms:
        raise LineConfigError(
            f"camera {camera.name}: exposure_interval_ms: found {camera.exposure_interval_ms:g} with {options.trigger} "
            f"trigger, expected more than {least_ms:g} ms ({reason})"
        )


def check_challenge(line: Line, bundle: Bundle) -> None:
    """Check that the bundle knows the class that a challenge expects; raises LineConfigError."""
    expected, classes = line.challenge.expected, bundle.manifest.classes
    if expected is not None and expected not in classes:
        known = ", ".join(classes)
        raise LineConfigError(f"challenge.expected: found {expected!r}, expected one of {known}; correct line.toml")


def _check_recipes(line: Line, runtime: Runtime) -> None:
    """Raise an alarm for each recipe whose bundle cannot be used: a changeover to it would be refused."""
    for number, folder in line.recipes.items():
        if folder == line.bundle:
            continue
        try:
            load_bundle(folder)
        except BundleError as error:
            runtime.recipe_unusable(number, str(error))


@contextmanager
def _serving(operators: OperatorService) -> Iterator[None]:
    stopping = threading.Event()
    # a daemon thread: a disk that hangs must not keep the station from ending
    thread = threading.Thread(target=operators.run, args=(stopping,), name="operators", daemon=True)
    thread.start()
    try:
        yield
    finally:
        stopping.set()
        thread.join(OPERATOR_SERVICE_S)


def _open_rejects(
    line: Line, records: Records, alarms: Alarms, clock: Clock, equipment: Equipment, opened: ExitStack
) -> Rejects:
    rejects = Rejects(records, alarms, clock, line.confirmation)
    if line.ejector is None:
        return rejects
    if line.shadow:
        log.warning("shadow mode: the ejector %s is not used", line.ejector.output)
        return rejects
    output = equipment.open_output(line.ejector.output)
    opened.callback(output.close)
    rejects.ejector = Ejector(line.ejector, output, alarms, clock, rejects.settled, needs_plc=line.trigger == "plc")
    log.info("ejector %s; a part without a verdict at the ejector: %s", line.ejector.output, line.ejector.default)
    return rejects


def _own_watchers(
    line: Line, runtime: Runtime, records: Records, clock: Clock, equipment: Equipment, opened: ExitStack
) -> Iterator[Callable[[Part], None]]:
    def manifest() -> Manifest:
        return runtime.bundle.manifest

    yield Drift(line.drift, line.records, manifest, runtime.alarms).add
    yield VerdictRates(line.rates, line.deadline_s, runtime.alarms).add
    if line.pictures is not None:
        pictures = PictureStore(
            line.pictures, records, manifest, runtime.alarms, clock=clock, free=equipment.free_bytes
        )
        opened.callback(pictures.close)
        yield pictures.offer


def _open_page(
    line: Line,
    settings: PageSettings,
    runtime: Runtime,
    records: Records,
    state: Snapshot,
    equipment: Equipment,
    opened: ExitStack,
) -> None:
    def welcome() -> StationInfo:
        return StationInfo(
            settings=settings,
            records=str(records.path),
            pictures=None if line.pictures is None else str(line.pictures.folder),
            challenge=line.challenge,
            next_number=records.last_number + 1,
        )

    outbox = Outbox()
    runtime.watch(outbox.add)
    feed = equipment.open_page(settings, outbox, state, lambda: runtime.bundle.manifest, welcome, runtime.alarms)
    opened.callback(feed.close)


def open_released(line: Line, clock: Clock, equipment: Equipment = REAL) -> Inspector:
    """Open the line's bundle, which a release has to have brought where the line asks for signatures.

    Raises as `open_inspector`.
    """
    inspector = open_inspector(line, clock, equipment)
    try:
        check_on_record(line, inspector.bundle.id)
    except BaseException:
        inspector.engine.close()
        raise
    return inspector


def open_inspector(line: Line, clock: Clock, equipment: Equipment = REAL) -> Inspector:
    """Open the line's bundle on its engine, check its golden frames, and warm it up.

    Raises BundleError or StationError.
    """
    signed = check_signature(line.bundle, line.release.keys) if line.release is not None else None
    bundle = load_bundle(line.bundle)
    if signed not in (None, bundle.id):
        raise SignatureInvalid(f"{line.bundle}: found another bundle than the one whose signature was verified")
    engine = equipment.open_engine(line.engine, bundle, line.engine_threads, len(line.views), line.engine_reopens)
    try:
        numbered = enumerate(line.camera)
        geometries = [_geometry(number, camera, bundle.manifest) for number, camera in numbered for _ in camera.views]
        inspector = Inspector(bundle, engine, clock, line.unsure_margin, geometries)
        if (remark := exposures_remark(bundle.manifest, [camera.exposures for camera in line.camera])) is not None:
            log.warning("%s", remark)
        inspector.warm_up(len(line.views))
    except BaseException:
        engine.close()
        raise
    return inspector


def _geometry(number: int, camera: CameraSettings, manifest: Manifest) -> ViewGeometry:
    region = load_ignore(camera.ignore, manifest.input, manifest.masks) if camera.ignore else None
    return ViewGeometry(number, region, camera.mm_per_px)


def introduction(bundle: Bundle) -> Hello:
    """Build the Hello message of this station."""
    return Hello(software=version("edge-inspect"), bundle_id=bundle.id)


def _close_records(records: Records) -> None:
    left = records.close() + records.lost
    if left:
        log.error("records %s: %d entries never reached the disk; free some space", records.path, left)


def _exposures(camera: CameraSettings, manifest: Manifest) -> str:
    if camera.exposures == 1:
        return ""
    judged = "the worst decides" if manifest.exposures == "worst" else f"judged together ({manifest.exposures})"
    return f", {camera.exposures} exposures of a part, {judged}"


def _log_choices(line: Line, inspector: Inspector) -> None:
    bundle, engine = inspector.bundle, inspector.engine
    log.info("bundle %s %s, %s: golden frames match", bundle.manifest.name, bundle.id[:12], bundle.folder)
    log.info("engine %s, as configured", engine.description)
    for name, threshold in bundle.manifest.thresholds.items():
        log.info("threshold %s: %s", name, threshold.words)
    if line.unsure_margin:
        log.info("unsure_margin %g: %s", line.unsure_margin, expected_unsure(line.unsure_margin, bundle.manifest))
    if (problem := too_wide(line.unsure_margin, bundle.manifest)) is not None:
        log.warning("%s", problem)
    for camera in line.camera:
        log.info("camera %s: %s%s", camera.name, shown(camera.address), _exposures(camera, bundle.manifest))
    log.info("PLC %s; records %s", line.plc, line.records)
    if line.shadow:
        log.warning("shadow mode: every result to the PLC is OK, nothing is rejected")
    log.info("deadline: a part without a verdict %g ms after its trigger is TIMEOUT", line.deadline_ms)
