"""Sensors are read from sysfs; one that cannot be read is left out."""

from pathlib import Path

from edge.monitoring.hardware_sensors import read_hardware


def write(sysfs: Path, **files: str) -> None:
    for name, text in files.items():
        path = sysfs / name.replace("__", "/")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text + "\n")


def test_temperatures_have_the_name_of_their_zone(tmp_path: Path) -> None:
    for zone, (kind, temperature) in enumerate(
        (("cpu-thermal", "61500"), ("gpu-thermal", "-2000"), ("gpu-thermal", "7"))
    ):
        write(tmp_path, **{f"class__thermal__thermal_zone{zone}__type": kind})
        write(tmp_path, **{f"class__thermal__thermal_zone{zone}__temp": temperature})
    assert read_hardware(tmp_path).temperatures_c == {"cpu-thermal": 61.5, "gpu-thermal": -2.0, "gpu-thermal-2": 0.007}


def test_clocks_are_in_hertz_whatever_the_file_s_unit(tmp_path: Path) -> None:
    write(tmp_path, devices__system__cpu__cpu0__cpufreq__scaling_cur_freq="1500000")
    write(tmp_path, **{"class__devfreq__17000000.gpu__cur_freq": "930000000"})
    assert read_hardware(tmp_path).clocks_hz == {"cpu0": 1.5e9, "17000000.gpu": 930e6}


def test_a_sensor_that_cannot_be_read_is_missing(tmp_path: Path) -> None:
    write(tmp_path, class__thermal__thermal_zone0__type="off", class__thermal__thermal_zone0__temp="")
    (tmp_path / "class/thermal/thermal_zone1/temp").mkdir(parents=True)
    found = read_hardware(tmp_path)
    assert (found.temperatures_c, found.clocks_hz) == ({}, {})
