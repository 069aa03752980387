"""The Modbus register map: one table, from which code, documentation, and the CSV for PLC engineers are made.

All are holding registers. A u32 takes two, the high word first. Whichever side is the server holds all of them; the PLC
alone writes control and belt block, the station alone the result block, then the status block. The address that a PLC's
editor shows as 40001 is register 0 here.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from firmware_bridge.errors import MessageMalformed
from firmware_bridge.layout import SCORE_STEPS
from firmware_bridge.messages import ActiveAlarms, FaultCode, Result, Verdict

MAP_VERSION = 3
"""Goes up when an old PLC program would misread a new map; the PLC writes its own to `enable`."""


@dataclass(frozen=True)
class Register:
    """A value of one, two or four registers; `words` is 2 for a u32."""

    name: str
    words: int
    meaning: str


@dataclass(frozen=True)
class Block:
    """Registers that lie one behind the other from `address`."""

    name: str
    address: int
    writer: str
    registers: tuple[Register, ...]

    @property
    def count(self) -> int:
        """Registers in the block."""
        return sum(register.words for register in self.registers)

    def placed(self) -> Iterator[tuple[int, Register]]:
        """Return each value with its address."""
        address = self.address
        for register in self.registers:
            yield address, register
            address += register.words

    def pack(self, values: dict[str, int]) -> list[int]:
        """Return the registers for the values by name; what is not named is 0."""
        words: list[int] = []
        for register in self.registers:
            value = values.get(register.name, 0)
            words += [value >> 16 * place & 0xFFFF for place in reversed(range(register.words))]
        return words

    def unpack(self, words: list[int]) -> dict[str, int]:
        """Return the values by name."""
        values: dict[str, int] = {}
        start = 0
        for register in self.registers:
            values[register.name] = 0
            for word in words[start : start + register.words]:
                values[register.name] = values[register.name] << 16 | word
            start += register.words
        return values


_VERDICTS = ", ".join(f"{verdict.value} {verdict.name}" for verdict in Verdict)
_FAULTS = ", ".join(f"{code.value} {code.name}" for code in FaultCode)

CONTROL = Block(
    "control",
    0,
    "PLC",
    (
        Register("plc_heartbeat", 1, "changes at least every 250 ms"),
        Register("enable", 1, f"0 until `state` is 1, then {MAP_VERSION}, the version of this map"),
        Register("part_id", 2, "of the part that `trigger_sequence` announces"),
        Register("encoder", 2, "belt position at the trigger"),
        Register("recipe", 1, "wanted recipe, by which the announced part is to be judged; 0 = whichever is in force"),
        Register("command", 1, "bit 0: clear `fault` and `overrun`"),
        Register("ack_sequence", 1, "`result_sequence` of the last result that was taken"),
        Register("age_ms", 1, "time from the trigger edge to this write; 65535 = that long or longer"),
        Register("trigger_flags", 1, "bit 0: the age of the trigger is unknown, `age_ms` means nothing"),
        Register("trigger_sequence", 1, "goes up by one with each part, once `trigger_echo` is equal to it"),
    ),
)
BELT = Block(
    "belt",
    CONTROL.address + CONTROL.count,
    "PLC",
    (
        Register("belt_encoder", 2, "belt position now; only for a station that times the ejector itself"),
        Register(
            "arrived", 1, "parts that a sensor has seen arrive in the reject bin, goes up and wraps; 0 = no sensor"
        ),
    ),
)
RESULT = Block(
    "result",
    100,
    "station",
    (
        Register("part_id", 2, "of the trigger"),
        Register("encoder", 2, "of the trigger"),
        Register("verdict", 1, _VERDICTS),
        Register("verdict_inverted", 1, "65535 - verdict; anything else means that the block is damaged"),
        Register("class_index", 1, "class of the worst defect, from 1; 0 = none"),
        Register("score", 1, f"0 to {SCORE_STEPS}"),
        Register("area_px", 2, "area of the worst defect in pixels of the network's input"),
        Register("box_x", 1, "left edge of the worst defect in frame pixels"),
        Register("box_y", 1, "upper edge"),
        Register("box_width", 1, "width"),
        Register("box_height", 1, "height"),
        Register("latency_us", 2, "from the trigger to the result, in microseconds"),
        Register("recipe", 1, "by which the part was judged; 0 = none, or the line has no recipes"),
        Register("bundle", 2, "first 32 bits of the id of the bundle by which the part was judged; 0 = none"),
        Register("flags", 1, "bit 0: shadow mode, the verdict is OK whatever was found"),
    ),
)
STATUS = Block(
    "status",
    RESULT.address + RESULT.count,
    "station",
    (
        Register("edge_heartbeat", 1, "changes at least every 250 ms while the inspection works"),
        Register("state", 1, f"0: set `enable` to 0; 1: set `enable` to {MAP_VERSION}; 2: at work"),
        Register(
            "status",
            1,
            "bit 0 online, 1 ready for a trigger, 2 busy, 3 toggles with each result, 4 result valid, 5 pass, "
            "6 reject, 7 fault, 8 overrun, 9 shadow mode",
        ),
        Register("trigger_echo", 1, "`trigger_sequence` of the last trigger that was taken"),
        Register("waiting", 1, "results behind the one that is shown, at most 7"),
        Register("fault", 1, f"0 none, {_FAULTS}"),
        Register("recipe_active", 1, "recipe in force; 0 = the bundle in force has no number"),
        Register("bundle_active", 2, "first 32 bits of the id of the bundle in force"),
        Register("triggers", 2, "triggers taken since the start"),
        Register("overruns", 1, "results lost because more than 8 waited"),
        Register("map_version", 1, f"{MAP_VERSION}"),
        Register("result_sequence", 1, "changes when a new result stands in the result block; written last"),
    ),
)
ALARMS = Block(
    "alarms",
    STATUS.address + STATUS.count,
    "station",
    (Register("alarms", 1, f"alarms in force, by the faults' numbers: {ActiveAlarms.LAYOUT.fields['active'].range}"),),
)
BLOCKS = (CONTROL, BELT, RESULT, STATUS, ALARMS)

DB_BYTES = 2 * (ALARMS.address + ALARMS.count)
"""Length of the data block of an S7, in which register n lies at byte 2 n."""


def written_by(writer: str) -> range:
    """Return the registers of one side, which lie one behind the other."""
    blocks = [block for block in BLOCKS if block.writer == writer]
    return range(blocks[0].address, blocks[-1].address + blocks[-1].count)


def result_values(result: Result) -> dict[str, int]:
    """Return the values of the result block."""
    names = ("box_x", "box_y", "box_width", "box_height")
    return {
        "part_id": result.part_id,
        "encoder": result.encoder,
        "verdict": result.verdict,
        "verdict_inverted": 0xFFFF ^ result.verdict,
        "class_index": result.class_index,
        "score": round(result.score * SCORE_STEPS),
        "area_px": result.area_px,
        "latency_us": result.latency_us,
        "recipe": result.recipe,
        "bundle": int(result.bundle or "0", 16),
        "flags": result.flags,
        **dict(zip(names, result.box, strict=True)),
    }


def read_result(values: dict[str, int]) -> Result:
    """Return the result that stands in a result block.

    Raises MessageMalformed for a verdict whose complement does not fit, or a value out of its range.
    """
    if values["verdict"] ^ values["verdict_inverted"] != 0xFFFF:
        raise MessageMalformed(f"verdict {values['verdict']} with complement {values['verdict_inverted']}")
    plain: dict[str, Any] = {
        name: values[name] for name in ("part_id", "encoder", "class_index", "area_px", "latency_us", "recipe", "flags")
    }
    bundle = f"{values['bundle']:08x}" if values["bundle"] else ""
    box = (values["box_x"], values["box_y"], values["box_width"], values["box_height"])
    try:
        return Result(
            verdict=Verdict(values["verdict"]), score=values["score"] / SCORE_STEPS, box=box, bundle=bundle, **plain
        )
    except ValueError as error:
        raise MessageMalformed(f"result block: {error}") from error
