"""The metrics count what the station reports, and rules and dashboard ask for metrics that exist."""

import json
import re
import shutil
import subprocess
from pathlib import Path

import pytest

from edge.page.page_model import PageModel
from edge.servers.state import DefectState, PartState, StateUpdate, TrialState
from tests.edge.page.doubles import NOON, Clock, alarm, part, station, welcome

ROOT = Path(__file__).resolve().parents[3]
MONITORING = ROOT / "docs" / "monitoring"

metrics = pytest.importorskip("edge.page.metrics", reason="prometheus_client is not installed")
Values = dict[tuple[str, ...], float]


def scratched(camera: str, class_name: str = "Scratch") -> DefectState:
    return DefectState(class_name=class_name, score=0.9, area_px=20, camera=camera)


@pytest.fixture
def sysfs(tmp_path: Path) -> Path:
    for file, text in (
        ("class/thermal/thermal_zone0/type", "cpu-thermal"),
        ("class/thermal/thermal_zone0/temp", "61500"),
        ("class/devfreq/17000000.gpu/cur_freq", "930000000"),
    ):
        (tmp_path / file).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / file).write_text(text + "\n")
    return tmp_path


def text_of(sysfs: Path, *parts: PartState) -> str:
    model = PageModel(welcome(records=str(sysfs / "records.sqlite")), Clock(), lambda: NOON)
    threads = {"infer": True, "report": False}
    trial = TrialState(bundle_id="cd" * 32)
    state = station(threads=threads, open_parts=3, verdicts={"OK": 5}, alarms=(alarm("records"),), trial=trial)
    model.take(StateUpdate(station=state, parts=parts), b"")
    return str(metrics.metrics_text(model, sysfs).decode())


def values_of(sysfs: Path, *parts: PartState) -> Values:
    from prometheus_client.parser import text_string_to_metric_families

    families = text_string_to_metric_families(text_of(sysfs, *parts))
    return {(sample.name, *sample.labels.values()): sample.value for family in families for sample in family.samples}


def test_the_latency_of_each_stage_runs_from_the_end_of_the_one_before(sysfs: Path) -> None:
    stages = {"frame": 4.0, "inferred": 34.0, "sent": 34.5}
    values = values_of(sysfs, part(1, stages_ms=stages, latency_ms=34.5), part(2, stages_ms=stages, latency_ms=34.5))

    assert values["edge_inspect_stage_seconds_bucket", "0.002", "frame"] == 0
    assert values["edge_inspect_stage_seconds_bucket", "0.005", "frame"] == 2
    assert values["edge_inspect_stage_seconds_sum", "inferred"] == pytest.approx(0.06)
    assert values["edge_inspect_stage_seconds_bucket", "0.001", "sent"] == 2
    assert values[("edge_inspect_latency_seconds_count",)] == 2
    assert values["edge_inspect_latency_seconds_bucket", "0.02"] == 0
    assert values["edge_inspect_latency_seconds_bucket", "0.05"] == 2


def test_a_latency_beyond_all_bounds_is_in_the_last_bucket_alone(sysfs: Path) -> None:
    values = values_of(sysfs, part(1, latency_ms=9000.0))

    assert values["edge_inspect_latency_seconds_bucket", "5.0"] == 0
    assert values["edge_inspect_latency_seconds_bucket", "+Inf"] == 1


def test_a_defective_part_counts_once_for_each_class_and_camera(sysfs: Path) -> None:
    seen = (scratched("top"), scratched("top"), scratched("side"), scratched("top", "Dent"))
    values = values_of(sysfs, part(1, "NG", defects=seen), part(2, "NG", defects=seen[:1]))

    counted = {  # labels in the order of their names
        labels[1:]: value for labels, value in values.items() if labels[0] == "edge_inspect_defective_parts_total"
    }
    assert counted == {("top", "Scratch", "NG"): 2, ("side", "Scratch", "NG"): 1, ("top", "Dent", "NG"): 1}


def test_threads_queue_verdicts_disk_and_machine_are_shown(sysfs: Path) -> None:
    values = values_of(sysfs)

    assert (values["edge_inspect_thread_up", "infer"], values["edge_inspect_thread_up", "report"]) == (1, 0)
    assert values[("edge_inspect_open_parts",)] == 3
    assert (values["edge_inspect_verdicts_total", "OK"], values["edge_inspect_verdicts_total", "NG"]) == (5, 0)
    assert 0 < values[("edge_inspect_disk_free_bytes",)] <= values[("edge_inspect_disk_size_bytes",)]
    assert values["edge_inspect_temperature_celsius", "cpu-thermal"] == 61.5
    assert values["edge_inspect_clock_hertz", "17000000.gpu"] == 930e6


@pytest.mark.parametrize("name", ["alerts.yml", "dashboard.json"])
def test_rules_and_dashboard_ask_for_metrics_that_exist(sysfs: Path, name: str) -> None:
    full = part(1, "NG", stages_ms={"frame": 1.0}, defects=(scratched("top"),))
    offered = {labels[0] for labels in values_of(sysfs, full)}
    asked = set(re.findall(r"\bedge_inspect_\w+", (MONITORING / name).read_text(encoding="utf-8")))

    assert len(asked) > 8
    assert asked <= offered


def test_labels_that_the_dashboard_names_are_those_of_its_metrics(sysfs: Path) -> None:
    text = text_of(sysfs, part(1, "NG", stages_ms={"frame": 1.0}, defects=(scratched("top"),)))
    board = json.loads((MONITORING / "dashboard.json").read_text(encoding="utf-8"))
    for panel in board["panels"]:
        for target in panel["targets"]:
            (metric, *_) = re.findall(r"\bedge_inspect_\w+", target["expr"])
            labels = set(re.findall(r"{{(\w+)}}", target["legendFormat"])) - {"instance"}
            line = next(line for line in text.splitlines() if line.startswith(metric) and line[len(metric)] in "{ ")
            assert labels <= set(re.findall(r'(\w+)="', line)), panel["title"]


def promtool(*arguments: object, text: str = "") -> "subprocess.CompletedProcess[str]":
    program = shutil.which("promtool")
    if program is None:
        pytest.skip("promtool is not installed: apt-get install prometheus")
    command = [program, *map(str, arguments)]
    return subprocess.run(command, input=text, capture_output=True, text=True, check=False)


def test_promtool_accepts_the_rules() -> None:
    checked = promtool("check", "rules", MONITORING / "alerts.yml")

    assert checked.returncode == 0, checked.stderr


def test_promtool_finds_no_metric_against_the_conventions(sysfs: Path) -> None:
    full = part(1, "NG", stages_ms={"frame": 1.0}, latency_ms=3.0, defects=(scratched("top"),))
    checked = promtool("check", "metrics", text=text_of(sysfs, full))

    assert checked.returncode == 0, checked.stderr
