"""Temperatures and clocks of the machine, read from sysfs: any Linux, and a Jetson without further software."""

from dataclasses import dataclass
from pathlib import Path

SYSFS = Path("/sys")


@dataclass(frozen=True)
class HardwareReadings:
    """Temperatures and clocks of the machine; a sensor that cannot be read is missing."""

    temperatures_c: dict[str, float]
    """Degrees Celsius by thermal zone, such as `cpu-thermal`; zones of one type have their number added."""
    clocks_hz: dict[str, float]
    """Present frequency of each processor core (`cpu0`) and device such as a Jetson's GPU (`17000000.gpu`)."""


def read_hardware(sysfs: Path = SYSFS) -> HardwareReadings:
    """Read all sensors: kernel documentation, sysfs-class-thermal, cpufreq and sysfs-class-devfreq."""
    temperatures: dict[str, float] = {}
    for zone in sorted(sysfs.glob("class/thermal/thermal_zone*")):
        value, name = _number(zone / "temp"), _text(zone / "type")
        if value is not None and name:
            temperatures[f"{name}-{zone.name[12:]}" if name in temperatures else name] = value / 1e3
    clocks = {}
    for core in sorted(sysfs.glob("devices/system/cpu/cpu[0-9]*/cpufreq/scaling_cur_freq")):
        clocks[core.parts[-3]] = _number(core, scale=1e3)
    for device in sorted(sysfs.glob("class/devfreq/*/cur_freq")):
        clocks[device.parts[-2]] = _number(device)
    return HardwareReadings(temperatures, {name: value for name, value in clocks.items() if value is not None})


def _number(path: Path, scale: float = 1.0) -> float | None:
    try:
        return float(_text(path)) * scale
    except ValueError:
        return None


def _text(path: Path) -> str:
    """Content of a sysfs file; empty where the driver refuses, as a zone that is switched off does."""
    try:
        return path.read_text(encoding="ascii", errors="replace").strip()
    except OSError:
        return ""
