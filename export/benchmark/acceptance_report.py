"""Acceptance report of a machine with a GPU, as Markdown."""

from collections.abc import Mapping, Sequence

from bundle import FrozenModel
from export.benchmark.acceptance import Accepted
from export.benchmark.acceptance_rivals import EngineFigures
from export.benchmark.benchmark import Speed

ROOFLINE = (
    "Shares are the shortest time that the GPU allows over 1 / (frames/s). By layers: the sum over the kernels of "
    "max(multiplications / peak, bytes / bandwidth), where every kernel reads and writes memory; an engine that keeps "
    "activations on the chip can be above 1. Fused: max of the sums, where only frames, weights and outputs move."
)


class AcceptanceReport(FrozenModel):
    """Results of one acceptance run."""

    machine: dict[str, str]
    answers: dict[str, str]
    """By edition and version of TensorRT: whether it runs on this GPU, or the reason why not."""
    stand_in: str | None
    """Substitute for TensorRT, if no edition runs here."""
    accepted: tuple[Accepted, ...]
    not_accepted: dict[str, str]
    """By bundle: the reason why it could not be measured."""
    setting: str
    rows: tuple[EngineFigures, ...]
    peak: str
    """Source of the roofline's peak values, or the reason why they are unknown."""
    seconds: float

    @property
    def passed(self) -> bool:
        """Whether TensorRT runs here and no bundle exceeds a limit."""
        everything = bool(self.accepted) and not self.not_accepted and all(one.passed for one in self.accepted)
        return everything and self.stand_in is None


def to_page(found: AcceptanceReport) -> str:
    """Write the report as Markdown."""
    sections = [
        [f"# Acceptance on {found.machine['device']}", "", "Passed." if found.passed else "**Not passed.**"],
        _list(found.machine | {"took": f"{found.seconds:.0f} s"}),
        ["## Does TensorRT run on this GPU?", "", *_list(found.answers), *_stand_in(found)],
        ["## Bundles", "", *_bundles(found), "", *_objections(found)],
        ["## Agreement, memory", "", *_agreement(found.accepted)],
        [f"## Side by side: {found.setting}", "", *_comparison(found.rows), "", ROOFLINE, "", f"Peak: {found.peak}."],
    ]
    return "\n\n".join("\n".join(lines).rstrip() for lines in sections) + "\n"


def table(header: str, rows: Sequence[Sequence[object]]) -> list[str]:
    """A Markdown table; `header` has the columns separated by |."""
    columns = header.split("|")
    lines = [f"| {' | '.join(column.strip() for column in columns)} |", "|---" * len(columns) + "|"]
    return lines + [f"| {' | '.join(map(str, row))} |" for row in rows]


def _list(content: Mapping[str, str]) -> list[str]:
    return [f"- {name}: {value}" for name, value in content.items()]


def _stand_in(found: AcceptanceReport) -> list[str]:
    if found.stand_in is None:
        return []
    return [
        "",
        f"**No.** {found.stand_in} takes its place, in the same slots, on the same streams: what follows shows kernel, "
        "copies, order and memory on this GPU, and nothing of TensorRT.",
    ]


def _bundles(found: AcceptanceReport) -> list[str]:
    rows = []
    for one in found.accepted:
        named = [one.bundle, one.precision, "yes" if one.passed else "NO"]
        ratio = "not measured" if one.runtime_over_bare is None else f"{one.runtime_over_bare:.3f}"
        plain, graph = (["", ""], ["used", ratio]) if one.uses_graph else (["used", ratio], ["", ""])
        rows.append([*named, "kernel by kernel", *_figures(one.plain), *plain])
        rows.append([*named, "CUDA graph", *_figures(one.graph), *graph])
    return table("bundle|precision|passed|launched|p50 ms|p99 ms|p99 / p50|frames/s||runtime / bare", rows)


def _figures(speed: Speed | None) -> list[str]:
    if speed is None:
        return ["refused", "", "", ""]
    ratio = speed.p99_ms / speed.p50_ms
    return [f"{speed.p50_ms:.3f}", f"{speed.p99_ms:.3f}", f"{ratio:.2f}", f"{speed.frames_per_s:.0f}"]


def _objections(found: AcceptanceReport) -> list[str]:
    lines = [f"- {one.bundle}: {objection}" for one in found.accepted for objection in one.objections]
    lines += [f"- {one.bundle}: no CUDA graph: {one.graph_refusal}" for one in found.accepted if one.graph_refusal]
    return lines + [f"- {bundle}: not measured: {reason}" for bundle, reason in found.not_accepted.items()]


def _agreement(accepted: Sequence[Accepted]) -> list[str]:
    rows = [
        [
            one.bundle,
            one.parity["images"],
            f"{one.parity['largest_score_difference']:.5f}",
            one.parity["largest_mask_difference"],
            len(one.parity["changed_verdicts"]),
            one.kernel_largest_gap,
            f"{one.memory.host_bytes} B",
            f"{one.memory.device_bytes} B",
            one.memory.frames,
        ]
        for one in accepted
    ]
    header = "bundle|images|score gap|mask gap|changed verdicts|kernel gap|host growth|GPU growth|over frames"
    note = "Gaps are beside onnxruntime's CPU provider on drawn parts: in scores, levels of 255, grey levels."
    return [*table(header, rows), "", note]


def _comparison(rows: Sequence[EngineFigures]) -> list[str]:
    cells = []
    for one in rows:
        if one.missing:
            cells.append([one.precision, one.engine, f"not measured: {one.missing}", *[""] * 5])
            continue
        shares = [_or_unknown(share, ".1%") for share in (one.layered_share, one.fused_share)]
        figures = [f"{one.p50_ms:.3f}", f"{one.p99_ms:.3f}", f"{one.frames_per_s:.0f}"]
        cells.append([one.precision, one.engine, *figures, *shares, _or_unknown(one.score_gap, ".4f")])
    header = "precision|engine|p50 ms|p99 ms|frames/s|roofline, by layers|roofline, fused|score gap"
    return table(header, cells)


def _or_unknown(value: float | None, form: str) -> str:
    return "unknown" if value is None else format(value, form)
