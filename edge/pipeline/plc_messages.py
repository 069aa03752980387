"""Messages to the PLC, built from parts and alarms."""

import re
from collections.abc import Iterable, Iterator
from dataclasses import fields, is_dataclass, replace
from enum import Enum

from bundle import Box
from edge.alarms import Alarm
from edge.part import Part
from firmware_bridge.messages import SHADOW, ActiveAlarms, Fault, FaultCode, Result, Verdict

TEXT = 32
"""Length of a message's text in characters."""
SHORT_ID = 8
"""Hexadecimal digits of a bundle's id in a Result."""
U16 = 0xFFFF
U32 = 0xFFFF_FFFF


def to_result(part: Part, now: float, shadow: bool = False) -> Result:
    """Build the `Result` of a settled part; `now` is in seconds of the station's clock.

    Its verdict is `Part.told`. Values beyond the range of a field are clipped to it.
    """
    if part.outcome is None or part.told is None:
        raise ValueError(f"part {part.number} has no verdict yet")
    latency_us = min(U32, max(0, round((now - part.triggered) * 1e6)))
    verdict = Verdict[part.told.name]
    plain = Result(
        part.part_id,
        part.encoder,
        verdict,
        latency_us=latency_us,
        recipe=part.recipe,
        bundle=part.bundle_id[:SHORT_ID],
        flags=SHADOW if shadow else 0,
    )
    if not part.outcome.defects:
        return plain
    worst = part.outcome.defects[0]
    return replace(
        plain,
        class_index=1 + worst.class_index,
        score=min(1.0, worst.score),
        area_px=min(U32, round(worst.area_px)),
        box=_clipped(worst.box),
    )


def to_fault(alarm: Alarm) -> Fault:
    """Build the `Fault` of an alarm: its name, cut to the length of the field, with `?` for non-ASCII characters."""
    ascii_only = "".join(char if char.isascii() and char.isprintable() else "?" for char in alarm.name)
    return Fault(FaultCode[alarm.area.name], alarm.part_id, ascii_only[:TEXT])


def to_alarms(active: Iterable[Alarm]) -> ActiveAlarms:
    """Build the bit field of the kinds of active alarms."""
    bits = 0
    for alarm in active:
        bits |= FaultCode[alarm.area.name].bit
    return ActiveAlarms(bits)


def _clipped(box: Box) -> Box:
    x, y, width, height = (min(U16, max(0, value)) for value in box)
    return x, y, width, height


def event_text(event: object) -> str:
    """Describe an event or message of the link for the log, such as `peer lost: silent_s 1.2`."""
    name = re.sub(r"(?<!^)([A-Z])", r" \1", type(event).__name__).lower()
    values = ", ".join(_values(event))
    return f"{name}: {values}" if values else name


def _values(event: object) -> Iterator[str]:
    for each in fields(event) if is_dataclass(event) else ():
        value = getattr(event, each.name)
        if is_dataclass(value):
            yield from _values(value)
        elif isinstance(value, Enum):
            yield f"{each.name} {value.name}"
        elif value not in ("", None):
            yield f"{each.name} {value:.4g}" if isinstance(value, float) else f"{each.name} {value}"
