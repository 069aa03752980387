"""Checks of a machine for a line: each reports "fine", or what to do. Nothing is changed.

The PLC receives a Hello and a goodbye; each camera takes one picture.
"""

import asyncio
import os
import re
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime, timezone
from functools import partial
from importlib.metadata import PackageNotFoundError, requires, version
from pathlib import Path

from bundle import Bundle, BundleError, FrameError, load_bundle, os_problem
from edge.access.certificate import check_certificate
from edge.access.passwords import check_argon2
from edge.access.users import UserFile
from edge.address import shown
from edge.cameras.registry import live_options, open_camera
from edge.central.feed import check_psycopg
from edge.commands.doctor_checks import (
    check_clock,
    check_commits,
    check_records,
    check_space,
    check_wall_clock,
    existing,
)
from edge.config.central import CentralSettings
from edge.config.defaults import DEFAULT_ENGINE
from edge.config.line import Line, load_line
from edge.config.mqtt import MqttSettings
from edge.config.opcua import OpcUaSettings
from edge.config.page import PageSettings
from edge.config.s3 import S3Settings
from edge.config.schema import CameraSettings, host_and_port
from edge.ejector.registry import open_output
from edge.engines.fastest import choice_of
from edge.errors import CheckFailed, ServerError, StationError
from edge.mqtt.feed import check_paho
from edge.opcua.feed import check_asyncua
from edge.page.feed import check_page_packages
from edge.pipeline.inspector import expected_unsure, exposures_remark, remarks, too_wide
from edge.records.summary import percentiles_ms
from edge.s3.feed import check_boto3
from edge.servers.feed import listening
from edge.station import check_challenge, check_latencies, introduction, open_inspector
from firmware_bridge.errors import LinkError
from firmware_bridge.events import Acknowledged, HelloReceived, LineDisturbed, Refused
from firmware_bridge.link import Link, link_kind, open_link
from firmware_bridge.messages import Hello

HELLO_S = 2.0
"""Longest wait for the PLC's response; a serial line is silent after 1 s at usual baud rates."""
RUNS = 5


@dataclass(frozen=True)
class CheckResult:
    """Result of one check."""

    name: str
    fine: bool
    words: str


def examine(path: Path) -> Iterator[CheckResult]:
    """Run every check of the line in this file; a failed check skips those that depend on it."""
    yield find("versions", check_versions)
    yield find("clock", check_clock)
    yield find("configuration", partial(check_configuration, path))
    try:
        line = load_line(path)
    except StationError:
        return
    bundle, bundle_found = find_bundle("bundle", line.bundle)
    yield bundle_found
    for number, folder in line.recipes.items():
        yield find_bundle(f"recipe {number}", folder)[1]
    if bundle is not None and line.challenge.expected is not None:
        yield find("challenge", partial(check_expected, line, bundle))
    if bundle is not None and line.unsure_margin:
        yield find("unsure margin", partial(check_unsure_margin, line.unsure_margin, bundle))
    if bundle is not None:
        yield find("engine", partial(check_engine, line))
    if line.of_candidate is not None:
        yield find("trial", partial(check_engine, line.of_candidate))
    for camera in line.camera:
        yield find(f"camera {camera.name}", partial(check_camera, camera, line.grab_timeout_ms / 1e3, bundle))
    yield find("PLC", partial(check_plc, line.plc, introduction(bundle) if bundle else Hello()))
    if line.ejector is not None:
        yield find("ejector", partial(check_output, line.ejector.output))
    if line.page is not None:
        yield find("page", partial(check_page, line.page))
    if line.opcua is not None:
        yield find("OPC UA", partial(check_opcua, line.opcua))
    if line.mqtt is not None:
        yield find("MQTT", partial(check_mqtt, line.mqtt))
    if line.central is not None:
        yield find("central records", partial(check_central, line.central))
    if line.s3 is not None:
        yield find("S3", partial(check_s3, line.s3))
    yield find("wall clock", partial(check_wall_clock, line, time.time()))
    yield find("permissions", partial(check_permissions, line))
    yield find("disk", partial(check_space, line))
    yield find("records", partial(check_records, line.records))
    yield find("commits", partial(check_commits, line))


def find(name: str, check: Callable[[], str]) -> CheckResult:
    """Run one check, which returns a description or raises the problem."""
    try:
        return CheckResult(name, True, check())
    except (BundleError, FrameError, StationError, LinkError, ImportError) as error:
        return CheckResult(name, False, str(error))
    except OSError as error:
        return CheckResult(name, False, os_problem(error))


def find_bundle(name: str, folder: Path) -> tuple[Bundle | None, CheckResult]:
    """Load a bundle and verify the hash of every file."""
    read: list[Bundle] = []

    def check() -> str:
        read.append(load_bundle(folder))
        manifest, first = read[0].manifest, read[0].first_stage
        files = sum(len(stage.manifest.files) for stage in read[0].stages)
        staged = "" if first is None else f" with the first stage {first.manifest.name} {first.id[:12]}"
        return f"{manifest.name} {manifest.id[:12]}{staged}, the hashes of its {files} files agree"

    finding = find(name, check)
    return (read[0] if read else None), finding


def check_configuration(path: Path) -> str:
    """Read line.toml."""
    line = load_line(path)
    check_latencies(line)
    return f"{path}, {len(line.camera)} camera(s)" + (", shadow mode: nothing is rejected" if line.shadow else "")


def check_versions() -> str:
    """Compare the installed Python packages with the required versions."""
    found = [f"Python {sys.version.split()[0]}"]
    for requirement in requires("edge-inspect") or []:
        wanted = re.match(r"([\w.-]+)>=([\d.]+)$", requirement)  # those that depend on something are left out
        if wanted:
            name, least = wanted.groups()
            found.append(f"{name} {_version_of(name, least)}")
    import cv2  # a Jetson's own OpenCV is no package of pip's

    return ", ".join([f"edge-inspect {version('edge-inspect')}", *found, f"OpenCV {cv2.__version__}"])


def _version_of(name: str, least: str) -> str:
    try:
        here = version(name)
    except PackageNotFoundError:
        raise CheckFailed(f"{name}: found none, expected {least} or newer; pip install '{name}>={least}'") from None
    numbers = [tuple(int(part) for part in re.findall(r"\d+", text)[:3]) for text in (here, least)]
    if numbers[0] < numbers[1]:
        raise CheckFailed(f"{name}: found {here}, expected {least} or newer; pip install '{name}>={least}'")
    return here


def check_engine(line: Line) -> str:
    """Open the engine as the station does, check the golden frames, measure the latency."""
    inspector = open_inspector(line, time.monotonic)
    try:
        times_us = []
        for _ in range(RUNS):
            start = time.perf_counter()
            inspector.warm_up(len(line.views), times=1)
            times_us.append((time.perf_counter() - start) * 1e6)
        description = "; ".join([inspector.engine.description, *_engine_remarks(line, inspector.bundle)])
    finally:
        inspector.engine.close()
    median_ms = percentiles_ms(times_us)[0]
    waited_s = (camera.due_s[-1] for camera in line.camera if live_options(camera.address) is not None)
    left_ms = line.deadline_ms - 1e3 * max(waited_s, default=0.0)
    if median_ms >= left_ms:
        raise CheckFailed(
            f"{description}: found {median_ms:.0f} ms for the views of one part, expected less than the {left_ms:g} ms "
            "from its last exposure to its deadline; use a faster engine or smaller bundle, or give it more time"
        )
    return f"{description}, golden frames agree, {median_ms:.1f} ms for the views of one part"


def _engine_remarks(line: Line, bundle: Bundle) -> Iterator[str]:
    """Say which engines of the processor were measured, where INT8 gains nothing, and what the time does not cover."""
    engine = line.engine
    if engine == "cpu":
        choice = choice_of(bundle, line.engine_threads)
        engine = choice.chosen
        yield str(choice)
    if bundle.manifest.precision == "int8" and engine == DEFAULT_ENGINE:
        yield "remark: onnxruntime computes an INT8 bundle in float32, so its fp32 bundle is faster here; use that one"
    if (remark := exposures_remark(bundle.manifest, [camera.exposures for camera in line.camera])) is not None:
        yield f"remark: {remark}"
    if bundle.first_stage is not None:
        yield "remark: with marks in every tile it takes longer; the deadline must cover `edge-inspect bench-tiles`"


def check_camera(settings: CameraSettings, timeout_s: float, bundle: Bundle | None) -> str:
    """Take one picture and compare its size with the bundle's crop."""
    camera = open_camera(settings.address, time.monotonic)
    try:
        camera.expose()
        frame = camera.grab(timeout_s)
    finally:
        camera.close()
    if bundle is not None:
        bundle.check_size(frame.pixels.shape)
        bundle.prepare(frame.pixels)
    height, width = frame.pixels.shape[:2]
    remarked = [] if bundle is None else remarks(frame.pixels.shape, bundle.manifest.input)
    colours = "grey" if frame.pixels.ndim == 2 else "RGB"
    return "; remark: ".join([f"{shown(settings.address)}, {width}x{height} {colours}", *remarked])


def check_expected(line: Line, bundle: Bundle) -> str:
    """Check the class that a challenge expects."""
    check_challenge(line, bundle)
    return f"the bundle knows the class {line.challenge.expected}"


def check_unsure_margin(margin: float, bundle: Bundle) -> str:
    """Hold the margin against the bundle's thresholds; says the share of UNSURE to expect."""
    if (problem := too_wide(margin, bundle.manifest)) is not None:
        raise CheckFailed(problem)
    return f"{margin:g}: {expected_unsure(margin, bundle.manifest)}"


def check_page(settings: PageSettings) -> str:
    """Check packages, users and certificate of the page, and open its port for a moment."""
    check_page_packages()
    said = [check_port(settings.listen, "page")]
    if settings.users is not None:
        check_argon2()
        said.append(f"{len(UserFile(settings.users).users())} user(s)")
    if settings.certificate is not None and settings.key is not None:
        said.append(_certificate_words(settings.certificate, settings.key))
    return ", ".join(said)


def _certificate_words(certificate: Path, key: Path) -> str:
    """Check the files of TLS; raises AccessError, CheckFailed."""
    found = check_certificate(certificate, key)
    if (mode := key.stat().st_mode & 0o077) != 0:
        raise CheckFailed(f"{key}: found a key that others may read ({mode:o}), expected none; chmod 600 {key}")
    days = (found.expires - datetime.now(timezone.utc)).days
    return f"certificate for {', '.join(found.names) or 'no name'}, expires in {days} day(s)"


def check_opcua(settings: OpcUaSettings) -> str:
    """Check package, certificate and private key of the OPC UA server, and open its port for a moment."""
    check_asyncua()
    if settings.certificate is not None and settings.private_key is not None:
        from edge.opcua.server import read_identity

        *_, uri = asyncio.run(read_identity(settings.certificate, settings.private_key))
        return f"{check_port(settings.listen, 'opcua')}, certificate of {uri}"
    return check_port(settings.listen, "opcua")


def check_mqtt(settings: MqttSettings) -> str:
    """Check the package of the MQTT client, and connect to the broker for a moment, under another identifier."""
    check_paho()
    from edge.mqtt.client import check_broker

    check_broker(settings)
    return f"{settings.broker} accepts the connection{' with TLS' if settings.uses_tls else ''}"


def check_central(settings: CentralSettings) -> str:
    """Check the package of the central records, the database, its version and the user's rights."""
    check_psycopg()
    from edge.central.database import CentralDatabase

    database = CentralDatabase(settings)
    try:
        database.open(migrate=False)
        database.check_rights()
    finally:
        database.close()
    return f"{shown(settings.database)} accepts the connection, the user may write"


def check_s3(settings: S3Settings) -> str:
    """Check the package of the S3 client, and look whether the bucket is there."""
    check_boto3()
    from edge.s3.client import PictureBucket

    bucket = PictureBucket(settings)
    bucket.open()
    bucket.close()
    return f"{settings.endpoint} has the bucket {settings.bucket}"


def check_port(listen: str, table: str) -> str:
    """Open the port of a server for a moment."""
    try:
        listening(*host_and_port(listen), table).close()
    except ServerError as error:
        raise CheckFailed(f"{listen}: {error}") from None
    return f"{listen} is free"


def check_plc(address: str, hello: Hello, wait_s: float = HELLO_S, clock: Callable[[], float] = time.monotonic) -> str:
    """Open the link, send a Hello, wait for the response, close the link."""
    link = open_link(address, hello, clock)
    try:
        peer = _listen(link, clock, clock() + wait_s)
        link.go_offline("doctor has finished")
        _deliver(link, clock, clock() + 0.5)
    finally:
        link.close()
    if peer is None:
        raise CheckFailed(f"{address}: found no answer within {wait_s:g} s; {link_kind(address).silence_advice}")
    return f"{address}, {peer.name} {peer.software} answers as {peer.role.name}".replace("  ", " ")


def check_output(address: str) -> str:
    """Open the ejector's output, which stays off."""
    open_output(address).close()
    return f"{address} can be opened; whether it fires, only a known bad part shows"


def _listen(link: Link, clock: Callable[[], float], until: float) -> Hello | None:
    while clock() < until:
        for event in link.poll(max(0.0, until - clock())):
            if isinstance(event, (LineDisturbed, Refused)):
                raise CheckFailed(event.reason)
            if isinstance(event, HelloReceived):
                return event.hello
    return None


def _deliver(link: Link, clock: Callable[[], float], until: float) -> None:
    while clock() < until:
        if any(isinstance(event, Acknowledged) for event in link.poll(max(0.0, until - clock()))):
            return


def check_permissions(line: Line) -> str:
    """Check that this user may write to the station's folders."""
    folders = {existing(line.records.parent), *({existing(line.pictures.folder)} if line.pictures else ())}
    targets = folders | ({line.records} if line.records.exists() else set())
    refused = sorted(str(path) for path in targets if not os.access(path, os.W_OK))
    user = _user()
    if fixed := sorted(str(path) for path in targets if os.statvfs(path).f_flag & os.ST_RDONLY):
        raise CheckFailed(f"{', '.join(fixed)}: found a disk that is mounted read-only; mount it for writing")
    if refused:
        raise CheckFailed(f"{', '.join(refused)}: {user} may not write there; run as another user, or chown it")
    return f"{user} may write to {', '.join(sorted(str(path) for path in targets))}"


def _user() -> str:
    import pwd

    try:
        return pwd.getpwuid(os.geteuid()).pw_name
    except KeyError:  # a container's user without a name
        return f"user {os.geteuid()}"
