"""Service loop of a running station: signals, reload, changeovers, and the supervisor's watchdog."""

import logging
import os
import signal
import threading
from collections.abc import Callable
from concurrent.futures import Future, wait
from functools import partial
from pathlib import Path

from bundle import BundleError
from bundle.manifest import read_manifest
from edge.config.line import Line, load_line
from edge.errors import EngineError, StationError
from edge.pipeline.inspector import Inspector
from edge.pipeline.runtime import Runtime
from edge.signal_events import reload_on_sighup, set_on_signal
from edge.station import REAL, Equipment, open_inspector, open_released
from edge.systemd import notify, watchdog_fed

log = logging.getLogger(__name__)

TICK_S = 0.2
"""Polling interval for signals and changeovers, and interval of the watchdog."""
RELOADED = {"bundle", "engine", "engine_reopens", "engine_threads", "unsure_margin"}
"""Keys of line.toml that take effect on SIGHUP; other keys need a restart."""


def serve(
    path: Path,
    line: Line,
    runtime: Runtime,
    equipment: Equipment = REAL,
    reload_asked: threading.Event | None = None,
) -> None:
    """Serve until SIGTERM, SIGINT, or the last picture of cameras that play files.

    reload_asked: of `reload_on_sighup`, where a SIGHUP may have come since line.toml was read.

    SIGHUP reads line.toml again and changes over to its bundle between two parts; so does a release, which turns the
    link that `bundle` names, and a Changeover request from the PLC to the bundle of its recipe. The supervisor's
    watchdog is fed while every thread of the runtime is alive, also during the build of an engine, which may take
    minutes.
    """
    reload_asked = reload_asked or reload_on_sighup()
    link, in_force = line.bundle, _in_force(line.bundle, runtime)
    for number in (signal.SIGINT, signal.SIGTERM):
        set_on_signal(number, runtime.finished)
    notify("READY=1")
    with watchdog_fed(lambda: runtime.alive, TICK_S, runtime.alarms):
        while not runtime.finished.wait(TICK_S):
            target = _target(link)
            if reload_asked.is_set() or (line.bundle == link and target != in_force):
                reload_asked.clear()
                in_force = target
                line = reload(path, line, runtime, equipment)
            line = change_over(line, runtime, equipment)
        notify("STOPPING=1")


def change_over(line: Line, runtime: Runtime, equipment: Equipment = REAL) -> Line:
    """Change over to the recipe that the PLC requested last, or refuse it; returns the configuration now in use."""
    wanted = None
    while not runtime.changeovers.empty():
        wanted = runtime.changeovers.get()
    if wanted is None:
        return line
    if wanted not in line.recipes:
        known = sorted(line.recipes)
        runtime.refuse_changeover(wanted, f"found no such recipe, expected one of {known} in [recipes] of line.toml")
        return line
    changed = line.model_copy(update={"bundle": line.recipes[wanted]})
    try:
        inspector = _open_unless_stopped(partial(open_inspector, changed), runtime, equipment)
    except Exception as error:  # as in `reload`
        runtime.refuse_changeover(wanted, _text(error))
        return line
    runtime.use(inspector, wanted)
    log.info("changeover: recipe %d, bundle %s", wanted, inspector.bundle.id[:12])
    return changed


def reload(path: Path, line: Line, runtime: Runtime, equipment: Equipment = REAL) -> Line:
    """Read line.toml again and change over to its bundle; returns the configuration now in use.

    On any error, including golden frames that do not match, the station continues unchanged and raises an alarm.
    """
    try:
        wanted = load_line(path)
        reloaded = line.model_copy(update={key: getattr(wanted, key) for key in RELOADED})
        inspector = _open_unless_stopped(partial(open_released, reloaded), runtime, equipment)
    except Exception as error:  # the outermost loop: a failed reload must not stop the running line
        runtime.refuse_reload(_text(error))
        return line
    runtime.use(inspector, reloaded.recipe)
    changed = {key for key in Line.model_fields if getattr(wanted, key) != getattr(line, key)}
    if needs_restart := changed - RELOADED:
        log.warning("reload: %s changed too, which takes effect at the next start", ", ".join(sorted(needs_restart)))
    log.info("reload: bundle %s", inspector.bundle.id[:12])
    for name, threshold in inspector.bundle.manifest.thresholds.items():
        log.info("threshold %s: %s", name, threshold.words)
    return reloaded


def _open_unless_stopped(open_bundle: Callable[..., Inspector], runtime: Runtime, equipment: Equipment) -> Inspector:
    """Open a bundle in a thread of its own, so that SIGTERM ends the station even if the opening never ends.

    Raises as `open_inspector`; EngineError if the station is told to stop meanwhile.
    """
    opening: Future[Inspector] = Future()

    def open_it() -> None:
        try:
            opening.set_result(open_bundle(runtime.clock, equipment))
        except BaseException as error:  # raised in the waiting thread
            opening.set_exception(error)

    threading.Thread(target=open_it, name="open bundle", daemon=True).start()
    while not wait([opening], TICK_S).done:
        if runtime.finished.is_set():
            raise EngineError("the bundle was not opened, because the station is stopping")
    return opening.result()


def _in_force(link: Path, runtime: Runtime) -> str:
    """Return the target of the link to the bundle in use; empty if it has changed since that bundle was opened."""
    target = _target(link)
    try:
        return target if target and read_manifest(link).id == runtime.bundle.id else ""
    except BundleError:
        return ""


def _target(bundle: Path) -> str:
    """Return the target of the link to the bundle; empty for a folder of its own."""
    try:
        return os.readlink(bundle)
    except OSError:
        return ""


def _text(error: Exception) -> str:
    return str(error) if isinstance(error, (BundleError, StationError)) else f"{type(error).__name__}: {error}"
