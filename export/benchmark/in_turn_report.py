"""Report of networks measured in turn: Markdown tables and a bar chart."""

import io
from collections.abc import Mapping, Sequence
from typing import Any

from matplotlib.figure import Figure

from export.benchmark.acceptance_report import table
from export.benchmark.in_turn import FrameTiming
from export.benchmark.roofline import BOARDS

REFERENCE = "onnxruntime"
"""Runtime that the others are held against."""
COLOURS = ("#4477aa", "#ee6677", "#228833", "#ccbb44", "#66ccee")
LAYERS = 6
"""Layers that are listed: those with the most time above their bound."""


def page_of(content: Mapping[str, Any], timings: Sequence[FrameTiming]) -> str:
    """Write the report as Markdown."""
    facts = {
        "machine": ", ".join(content["machine"]),
        "load when it ended": ", ".join(content["load"]),
        "peak": content["peak"],
        "date": content["date"],
        "command": f"`{content['command']}`",
    }
    sections = [
        [f"- {name}: {value}" for name, value in facts.items()],
        _summary(timings, content),
        _times(timings, content["work"]),
        _missing(timings),
        _accuracy(content["accuracy"]),
        _layers(content["layers"], content["other_nodes_ms"]),
        _preparation(content["preparation_ms"]),
        _boards(content["work"]),
    ]
    return "\n\n".join("\n".join(lines) for lines in sections if lines) + "\n"


def bar_chart(timings: Sequence[FrameTiming]) -> bytes:
    """PNG with the processor time of a frame, by network and runtime."""
    measured = [row for row in timings if row.processor_ms is not None]
    networks = list(dict.fromkeys(row.network for row in measured))
    runtimes = list(dict.fromkeys(row.runtime for row in measured))
    figure = Figure(figsize=(9, 1.2 + 0.14 * len(networks) * (len(runtimes) + 1)), layout="constrained")
    axes = figure.subplots()
    height = 0.85 / len(runtimes)
    for place, runtime in enumerate(runtimes):
        rows = [row for row in measured if row.runtime == runtime]
        at = [networks.index(row.network) + (place - (len(runtimes) - 1) / 2) * height for row in rows]
        axes.barh(
            at, [row.processor_ms or 0 for row in rows], height, label=runtime, color=COLOURS[place % len(COLOURS)]
        )
    axes.set_yticks(range(len(networks)), networks)
    axes.invert_yaxis()
    axes.set_xscale("log")
    axes.xaxis.set_major_formatter("{x:g}")
    axes.xaxis.set_minor_formatter("{x:g}")
    axes.set_xlabel("processor time of a frame, ms (logarithmic)")
    axes.grid(axis="x", which="both", alpha=0.3)
    axes.legend(fontsize="small", ncols=len(runtimes), loc="lower center", bbox_to_anchor=(0.4, 1))
    content = io.BytesIO()
    figure.savefig(content, format="png", dpi=110)
    return content.getvalue()


def quality_chart(timings: Sequence[FrameTiming], panels: Mapping[str, Mapping[str, float]]) -> bytes | None:
    """PNG with quality over the processor time of each network in its fastest runtime; None if no network has both.

    panels: by the name of the measure, the quality of networks in percent.
    """
    fastest = fastest_of(timings)
    points = {
        measure: {name: (fastest[name][0], value) for name, value in found.items() if name in fastest}
        for measure, found in panels.items()
    }
    points = {measure: placed for measure, placed in points.items() if placed}
    if not points:
        return None
    figure = Figure(figsize=(4.6 * len(points), 3.6), layout="constrained")
    for axes, (measure, placed) in zip(
        figure.subplots(1, len(points), squeeze=False).flat, points.items(), strict=True
    ):
        for place, (name, (ms, value)) in enumerate(placed.items()):
            axes.plot(ms, value, "o", color=COLOURS[place % len(COLOURS)], label=name)
        axes.set_xscale("log")
        axes.xaxis.set_major_formatter("{x:g}")
        axes.xaxis.set_minor_formatter("{x:g}")
        axes.tick_params(labelsize="x-small", which="both")
        axes.set_xlabel("processor time of a frame, ms (logarithmic)", fontsize="small")
        axes.set_ylabel(measure, fontsize="small")
        axes.margins(0.15)
        axes.grid(alpha=0.3)
        axes.legend(fontsize="x-small")
    content = io.BytesIO()
    figure.savefig(content, format="png", dpi=100)
    return content.getvalue()


def _times(timings: Sequence[FrameTiming], work: Mapping[str, Any]) -> list[str]:
    base = {row.network: row.processor_ms for row in timings if row.runtime == REFERENCE}
    rows = []
    for row in timings:
        if row.median_ms is None or row.processor_ms is None:
            continue
        counted, of_base = work[row.network], base.get(row.network)
        rows.append(
            [
                *(row.network, row.runtime, f"{row.processor_ms:.2f}"),
                f"{row.processor_ms / of_base:.2f}" if of_base else "",
                *(f"{row.median_ms:.2f}", f"{row.least_ms:.2f} to {row.most_ms:.2f}", f"{row.p99_ms:.2f}"),
                f"{counted['giga_macs']:.2f}" if counted else "",
                f"{100 * counted['shortest_ms'] / row.processor_ms:.0f} %" if counted else "",
            ]
        )
    header = (
        f"network|runtime|processor ms|of {REFERENCE}|median ms|medians of the rounds|p99 ms|G multiplications|"
        "share of the peak"
    )
    return table(header, rows)


def fastest_of(timings: Sequence[FrameTiming]) -> dict[str, tuple[float, str]]:
    """Processor time and runtime of each network in its fastest runtime, the fastest network first."""
    fastest = dict[str, tuple[float, str]]()
    for ms, runtime, name in sorted(
        (row.processor_ms, row.runtime, row.network) for row in timings if row.processor_ms
    ):
        fastest.setdefault(name, (ms, runtime))
    return fastest


def _summary(timings: Sequence[FrameTiming], content: Mapping[str, Any]) -> list[str]:
    """Each network in its fastest runtime, beside the fastest of the peers in its own, with its accuracy."""
    fastest = fastest_of(timings)
    least = min((ms for name, (ms, _) in fastest.items() if name in content["peers"]), default=None)
    rows = []
    for name, (ms, runtime) in fastest.items():
        judged = content["accuracy"].get(f"{name}, {runtime}")
        rows.append(
            [
                *(name, runtime, f"{ms:.2f}", f"{least / ms:.1f}" if least else ""),
                *(_accuracy_cells(judged) if judged else [""] * 3),
            ]
        )
    return table(
        "network|its fastest runtime|processor ms|times as fast as the fastest peer|average precision|escapes|"
        "false rejects",
        rows,
    )


def _accuracy_cells(judged: Mapping[str, Any]) -> list[str]:
    """Average precision in percent, escapes, false rejects."""
    return [f"{100 * judged['average_precision']:.1f}", f"{judged['escapes']}", f"{judged['false_rejects']}"]


def _missing(timings: Sequence[FrameTiming]) -> list[str]:
    return [f"- {row.network}, {row.runtime}: {row.missing}" for row in timings if row.missing]


def _accuracy(found: Mapping[str, Mapping[str, Any]]) -> list[str]:
    if not found:
        return []
    rows = [[name, row["images"], *_accuracy_cells(row)] for name, row in found.items()]
    return table("bundle, engine|images|average precision|escapes|false rejects", rows)


def _layers(layers: Sequence[Mapping[str, Any]], rest_ms: float) -> list[str]:
    rows = [
        [
            *(row["layer"], f"{row['macs'] / 1e6:.0f} M", f"{row['ms']:.2f}", f"{row['shortest_ms']:.2f}"),
            f"{100 * row['shortest_ms'] / row['ms']:.0f} %",
        ]
        for row in layers[:LAYERS]
    ]
    rows.append(["all convolutions", *_sums(layers)])
    rows.append(["other nodes", "", f"{rest_ms:.2f}", "", ""])
    return table("layer of the first bundle, onnxruntime|multiplications|ms|shortest ms|share", rows)


def _sums(layers: Sequence[Mapping[str, Any]]) -> list[str]:
    macs, took, shortest = (sum(row[key] for row in layers) for key in ("macs", "ms", "shortest_ms"))
    return [f"{macs / 1e6:.0f} M", f"{took:.2f}", f"{shortest:.2f}", f"{100 * shortest / took:.0f} %"]


def _preparation(found: Mapping[str, float]) -> list[str]:
    return table(
        "grey frame to the input of the first bundle|processor ms", [[size, f"{ms:.2f}"] for size, ms in found.items()]
    )


def _boards(work: Mapping[str, Any]) -> list[str]:
    rows = [[name, *(f"{found[board]:.0f}" for board in BOARDS)] for name, found in work.items() if found]
    return table("frames/s at most, by layers|" + "|".join(BOARDS), rows)
