"""Metrics of the station for Prometheus; the only file that imports its client."""

import shutil
from collections.abc import Iterator
from pathlib import Path

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily, Metric
from prometheus_client.registry import Collector

from edge.monitoring.hardware_sensors import SYSFS, read_hardware
from edge.page.page_model import PageModel
from edge.page.state import PageState
from edge.servers.state import VERDICTS, StationState

COUNTERS = {
    "triggers": "Parts that the PLC has triggered since the start",
    "overruns": "Triggers that came while too many parts were open",
    "acknowledged": "Results that the PLC has acknowledged",
    "undelivered": "Results that were given up",
    "rows_late": "Rows that reached the disk after their result was sent",
}
"""Help text by field of StationState."""
TRIAL_COUNTERS = {
    "judged": "Parts that the candidate bundle has judged",
    "disagreed": "Parts that one of the bundles passes and the other rejects",
    "dropped": "Parts that came while the candidate was busy",
}
"""Help text by field of TrialState."""
CAMERA_COUNTERS = {
    "frames": "Received frames",
    "damaged": "Exposures without a usable frame",
    "lost": "Lost connections",
}
"""Help text by field of CameraState."""


class _Station(Collector):
    """Collector that reads the page model at each scrape."""

    def __init__(self, model: PageModel, sysfs: Path) -> None:
        self._model, self._sysfs = model, sysfs

    def collect(self) -> Iterator[Metric]:
        """Yield the current metrics."""
        state = self._model.state()
        yield _gauge("up", "1 while parts are inspected", self._model.health().healthy)
        yield _gauge("silent_seconds", "Time since the last update of the station", state.silent_s)
        if state.station is not None:
            yield from _of_station(state.station)
        yield from _of_parts(state)
        yield from _of_counters(self._model)
        yield from _of_machine(Path(self._model.welcome.records).parent, self._sysfs)


def _of_station(station: StationState) -> Iterator[Metric]:
    info = GaugeMetricFamily(
        "edge_inspect_info",
        "Software, bundle and engine in use; always 1",
        labels=["software", "bundle", "bundle_id", "engine"],
    )
    info.add_metric([station.software, station.bundle_name, station.bundle_id, station.engine], 1)
    yield info
    yield _gauge("started_time_seconds", "Start of the station, seconds since 1970", station.started.timestamp())
    yield _gauge("link_open", "1 while station and PLC are connected", station.link_open)
    yield _gauge("shadow", "1 in shadow mode: nothing is rejected", station.shadow)
    yield _gauge("disk_refuses_rows", "1 while rows wait in memory", bool(station.disk_refuses))
    yield _gauge("alarms", "Active alarms", len(station.alarms))
    active = GaugeMetricFamily("edge_inspect_alarm_active", "1 for each active alarm", labels=["name"])
    for alarm in station.alarms:
        active.add_metric([alarm.name], 1)
    yield active
    threads = GaugeMetricFamily("edge_inspect_thread_up", "1 while the thread runs", labels=["thread"])
    for thread, runs in station.threads.items():
        threads.add_metric([thread], runs)
    yield threads
    yield _gauge("open_parts", "Parts between trigger and result", station.open_parts)
    verdicts = CounterMetricFamily("edge_inspect_verdicts", "Parts since the start by verdict", labels=["verdict"])
    for verdict in VERDICTS:
        verdicts.add_metric([verdict], station.verdicts.get(verdict, 0))
    yield verdicts
    for name, words in COUNTERS.items():
        yield CounterMetricFamily(f"edge_inspect_{name}", words, value=getattr(station, name))
    if (trial := station.trial) is not None:
        running = GaugeMetricFamily("edge_inspect_trial", "1 while the candidate judges parts", labels=["bundle_id"])
        running.add_metric([trial.bundle_id], trial.running)
        yield running
        for name, words in TRIAL_COUNTERS.items():
            yield CounterMetricFamily(f"edge_inspect_trial_{name}", words, value=getattr(trial, name))
    connected = GaugeMetricFamily("edge_inspect_camera_connected", "1 while the camera is connected", labels=["camera"])
    for camera in station.cameras:
        connected.add_metric([camera.name], camera.connected)
    yield connected
    for name, words in CAMERA_COUNTERS.items():
        family = CounterMetricFamily(f"edge_inspect_camera_{name}", words, labels=["camera"])
        for camera in station.cameras:
            family.add_metric([camera.name], getattr(camera, name))
        yield family


def _of_parts(state: PageState) -> Iterator[Metric]:
    shift = GaugeMetricFamily("edge_inspect_shift_parts", "Parts of this shift by verdict", labels=["verdict"])
    for verdict in VERDICTS:
        shift.add_metric([verdict], state.shift.verdicts.get(verdict, 0))
    yield shift


def _of_counters(model: PageModel) -> Iterator[Metric]:
    (buckets, sum_s), stages, defective = model.counted()
    yield HistogramMetricFamily("edge_inspect_latency_seconds", "Trigger to sent result", buckets, sum_s)
    histogram = HistogramMetricFamily(
        "edge_inspect_stage_seconds", "Latency by stage, from the end of the stage before", labels=["stage"]
    )
    for stage, (buckets, sum_s) in stages.items():
        histogram.add_metric([stage], buckets, sum_s)
    yield histogram
    parts = CounterMetricFamily(
        "edge_inspect_defective_parts", "Parts with a defect of the class", labels=["verdict", "class", "camera"]
    )
    for labels, count in defective.items():
        parts.add_metric(labels, count)
    yield parts


def _of_machine(folder: Path, sysfs: Path) -> Iterator[Metric]:
    if folder.is_dir():
        disk = shutil.disk_usage(folder)
        yield _gauge("disk_free_bytes", "Free space of the disk of the records", disk.free)
        yield _gauge("disk_size_bytes", "Size of the disk of the records", disk.total)
    found = read_hardware(sysfs)
    for name, words, label, values in (
        ("temperature_celsius", "Temperature of the machine", "sensor", found.temperatures_c),
        ("clock_hertz", "Present frequency of a core or device", "device", found.clocks_hz),
    ):
        family = GaugeMetricFamily(f"edge_inspect_{name}", words, labels=[label])
        for sensor, value in values.items():
            family.add_metric([sensor], value)
        yield family


def _gauge(name: str, words: str, value: float) -> Metric:
    return GaugeMetricFamily(f"edge_inspect_{name}", words, value=float(value))


def metrics_text(model: PageModel, sysfs: Path = SYSFS) -> bytes:
    """Return all metrics in the text format of Prometheus."""
    registry = CollectorRegistry(auto_describe=False)
    registry.register(_Station(model, sysfs))
    return generate_latest(registry)
