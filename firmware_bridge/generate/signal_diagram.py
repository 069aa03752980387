"""The terminals, times and timing diagrams of SIGNALS.md, drawn by running the handshake itself."""

from collections.abc import Callable

from firmware_bridge.messages import Result, Trigger, Verdict
from firmware_bridge.signals.station_signals import StationSignals
from firmware_bridge.signals.terminals import TIMES_MS, TRIGGER, SignalTimes, Terminal

MEANINGS = {
    Terminal.READY: ("a part may be triggered", "do not trigger, reject the part"),
    Terminal.BUSY: ("a part is in flight", "none is"),
    Terminal.OK: ("with STROBE: the part is good", "reject"),
    Terminal.NG: ("with STROBE: the part is bad", "no result, or OK"),
    Terminal.STROBE: ("OK and NG are valid; take them at its rising edge", "there is no result"),
    Terminal.ERROR: ("no error", "an alarm is in force, or the station is not there"),
}
TIMES = {
    "debounce_ms": "TRIGGER is stable for this long before it counts, either way",
    "settle_ms": "OK and NG stand for this long before STROBE and after it",
    "strobe_ms": "length of STROBE with `mode=pulse`; longer than two cycles of the PLC",
    "take_ms": "longest STROBE with `mode=held`; then the result is given up",
    "poll_ms": "pause between two samples of TRIGGER",
    "refresh_ms": "the outputs are written again after this long; a module's watchdog must be longer",
}
INSPECTION_MS, SCAN_MS, PULSE_MS = 12, 10, 8
"""Of the diagrams: time of the inspection, cycle of the PLC, length of a pulse."""
_BEGIN_MS, _LEAD_MS, _TAIL_MS = 6, 4, 6


def signals_section() -> str:
    """Return the tables and both diagrams as Markdown."""
    times = SignalTimes()
    parts = ["", "| terminal | coil | at 24 V | at 0 V, as with a cut wire |", "|---|--:|---|---|"]
    parts += [f"| {one.name} | +{place} | {on} | {off} |" for place, (one, (on, off)) in enumerate(MEANINGS.items())]
    parts += ["", "| option | default | meaning |", "|---|--:|---|"]
    parts += [f"| `{name}` | {TIMES_MS[name]} ms | {meaning} |" for name, meaning in TIMES.items()]
    parts += ["", f"`mode=held`, a PLC with a cycle of {SCAN_MS} ms, an inspection of {INSPECTION_MS} ms:", ""]
    parts += _diagram(times, lambda now_ms, levels: _held(now_ms, levels), step_ms=1)
    parts += ["", f"`mode=pulse`, a sensor that is on for {PULSE_MS} ms:", ""]
    pulse = range(_BEGIN_MS + _LEAD_MS, _BEGIN_MS + _LEAD_MS + PULSE_MS)
    parts += _diagram(SignalTimes(held=False), lambda now_ms, levels: now_ms in pulse, step_ms=2)
    return "\n".join([*parts, "", ""])


def _held(now_ms: int, levels: list[int]) -> bool:
    """TRIGGER of a PLC that sees STROBE in the cycle after it has risen."""
    seen = [index for index, level in enumerate(levels) if level & Terminal.STROBE]
    return now_ms >= _BEGIN_MS + _LEAD_MS and (not seen or now_ms < seen[0] + SCAN_MS)


def _diagram(times: SignalTimes, trigger: Callable[[int, list[int]], bool], step_ms: int) -> list[str]:
    """Run one part, and draw a row for each signal; a column is `step_ms`."""
    station = StationSignals(times, 0.0)
    levels: list[int] = []
    triggers: list[bool] = []
    results: list[tuple[int, Result]] = []
    now_ms, end_ms = 0, 10_000
    while now_ms < end_ms:
        now = now_ms / 1e3
        triggers.append(trigger(now_ms, levels))
        events = station.sample(TRIGGER if triggers[-1] else 0, now) + station.tick(now)
        if results and results[0][0] == now_ms:
            station.send(results.pop()[1], now)
        for event in events:
            if isinstance(event, Trigger):
                results.append((now_ms + INSPECTION_MS, Result(event.part_id, 0, Verdict.OK)))
        station.shown(station.levels, now)
        levels.append(int(station.levels))
        if triggers[-1] is False and any(triggers) and levels[-1] & Terminal.READY and end_ms == 10_000:
            end_ms = now_ms + _TAIL_MS
        now_ms += 1
    shown = slice(_BEGIN_MS, None, step_ms)
    rows = [("TRIGGER", triggers[shown])]
    rows += [(str(one.name), [bool(level & one) for level in levels[shown]]) for one in Terminal]
    drawn = [f"{name:8}" + "".join("█" if on else "▁" for on in row) for name, row in rows]
    count = len(rows[0][1])
    ruler = "".join(f"{index * step_ms:<10}" for index in range(0, count, 10))
    return ["```", *drawn, f"{'ms':8}{ruler}".rstrip(), "```"]
