"""A real Prometheus scrapes the page: panels of the dashboard have data, and each rule fires on its own fault alone."""

import json
import re
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any
from urllib.error import URLError
from urllib.parse import quote, urlsplit
from urllib.request import urlopen

import pytest

from edge.page.page_model import PageModel
from edge.servers.state import DefectState, StateUpdate
from tests.edge.forwarding.waiting import free_port, wait_for
from tests.edge.page.doubles import Serve, alarm, part, station

pytest.importorskip("edge.page.metrics", reason="prometheus_client is not installed")

MONITORING = Path(__file__).resolve().parents[3] / "docs" / "monitoring"
BOARD = json.loads((MONITORING / "dashboard.json").read_text(encoding="utf-8"))
ABSENT = {"Temperature", "Clocks"}
"""Panels of sensors that a virtual machine may lack."""


class Prometheus:
    """Prometheus that scrapes one station five times a second."""

    def __init__(self, folder: Path, target: str) -> None:
        self.port = free_port()
        jobs = [{"job_name": "edge-inspect", "static_configs": [{"targets": [urlsplit(target).netloc]}]}]
        settings = {"global": {"scrape_interval": "200ms", "scrape_timeout": "200ms"}, "scrape_configs": jobs}
        (folder / "prometheus.yml").write_text(json.dumps(settings), encoding="utf-8")  # YAML takes JSON
        options = [f"--config.file={folder}/prometheus.yml", f"--storage.tsdb.path={folder}/data"]
        self.process = subprocess.Popen(
            [program("prometheus"), *options, f"--web.listen-address=127.0.0.1:{self.port}"],
            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        )  # fmt: skip

    def ask(self, question: str) -> list[Any]:
        """Answer of its API; empty while it starts."""
        address = f"http://127.0.0.1:{self.port}/api/v1/{question}"
        with suppress(URLError, ConnectionError), urlopen(address, timeout=20.0) as answer:
            data = json.load(answer)["data"]
            return list(data["result"] if isinstance(data, dict) else data)
        return []

    def query(self, expression: str) -> list[dict[str, Any]]:
        """Series of an expression now."""
        return self.ask(f"query?query={quote(expression)}")


def program(name: str) -> str:
    found = shutil.which(name)
    if found is None:
        pytest.skip(f"{name} is not installed: tests/install-plant-peers")
    return found


@contextmanager
def scraping(folder: Path, target: str) -> Iterator[Prometheus]:
    started = Prometheus(folder, target)
    try:
        yield started
    finally:
        started.process.kill()
        started.process.wait()


def test_each_panel_of_the_dashboard_has_data(model: PageModel, serve: Serve, tmp_path: Path) -> None:
    seen = (DefectState(class_name="Scratch", score=0.9, area_px=20, camera="top"),)
    numbers = iter(range(1, 1000))

    def inspect() -> None:
        number = next(numbers)
        ended = {"infer": True, "report": False}
        state = station(threads=ended, verdicts={"OK": number}, alarms=(alarm("lamp"),), triggers=number)
        model.take(StateUpdate(station=state, parts=(part(number, "NG", stages_ms={"frame": 1.0}, defects=seen),)), b"")

    inspect()
    with scraping(tmp_path, serve(model)) as prometheus:
        wait_for(lambda: prometheus.query("edge_inspect_latency_seconds_count"), "Prometheus scrapes nothing")
        inspect()
        wait_for(lambda: prometheus.query("rate(edge_inspect_latency_seconds_count[5m]) > 0"))
        instances = prometheus.ask("label/instance/values?match[]=edge_inspect_up")
        found = {
            (panel["title"], target["refId"]): prometheus.query(target["expr"].replace("$station", ".*"))
            for panel in BOARD["panels"]
            for target in panel["targets"]
        }

    assert len(instances) == 1  # what the board's list of stations offers
    assert {title for (title, _), series in found.items() if not series} <= ABSENT
    for panel in BOARD["panels"]:
        for target in panel["targets"]:
            for series in found[panel["title"], target["refId"]]:
                assert set(re.findall(r"{{(\w+)}}", target["legendFormat"])) <= set(series["metric"]), panel["title"]


OFFICE = 'instance="line3:8080"'
WELL = [  # series and values every 15 s, promtool's notation
    (f'up{{job="edge-inspect", {OFFICE}}}', "1x200"),
    (f"edge_inspect_up{{{OFFICE}}}", "1x200"),
    (f'edge_inspect_thread_up{{thread="infer", {OFFICE}}}', "1x200"),
    (f"edge_inspect_link_open{{{OFFICE}}}", "1x200"),
    (f'edge_inspect_camera_connected{{camera="top", {OFFICE}}}', "1x200"),
    (f'edge_inspect_verdicts_total{{verdict="OK", {OFFICE}}}', "0+150x200"),
    (f'edge_inspect_verdicts_total{{verdict="TIMEOUT", {OFFICE}}}', "0+1x200"),
    (f'edge_inspect_verdicts_total{{verdict="FAULT", {OFFICE}}}', "0+1x200"),
    (f"edge_inspect_undelivered_total{{{OFFICE}}}", "5x200"),
    (f"edge_inspect_disk_refuses_rows{{{OFFICE}}}", "0x200"),
    (f"edge_inspect_disk_free_bytes{{{OFFICE}}}", "6x200"),
    (f"edge_inspect_disk_size_bytes{{{OFFICE}}}", "100x200"),
    (f'edge_inspect_temperature_celsius{{sensor="cpu", {OFFICE}}}', "85x200"),
]
FAULTS = {  # by alert: the number of the series above that differs, its values, labels and text of the alert
    "StationSilent": (0, "0x200", "no answer from the page; its line may still inspect", {"job": "edge-inspect"}),
    "StationNotInspecting": (1, "0x200", "no parts are inspected; /health has the reasons", {}),
    "ThreadDown": (2, "0x200", "thread infer has ended", {"thread": "infer"}),
    "PlcDisconnected": (3, "0x200", "the PLC is not connected", {}),
    "CameraLost": (4, "0x200", "camera top is lost", {"camera": "top"}),
    "PartsLate": (6, "0+2x200", "more than 1 % of the parts have no verdict in time", {}),
    "PartsNotInspected": (7, "0+2x200", "more than 1 % of the parts are FAULT", {}),
    "ResultsUndelivered": (8, "5x100 6x100", "results did not reach the PLC", {}),
    "RecordsRefused": (9, "1x200", "the disk refuses rows", {}),
    "DiskAlmostFull": (10, "4x200", "less than 5 % of the disk is free", {}),
    "Hot": (12, "91x200", "cpu is at 91 degrees; clocks fall next", {"sensor": "cpu"}),
    "StationAlarm": (len(WELL), "1x200", "lamp", {"name": "lamp"}),
}
CRITICAL = {"StationSilent", "StationNotInspecting", "ThreadDown", "PlcDisconnected", "CameraLost", "RecordsRefused"}
ACTIVE = (f'edge_inspect_alarm_active{{name="lamp", {OFFICE}}}', "1x200")


def test_each_rule_has_its_fault_here() -> None:
    named = re.findall(r"- alert: (\w+)", (MONITORING / "alerts.yml").read_text(encoding="utf-8"))

    assert named == list(FAULTS)


@pytest.mark.parametrize("fault", ["none", *FAULTS])
def test_a_rule_fires_on_its_fault_alone(fault: str, tmp_path: Path) -> None:
    series = dict(enumerate(WELL))
    expected: dict[str, list[dict[str, Any]]] = {name: [] for name in FAULTS}
    if fault != "none":
        place, values, text, labels = FAULTS[fault]
        series[place] = ([*WELL, ACTIVE][place][0], values)
        severity = "critical" if fault in CRITICAL else "warning"
        told = {"instance": "line3:8080", "severity": severity, **labels}
        expected[fault] = [{"exp_labels": told, "exp_annotations": {"summary": f"line3:8080: {text}"}}]
    fired = [{"eval_time": "30m", "alertname": name, "exp_alerts": alerts} for name, alerts in expected.items()]
    given = [{"series": name, "values": values} for name, values in series.values()]
    case = {"interval": "15s", "input_series": given, "alert_rule_test": fired}
    rules = {"rule_files": [str(MONITORING / "alerts.yml")], "evaluation_interval": "15s", "tests": [case]}
    (tmp_path / "tests.yml").write_text(json.dumps(rules), encoding="utf-8")
    command = [program("promtool"), "test", "rules", str(tmp_path / "tests.yml")]
    done = subprocess.run(command, capture_output=True, text=True, check=False)

    assert done.returncode == 0, done.stdout + done.stderr
