"""A part's outcome as the PLC hears it."""

from bundle import Box
from edge.part import Part
from firmware_bridge.messages import Result, Verdict

U16 = 0xFFFF
U32 = 0xFFFF_FFFF


def to_result(part: Part, now: float) -> Result:
    """Make the `Result` of a settled part; `now` is in seconds of the station's clock.

    Its verdict is what the PLC is to be told. Sizes beyond the wire's fields are cut to their largest value.
    """
    if part.outcome is None or part.told is None:
        raise ValueError(f"part {part.number} has no verdict yet")
    latency_us = min(U32, max(0, round((now - part.triggered) * 1e6)))
    verdict = Verdict[part.told.name]
    if not part.outcome.defects:
        return Result(part.part_id, part.encoder, verdict, latency_us=latency_us)
    worst = part.outcome.defects[0]
    return Result(
        part.part_id,
        part.encoder,
        verdict,
        class_index=1 + worst.class_index,
        score=min(1.0, worst.score),
        area_px=min(U32, round(worst.area_px)),
        box=_clipped(worst.box),
        latency_us=latency_us,
    )


def _clipped(box: Box) -> Box:
    x, y, width, height = (min(U16, max(0, value)) for value in box)
    return x, y, width, height
