"""The life of a running station: signals, reload without losing a part, the supervisor's watchdog."""

import logging
import signal
import threading
from pathlib import Path

from bundle import BundleError
from edge.config.line import Line, load_line
from edge.errors import StationError
from edge.pipeline.runtime import Runtime
from edge.station import REAL, Equipment, open_inspector
from edge.systemd import notify, watchdog_fed

log = logging.getLogger(__name__)

TICK_S = 0.2
"""How soon a signal is acted on; the watchdog hears from us as often."""
RELOADED = {"bundle", "engine", "engine_reopens", "engine_threads", "unsure_margin"}
"""Keys of line.toml that take effect on SIGHUP; the others need a restart."""


def serve(path: Path, line: Line, runtime: Runtime, equipment: Equipment = REAL) -> None:
    """Wait until the station is told to stop (SIGTERM, SIGINT) or its cameras have no more frames.

    On SIGHUP line.toml is read again and its bundle put in place between two parts; a PLC's wish for another recipe is
    answered in the same way. The supervisor's watchdog is fed only while every thread of the loop is alive, also while
    another bundle's engine is being built, which may take minutes.
    """
    reload_asked = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: runtime.finished.set())
    signal.signal(signal.SIGHUP, lambda *_: reload_asked.set())
    notify("READY=1")
    with watchdog_fed(lambda: runtime.alive, TICK_S):
        while not runtime.finished.wait(TICK_S):
            if reload_asked.is_set():
                reload_asked.clear()
                line = reload(path, line, runtime, equipment)
            line = change_over(line, runtime, equipment)
        notify("STOPPING=1")


def change_over(line: Line, runtime: Runtime, equipment: Equipment = REAL) -> Line:
    """Change over to the recipe that the PLC asked for last, or refuse; returns the line that is now in force."""
    wanted = None
    while not runtime.changeovers.empty():
        wanted = runtime.changeovers.get()
    if wanted is None:
        return line
    if wanted not in line.recipes:
        runtime.refuse_changeover(wanted, f"found no such number, expected one of {sorted(line.recipes)} of [recipes]")
        return line
    changed = line.model_copy(update={"bundle": line.recipes[wanted]})
    try:
        inspector = open_inspector(changed, runtime.clock, equipment)
    except Exception as error:  # as in `reload`
        runtime.refuse_changeover(wanted, _in_words(error))
        return line
    runtime.use(inspector, wanted)
    log.info("changeover: recipe %d, bundle %s", wanted, inspector.bundle.id[:12])
    return changed


def reload(path: Path, line: Line, runtime: Runtime, equipment: Equipment = REAL) -> Line:
    """Read the configuration again and change over to its bundle; returns the line that is now in force.

    Anything wrong with it, golden frames that disagree included, leaves the station as it is, with the reason in the
    log.
    """
    try:
        wanted = load_line(path)
        reloaded = line.model_copy(update={key: getattr(wanted, key) for key in RELOADED})
        inspector = open_inspector(reloaded, runtime.clock, equipment)
    except Exception as error:  # whatever it was, the line that runs must not stop for it
        log.error("reload refused, the station goes on as before: %s", _in_words(error))
        return line
    runtime.use(inspector)
    changed = {key for key in Line.model_fields if getattr(wanted, key) != getattr(line, key)}
    if needs_restart := changed - RELOADED:
        log.warning(
            "reload: %s changed too, which takes effect at the next start only", ", ".join(sorted(needs_restart))
        )
    log.info("reload: bundle %s, thresholds %s", inspector.bundle.id[:12], inspector.bundle.manifest.thresholds)
    return reloaded


def _in_words(error: Exception) -> str:
    return str(error) if isinstance(error, (BundleError, StationError)) else f"{type(error).__name__}: {error}"
