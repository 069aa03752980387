"""The demo: the runtime with a virtual camera and a simulated PLC on a pseudo-terminal."""

from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

from rich.console import Console
from rich.progress import track
from rich.table import Table

from bundle import Verdict, encode_drawing, load_bundle
from edge.config.line import Line
from edge.config.page import PageSettings
from edge.config.schema import CameraSettings
from edge.part import Part
from edge.records.overlay import JudgedPicture, draw_sheet
from edge.records.summary import latency_table
from edge.station import open_station
from firmware_bridge.parts import Report
from firmware_bridge.simulator.plc import PlcSimulator
from synthetic.tiles import choose_kind

DEFECTIVE_SHARE = 0.3
DEADLINE_S = 2.0
"""Long, so that a slow computer does not cause TIMEOUT."""
ON_SHEET = 40
PAGE_RATE_HZ = 1.5
"""Parts per second with the page."""


@dataclass
class DemoTally:
    """Counts verdicts against the ground truth of the virtual camera."""

    seed: int
    verdicts: Counter[str] = field(default_factory=Counter)
    good: int = 0
    escapes: int = 0
    """Defective parts that were passed."""
    false_rejects: int = 0
    """Good parts that were rejected."""
    rejected: list[JudgedPicture] = field(default_factory=list)

    def add(self, part: Part) -> None:
        """Count one part; keep its picture if it is rejected."""
        if part.outcome is None:
            raise ValueError(f"part {part.number} has no verdict yet")
        (view,) = part.views
        truth = choose_kind(self.seed, view.exposure, DEFECTIVE_SHARE)
        passed = part.outcome.verdict is Verdict.OK
        self.verdicts[part.outcome.verdict.name] += 1
        self.good += truth is None
        self.escapes += passed and truth is not None
        self.false_rejects += not passed and truth is None
        if not passed and view.frame is not None and view.masks is not None and len(self.rejected) < ON_SHEET:
            self.rejected.append(JudgedPicture(view.frame.pixels, view.masks, view.defects, _caption(part, truth)))


def run_demo(bundle_folder: Path, out: Path, parts: int, seed: int, console: Console, page: bool = False) -> bool:
    """Inspect `parts` drawn parts, print the tables, write the contact sheet; true if the PLC acknowledged each part.

    With the page, parts come slowly enough to be looked at. Raises BundleError, StationError or LinkError.
    """
    tally = DemoTally(seed)
    records = out / "records.sqlite"
    records.unlink(missing_ok=True)
    rate_hz = PAGE_RATE_HZ if page else None
    with PlcSimulator(parts, rate_hz=rate_hz, max_open=2, deadline_s=2 * DEADLINE_S) as plc:
        line = Line(
            bundle=bundle_folder,
            camera=(CameraSettings(address=f"synthetic://?seed={seed}&defective={DEFECTIVE_SHARE}"),),
            plc=plc.address,
            records=records,
            deadline_ms=DEADLINE_S * 1e3,
            grab_timeout_ms=DEADLINE_S * 1e3,
            page=PageSettings(title="A virtual line") if page else None,
        )
        console.print(f"A virtual line: {parts} drawn tiles, {bundle_folder.name} on the CPU, a PLC at {plc.address}")
        with open_station(line, tally.add) as runtime:
            for step in track(range(parts), "inspecting", console=console):
                while runtime.tally.acknowledged <= step and not runtime.finished.wait(0.01):
                    if plc.wait(0):
                        break
        acknowledged = runtime.tally.acknowledged
        report = plc.report()
    sheet = out / "rejected.png"
    thresholds = list(load_bundle(bundle_folder).manifest.thresholds.values())
    sheet.write_bytes(encode_drawing(draw_sheet(tally.rejected, thresholds)))
    console.print(_summary(tally, report, acknowledged), latency_table(records))
    console.print(f"Rejected parts with their masks: {sheet}")
    return acknowledged == report.parts == parts and report.unanswered == 0


def _summary(tally: DemoTally, report: Report, acknowledged: int) -> Table:
    defective = report.parts - tally.good
    table = Table("parts", str(report.parts))
    for name, count in sorted(tally.verdicts.items()):
        table.add_row(name, str(count))
    table.add_section()
    table.add_row("escapes (defective, passed)", f"{tally.escapes} of {defective}")
    table.add_row("false rejects (good, rejected)", f"{tally.false_rejects} of {tally.good}")
    table.add_section()
    table.add_row("verdicts acknowledged by the PLC", str(acknowledged))
    table.add_row("passed / rejected by the PLC", f"{report.passed} / {report.rejected}")
    table.add_row("parts left without a verdict", str(report.unanswered))
    return table


def _caption(part: Part, truth: str | None) -> str:
    found = part.outcome.defects[0] if part.outcome and part.outcome.defects else None
    said = f"{found.class_name} {found.score:.2f}" if found else "no verdict"
    wrong = truth is None or found is None or truth != found.class_name
    return f"{part.part_id}: {said}" + (f" (is {truth or 'good'})" if wrong else "")
