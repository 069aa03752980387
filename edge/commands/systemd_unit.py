"""The systemd unit of a line: `edge-inspect unit line.toml`."""

import os
import sys
from pathlib import Path
from urllib.parse import urlsplit

from edge.address import kind_of
from edge.config.defaults import DEFAULT_ENGINE
from edge.config.line import Line, load_line
from edge.errors import LineConfigError

HARDENED = """\
NoNewPrivileges=yes
ProtectSystem=strict
ProtectHome=read-only
ProtectKernelTunables=yes
ProtectKernelModules=yes
ProtectControlGroups=yes
PrivateTmp=yes
RestrictSUIDSGID=yes
"""
"""Of every service of ours, systemd.exec(5)."""
UNIT = """\
# Written by: edge-inspect unit {line}
[Unit]
Description=edge-inspect: {title}
After=network.target time-sync.target
# Tried for ever: a camera or a port may be there in an hour.
StartLimitIntervalSec=0

[Service]
Type=notify
NotifyAccess=main
ExecStart={program} run {line}
ExecReload=/bin/kill -HUP $MAINPID
WorkingDirectory={folder}
User={user}
SupplementaryGroups=dialout video
Restart=always
RestartSec=2
# A thread of the line that has stopped is noticed after so long; an engine that has to be built is not cut short.
WatchdogSec=10
TimeoutStartSec=20min
# Open parts get their verdicts, the PLC is told. The page's process ends with its station.
TimeoutStopSec=30
KillMode=mixed
# The kernel kills other processes first when memory runs out.
OOMScoreAdjust=-500
LimitMEMLOCK=infinity
StateDirectory=edge-inspect
CacheDirectory=edge-inspect
Environment=EDGE_INSPECT_CACHE=/var/cache/edge-inspect
{writable}{hardened}ProtectKernelLogs=yes
ProtectHostname=yes
ProtectProc=invisible
PrivateMounts=yes
RestrictRealtime=yes
RestrictNamespaces=yes
LockPersonality=yes
RestrictAddressFamilies=AF_UNIX AF_INET AF_INET6 AF_NETLINK
SystemCallArchitectures=native
# Threads may choose their processors and give way (sched_setaffinity, setpriority): @resources stays allowed.
SystemCallFilter=@system-service
SystemCallFilter=~@privileged
SystemCallErrorNumber=EPERM
{capabilities}{devices}UMask=0027

[Install]
WantedBy=multi-user.target
"""
"""systemd.unit(5), systemd.service(5), systemd.exec(5), systemd.resource-control(5)."""
TTY = "char-tty*"
DEVICE_CLASSES: dict[str, tuple[str, ...]] = {
    "file": (),
    "synthetic": (),
    "rtsp": (),
    "aravis": ("char-usb_device",),
    "v4l2": ("char-video4linux", "char-media"),
    "serial": (TTY,),
    "modbus-rtu": (TTY,),
    "modbus-tcp": (),
    "io-gpio": ("char-gpiochip",),
    "io-modbus-rtu": (TTY,),
    "io-modbus-tcp": (),
    "gpio": ("char-gpiochip",),
    "simulated": (),
}
"""Classes of device files (/proc/devices) by kind of camera, PLC or ejector; other kinds may need any device."""
FIRST_FREE_PORT = 1024
"""Ports below it need CAP_NET_BIND_SERVICE, ip(7)."""


def unit_text(path: Path, user: str) -> str:
    """Give the unit of the line in this file; raises LineConfigError."""
    refuse_root(user)
    line, place = load_line(path), path.resolve()
    writable = "".join(f'ReadWritePaths="-{literal(folder)}"\n' for folder in _written(line))
    title = line.page.title if line.page else place.stem
    return UNIT.format(
        line=f'"{literal(place)}"'.replace("$", "$$"),  # of ExecStart alone, systemd.service(5)
        title=one_line(title).replace("%", "%%"),
        program=f'"{literal(program())}"',
        folder=one_line(str(place.parent)).replace("%", "%%"),
        user=one_line(user).replace("%", "%%"),
        writable=writable,
        hardened=HARDENED,
        capabilities=_capabilities(line),
        devices=_devices(line),
    )


def refuse_root(user: str) -> None:
    """Refuse root as the user of a service; raises LineConfigError."""
    if user in ("root", "0"):
        raise LineConfigError("user: found root, expected a user of the station's own; see docs/operation.md")


def _devices(line: Line) -> str:
    """Access to device files, and whether memory may be executable that was writable."""
    outputs = [line.ejector.output] if line.ejector and not line.shadow else []
    kinds = {kind_of(address) for address in (line.plc, *outputs, *(camera.address for camera in line.camera))}
    if line.engine != DEFAULT_ENGINE or kinds - set(DEVICE_CLASSES):
        others = sorted(kinds - set(DEVICE_CLASSES)) + [line.engine] * (line.engine != DEFAULT_ENGINE)
        return f"# The driver of {', '.join(others)} decides which device files it opens.\n"
    classes = sorted({name for kind in kinds for name in DEVICE_CLASSES[kind]})
    private = "" if classes else "PrivateDevices=yes\n"
    allowed = "".join(f"DeviceAllow={name} rw\n" for name in classes)
    return f"ProtectClock=yes\nMemoryDenyWriteExecute=yes\n{private}DevicePolicy=closed\n{allowed}"


def _capabilities(line: Line) -> str:
    """No capability, but for a port that only root could listen to."""
    plc = urlsplit(line.plc)
    listens = [plc.port or FIRST_FREE_PORT] if plc.scheme == "modbus-tcp" and "role=client" not in plc.query else []
    listens += [line.page.host_and_port[1]] if line.page else []
    if not any(0 < port < FIRST_FREE_PORT for port in listens):
        return "CapabilityBoundingSet=\n"
    return "CapabilityBoundingSet=CAP_NET_BIND_SERVICE\nAmbientCapabilities=CAP_NET_BIND_SERVICE\n"


def literal(word: object) -> str:
    """Return a path or word for use within double quotes, without specifiers (systemd.syntax(7))."""
    words = one_line(str(word)).replace("\\", "\\\\").replace('"', '\\"')
    return words.replace("%", "%%")


def one_line(words: str) -> str:
    """Return the words; raises LineConfigError for a character that cannot be printed."""
    if any(not character.isprintable() for character in words):
        raise LineConfigError(f"{words!r}: found a character that cannot be printed, expected one line; rename it")
    return words


def _written(line: Line) -> list[Path]:
    """Folders that the station writes to, beyond those that systemd makes for it."""
    folders = {line.records.resolve().parent} | ({line.pictures.folder.resolve()} if line.pictures else set())
    return sorted(folder for folder in folders if not folder.is_relative_to("/var/lib/edge-inspect"))


def program() -> Path:
    """Return the console script of the environment that this runs in."""
    script = Path(os.path.abspath(sys.argv[0]))
    return script if script.name == "edge-inspect" else Path(sys.executable).with_name("edge-inspect")
