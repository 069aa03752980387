"""Networks measured in turn: which times count, what the report says of them."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from bundle import InputSpec
from export.benchmark.in_turn import Contestant, FrameTiming, Turn, frame_by_frame, measured
from export.benchmark.in_turn_report import bar_chart, page_of, quality_chart
from export.benchmark.layer_times import layer_times
from export.benchmark.processor_peak import processor_peak
from export.benchmark.roofline import BOARDS, Peak, peak_of
from tests.export.networks import can_model
from tools.bench_networks import ABLATION

ROOT = Path(__file__).resolve().parents[3]


def test_contestants_are_measured_in_turn_after_a_frame_that_does_not_count() -> None:
    calls: list[tuple[str, int]] = []

    def turn_of(name: str) -> Turn:
        def turn(frames: int) -> tuple[list[float], float]:
            calls.append((name, frames))
            return [1000.0 if frames == 1 else 2.0] * frames, 1.0

        return turn

    found = measured([Contestant("net", name, turn_of(name)) for name in "ab"], rounds=2, frames=3)

    assert calls == [("a", 1), ("b", 1), ("a", 3), ("b", 3), ("a", 3), ("b", 3)]
    assert [(row.runtime, row.frames, row.p99_ms) for row in found] == [("a", 6, 2.0), ("b", 6, 2.0)]


def test_median_spread_and_processor_time_are_of_the_rounds() -> None:
    turns = iter([([9.0], 9.0), ([1.0, 2.0, 9.0], 4.0), ([4.0, 5.0, 6.0], 8.0), ([3.0, 3.0, 3.0], 1.0)])

    (row,) = measured([Contestant("net", "way", lambda _frames: next(turns))], rounds=3, frames=3)

    assert (row.least_ms, row.median_ms, row.most_ms, row.processor_ms) == (2.0, 3.0, 5.0, 4.0)


def test_a_turn_of_single_frames_stamps_each() -> None:
    def ticks(*values: float) -> Callable[[], float]:
        left: Iterator[float] = iter(values)
        return lambda: next(left)

    numbers: list[int] = []
    turn = frame_by_frame(numbers.append, ticks(0.0, 0.5, 2.0), ticks(10.0, 10.4))

    times, processor_ms = turn(2)

    assert numbers == [0, 1]
    assert times == pytest.approx([500, 1500])
    assert processor_ms == pytest.approx(200)


def test_the_peak_is_the_best_run() -> None:
    times = [4.0, 1.0, 0.25, 0.5, 2.0, 1.0]  # two runs each: product in float32, in INT8, copy
    stamps = iter([stamp for number, time in enumerate(times) for stamp in (10.0 * number, 10.0 * number + time)])

    peak = processor_peak(runs=2, clock=lambda: next(stamps))

    assert peak.macs_per_s == {"fp32": 768**3, "fp16": 768**3, "int8": 4 * 768**3}
    assert peak.bytes_per_s == 2 * (64 << 20)


def test_each_convolution_has_its_time_and_bound() -> None:
    spec = InputSpec(height=32, width=24, channels=1)
    model = can_model(spec, width=4)
    peak = Peak({"fp32": 1e9, "fp16": 1e9, "int8": 1e9}, 1e9, "")

    layers, rest_ms = layer_times(model.SerializeToString(), [np.zeros((1, 1, 32, 24), np.uint8)] * 2, peak)

    convolutions = [node for node in model.graph.node if node.op_type == "Conv"]
    assert len(layers) == len(convolutions)
    assert sum(layer.work.macs for layer in layers) > 0
    assert [layer.lost_ms for layer in layers] == sorted((layer.lost_ms for layer in layers), reverse=True)
    assert rest_ms > 0


def content(**more: Any) -> dict[str, Any]:
    work = {"net": {"giga_macs": 1.5, "shortest_ms": 3.0, **dict.fromkeys(BOARDS, 100.0)}, "other": None}
    layer = {"layer": "second", "ms": 2.0, "shortest_ms": 1.0, "macs": 5_000_000}
    return {
        **{
            "machine": ["x86_64", "CPU"],
            "load": ["1", "2", "3"],
            "peak": "a peak",
            "date": "today",
            "command": "bench",
        },
        **{
            "work": work,
            "accuracy": {},
            "peers": [],
            "layers": [layer],
            "other_nodes_ms": 0.5,
            "preparation_ms": {"640x480": 1.25},
        },
        **more,
    }


TIMINGS = [
    FrameTiming(
        network=network,
        runtime=runtime,
        frames=6,
        median_ms=7.0,
        p99_ms=9.0,
        least_ms=6.5,
        most_ms=8.0,
        processor_ms=ms,
    )
    for network, runtime, ms in (("net", "onnxruntime", 6.0), ("net", "openvino", 4.5), ("other", "onnxruntime", 1.0))
]


JUDGED = {"net, openvino": {"images": 9, "average_precision": 0.912, "escapes": 1, "false_rejects": 2}}


def test_the_report_holds_each_way_against_onnxruntime_and_the_peak() -> None:
    rows = [[cell.strip() for cell in line.split("|")[1:-1]] for line in page_of(content(), TIMINGS).splitlines()]

    assert ["net", "openvino", "4.50", "0.75", "7.00", "6.50 to 8.00", "9.00", "1.50", "67 %"] in rows
    assert ["other", "onnxruntime", "1.00", "1.00", "7.00", "6.50 to 8.00", "9.00", "", ""] in rows
    assert ["640x480", "1.25"] in rows
    assert ["second", "5 M", "2.00", "1.00", "50 %"] in rows


def test_the_report_says_what_is_missing_and_how_accurate_a_bundle_is() -> None:
    missing = FrameTiming(network="net", runtime="torch, compiled", missing="no compiler")

    page = page_of(content(accuracy=JUDGED), [*TIMINGS, missing])

    assert "- net, torch, compiled: no compiler" in page
    assert "| net, openvino | 9 | 91.2 | 1 | 2 |" in page


def test_networks_are_held_against_the_fastest_peer_each_in_its_fastest_runtime() -> None:
    peer = TIMINGS[0].model_copy(update={"network": "unet"})
    slower = peer.model_copy(update={"network": "hrnet", "processor_ms": 60.0})

    page = page_of(
        content(accuracy=JUDGED, peers=["unet", "hrnet"], work=content()["work"] | {"unet": None, "hrnet": None}),
        [*TIMINGS, peer, slower],
    )

    rows = [line for line in page.splitlines() if line.count("|") == 8]
    assert rows[2:6] == [
        "| other | onnxruntime | 1.00 | 6.0 |  |  |  |",
        "| net | openvino | 4.50 | 1.3 | 91.2 | 1 | 2 |",
        "| unet | onnxruntime | 6.00 | 1.0 |  |  |  |",
        "| hrnet | onnxruntime | 60.00 | 0.1 |  |  |  |",
    ]


def test_the_chart_is_a_picture() -> None:
    assert bar_chart(TIMINGS).startswith(b"\x89PNG")


def test_speed_and_quality_are_drawn_of_networks_that_have_both() -> None:
    chart = quality_chart(TIMINGS, {"AP": {"net": 91.2, "unmeasured": 80.0}})

    assert chart is not None
    assert chart.startswith(b"\x89PNG")
    assert quality_chart(TIMINGS, {"AP": {"unmeasured": 80.0}}) is None


def test_qualities_of_the_ablation_are_those_of_its_table() -> None:
    rows = (ROOT / "train" / "RESULTS.md").read_text(encoding="utf-8").split("## Ablation")[1].splitlines()
    cells = [[cell.strip() for cell in row.split("|")] for row in rows if row.count("|") == 10]

    measured = {(float(row[6]), float(row[8])) for row in cells if row[6].replace(".", "").isdigit()}

    assert set(ABLATION.values()) <= measured


@pytest.mark.parametrize("board", BOARDS)
def test_boards_have_a_peak(board: str) -> None:
    capability, chip, memory = BOARDS[board]

    assert peak_of(capability, *chip, 0, 0, memory) is not None


@pytest.mark.parametrize(
    ("board", "dense_tops"), [("Orin Nano 8GB", 20), ("Orin Nano 8GB Super", 67 / 2), ("AGX Orin 64GB", 170 / 2)]
)
def test_the_peak_of_a_board_is_that_of_its_data_sheet(board: str, dense_tops: float) -> None:
    """INT8 of the GPU, two operations for each multiplication; the sheets round to whole TOPS."""
    capability, chip, memory = BOARDS[board]

    peak = peak_of(capability, *chip, 0, 0, memory)

    assert peak is not None
    assert peak.macs_per_s["int8"] == pytest.approx(dense_tops * 1e12 / 2, rel=0.03)
