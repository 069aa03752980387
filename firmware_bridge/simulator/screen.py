"""The simulated line on a terminal: address, live counts, closing table."""

import argparse
import sys
import time
from contextlib import nullcontext, suppress
from pathlib import Path
from statistics import quantiles

from rich.console import Console, Group
from rich.live import Live
from rich.table import Table

from firmware_bridge.messages import Verdict
from firmware_bridge.parts import PartFate, PartRecord
from firmware_bridge.simulator.plc import PlcSimulator
from firmware_bridge.wiring import LinkKind

_SHOWN_S = 0.2
"""Between two pictures of the counts."""
_LINGER_S = 0.5
"""The port stays this long after the last part, so that the station reads its last acknowledgement."""

_SIGNS = {PartFate.WAITING: "[yellow]?[/]", PartFate.PASSED: "[green]o[/]", PartFate.REJECTED: "[red]x[/]"}
_BELT_PARTS = 40


def belt(records: list[PartRecord]) -> str:
    """Draw the last parts, the newest at the right: ? waits, o passed, x rejected."""
    if not records:
        return "no part yet"
    signs = " ".join(_SIGNS[record.decision] for record in records[-_BELT_PARTS:])
    return f"encoder {records[-1].trigger.encoder:>10}  {signs}"


def table(simulator: PlcSimulator, wanted: int) -> Group:
    """Draw the sums of a line that is to have `wanted` parts (0: without end), the station's alarms, and the belt."""
    report = simulator.report()
    of = f" of {wanted}" if wanted else ""
    lines = Table("PLC", "count", title=f"{report.parts}{of} parts triggered")
    lines.columns[1].justify = "right"
    for verdict in sorted(report.verdicts):
        name = "no result yet, or none in time" if verdict is Verdict.NONE else f"verdict {verdict.name}"
        lines.add_row(name, str(report.verdicts[verdict]))
    for name in ("passed", "rejected", "unanswered", "late", "foreign", "repeated"):
        lines.add_row(name, str(getattr(report, name)))
    if len(report.round_trips_s) > 1:
        cuts = quantiles(report.round_trips_s, n=100, method="inclusive")
        for percent in (50, 95, 99):
            lines.add_row(f"trigger to result, p{percent}", f"{1000 * cuts[percent - 1]:.2f} ms")
    alarms = ", ".join(simulator.alarms.names) or "none"
    return Group(lines, f"alarms of the station: {alarms}", belt(simulator.records()))


def _parse(arguments: list[str] | None) -> argparse.Namespace:
    about = "A simulated line with its PLC, at the far end of a pseudo-terminal or a network."
    parser = argparse.ArgumentParser(prog="plc-simulator", description=about)
    parser.add_argument("--parts", type=int, default=200, help="parts to trigger (%(default)s); 0 until Ctrl-C")
    parser.add_argument("--rate", type=float, help="parts per second; as fast as they are answered where not given")
    parser.add_argument("--max-open", type=int, default=4, help="unanswered parts at a time (%(default)s)")
    parser.add_argument("--deadline", type=float, default=2.0, help="seconds until a part is rejected (%(default)s)")
    parser.add_argument("--belt-speed", type=int, default=0, help="encoder counts per second, told to the station")
    parser.add_argument(
        "--way",
        choices=[way.value for way in LinkKind if way is not LinkKind.IO_GPIO],  # wires in memory have no address
        default=LinkKind.FRAMED.value,
        help="what the station speaks (%(default)s)",
    )
    parser.add_argument("--link", type=Path, help="make a symbolic link to the port here, for a fixed address")
    return parser.parse_args(arguments)


def open_simulator(chosen: argparse.Namespace) -> PlcSimulator:
    """Start the line that the options describe."""
    return PlcSimulator(
        chosen.parts or sys.maxsize,
        rate_hz=chosen.rate,
        max_open=chosen.max_open,
        deadline_s=chosen.deadline,
        way=LinkKind(chosen.way),
        link_path=chosen.link,
        belt_speed=chosen.belt_speed,
    )


def main(arguments: list[str] | None = None) -> int:
    """Run a line; give 1 if any part had no result before its deadline."""
    chosen = _parse(arguments)
    console = Console()
    with open_simulator(chosen) as simulator:
        console.print(f"PLC at {simulator.address}, waiting for an inspection station", soft_wrap=True)
        ended_by_hand = suppress(KeyboardInterrupt) if chosen.parts == 0 else nullcontext()
        with Live(console=console, transient=True) as live, ended_by_hand:
            while not _over(simulator, chosen.parts):
                live.update(table(simulator, chosen.parts))
        time.sleep(_LINGER_S)
        console.print(table(simulator, chosen.parts))
        return int(simulator.report().unanswered > 0)


def _over(simulator: PlcSimulator, parts: int) -> bool:
    """Wait a moment for the last part; without parts there is none."""
    if parts:
        return simulator.wait(_SHOWN_S)
    time.sleep(_SHOWN_S)
    return False
