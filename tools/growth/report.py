"""Report of growth: Markdown table and a plot."""

import io
from collections.abc import Mapping, Sequence

from matplotlib.figure import Figure
from matplotlib.ticker import NullFormatter

from export.benchmark.acceptance_report import table
from tools.growth.fit import Cost, exponent
from tools.growth.steps import STEPS

COLUMNS = 3
"""Plots side by side."""
HEADER = "what grows|from|to|processor ms|exponent|at the largest|peak MiB above the start|exponent"


def growth_table(found: Mapping[str, Sequence[Cost]]) -> list[str]:
    """Markdown with a row for each step: its cost at both ends, the exponents of all sizes and of the last two."""
    rows = []
    for name, costs in found.items():
        sizes, spent = [one.size for one in costs], [one.processor_ms for one in costs]
        memory = [one.memory_mib for one in costs]
        rows.append(
            [
                name,
                *(f"{sizes[0]:,}", f"{sizes[-1]:,} {STEPS[name].unit}"),
                f"{spent[0]:,.1f} to {spent[-1]:,.1f}",
                *(shown(exponent(sizes, spent)), shown(exponent(sizes[-2:], spent[-2:]))),
                *(f"{memory[0]:.1f} to {memory[-1]:.1f}", shown(exponent(sizes, memory))),
            ]
        )
    return table(HEADER, rows)


def shown(found: float | None) -> str:
    """An exponent with two digits, a dash where there is none."""
    return "-" if found is None else f"{found:.2f}"


def growth_chart(found: Mapping[str, Sequence[Cost]]) -> bytes:
    """PNG with processor time over size for each step, logarithmic, beside a line of exponent 1."""
    lines = -(-len(found) // COLUMNS)
    figure = Figure(figsize=(9, 1.9 * lines), layout="constrained")
    plots = list(figure.subplots(lines, COLUMNS, squeeze=False).flat)
    for axes, (name, costs) in zip(plots, found.items(), strict=False):
        sizes, spent = [one.size for one in costs], [one.processor_ms for one in costs]
        axes.loglog(sizes, [spent[-1] * size / sizes[-1] for size in sizes], color="0.75", linestyle="--")
        axes.loglog(sizes, spent, marker="o", markersize=3, color="#4477aa")
        axes.set_title(f"{name}: {shown(exponent(sizes, spent))}", fontsize="small")
        axes.set_xlabel(STEPS[name].unit, fontsize="x-small")
        axes.set_ylabel("processor ms", fontsize="x-small")
        axes.tick_params(labelsize="x-small")
        for axis in (axes.xaxis, axes.yaxis):
            axis.set_minor_formatter(NullFormatter())
        axes.grid(alpha=0.3)
    for axes in plots[len(found) :]:
        axes.set_axis_off()
    content = io.BytesIO()
    figure.savefig(content, format="png", dpi=90)
    return content.getvalue()
