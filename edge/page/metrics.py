"""Metrics of the station for Prometheus; the only file that imports its client."""

from collections.abc import Iterator

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

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

    def __init__(self, model: PageModel) -> None:
        self._model = model

    def collect(self) -> Iterator[Metric]:
        """Yield the current metrics."""
        state = self._model.state()
        yield _gauge("up", "1 while parts are inspected", self._model.health().healthy)
        yield _gauge("silent_seconds", "Time since the last update of the station", state.silent_s)
        if state.station is not None:
            yield from _of_station(state.station)
        yield from _of_parts(state)


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
    if state.latency is not None:
        latency = GaugeMetricFamily(
            "edge_inspect_latency_seconds", "Trigger to sent result, over the latest parts", labels=["quantile"]
        )
        for quantile, value_ms in (("0.5", state.latency.p50_ms), ("0.99", state.latency.p99_ms)):
            latency.add_metric([quantile], value_ms / 1e3)
        yield latency


def _gauge(name: str, words: str, value: float) -> Metric:
    return GaugeMetricFamily(f"edge_inspect_{name}", words, value=float(value))


def metrics_text(model: PageModel) -> bytes:
    """Return all metrics in the text format of Prometheus."""
    registry = CollectorRegistry(auto_describe=False)
    registry.register(_Station(model))
    return generate_latest(registry)
