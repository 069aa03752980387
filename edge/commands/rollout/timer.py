"""Systemd units of a station's steps of rollouts, by time and on request: `edge-inspect rollout timer`."""

from collections.abc import Iterator, Mapping
from pathlib import Path

from bundle import write_whole
from edge.commands.systemd_unit import HARDENED, literal, one_line, program, refuse_root
from edge.config.line import Line, load_line
from edge.errors import ReleaseError
from edge.monitoring.operator_requests import rollout_request
from edge.rollout.rollout import check_line

NAME = "edge-inspect-rollout"
SERVICE = """\
# Written by: edge-inspect rollout timer
[Unit]
Description=edge-inspect: step of a rollout at {station}
After=network-online.target
Wants=network-online.target

[Service]
Type=oneshot
ExecStart={command}
WorkingDirectory={folder}
User={user}
# The line goes first.
Nice=15
CPUSchedulingPolicy=batch
IOSchedulingClass=idle
OOMScoreAdjust=500
CacheDirectory=edge-inspect
Environment=EDGE_INSPECT_CACHE=/var/cache/edge-inspect
{writable}{hardened}CapabilityBoundingSet=
UMask=0027
"""
TIMER = """\
# Written by: edge-inspect rollout timer
[Unit]
Description=edge-inspect: steps of rollouts at {station}

[Timer]
OnBootSec={minutes}min
OnUnitInactiveSec={minutes}min
RandomizedDelaySec=30s

[Install]
WantedBy=timers.target
"""
PATH = """\
# Written by: edge-inspect rollout timer
[Unit]
Description=edge-inspect: step of a rollout asked for over MQTT at {station}

[Path]
PathChanged={request}

[Install]
WantedBy=paths.target
"""
"""systemd.timer(5), systemd.exec(5), systemd.path(5)."""


def timer_units(
    path: Path, place: str, station: str, options: Mapping[str, object], minutes: int, user: str
) -> dict[str, str]:
    """Give service, timer and path unit by file name. Raises StationError.

    `options`: those of `edge-inspect rollout pull`.
    """
    refuse_root(user)
    line, toml = load_line(path), path.resolve()
    check_line(line)
    where = place if "://" in place else str(Path(place).resolve())
    words = [program(), "rollout", "pull", toml, where, "--station", station]
    words += [word for pair in options.items() for word in pair]
    command = " ".join(f'"{literal(word)}"' for word in words)
    service = SERVICE.format(
        hardened=HARDENED,
        station=one_line(station).replace("%", "%%"),
        command=command.replace("$", "$$"),
        folder=one_line(str(toml.parent)).replace("%", "%%"),
        user=one_line(user).replace("%", "%%"),
        writable="".join(f'ReadWritePaths="-{literal(folder)}"\n' for folder in _written(line, where)),
    )
    timer = TIMER.format(station=one_line(station).replace("%", "%%"), minutes=minutes)
    request = one_line(str(rollout_request(line.records.resolve()))).replace("%", "%%")
    watched = PATH.format(station=one_line(station).replace("%", "%%"), request=request)
    return {f"{NAME}.service": service, f"{NAME}.timer": timer, f"{NAME}.path": watched}


def write_units(units: Mapping[str, str], folder: Path) -> Iterator[str]:
    """Write units to a folder; yields what was done and what is next. Raises ReleaseError."""
    for name, text in units.items():
        try:
            write_whole(folder / name, text)
        except OSError as error:
            raise ReleaseError(f"{folder / name}: cannot be written ({error.strerror}); check --out") from None
        yield f"{folder / name}: written"
    started = f"{NAME}.timer {NAME}.path"
    yield f"next: systemctl daemon-reload && systemctl enable --now {started}; then journalctl -u {NAME}"


def _written(line: Line, place: str) -> list[Path]:
    """Folders that a step writes to: releases, records, and the store where it is a folder."""
    shared = [] if "://" in place else [Path(place)]
    return sorted({line.bundle.absolute().parent, line.records.resolve().parent, *shared})
