"""The register map for people: the tables of MODBUS.md, and the CSV that a PLC engineer imports."""

import csv
import io

from firmware_bridge.modbus.register_map import BLOCKS

_TYPES = {1: "u16", 2: "u32"}


def registers_section() -> str:
    """Give one Markdown table for each block."""
    parts: list[str] = []
    for block in BLOCKS:
        last = block.address + block.count - 1
        parts += [
            "",
            f"### {block.name.capitalize()} block, registers {block.address} to {last}, written by the {block.writer}",
            "",
        ]
        parts += ["| register | type | name | meaning |", "|--:|---|---|---|"]
        parts += [f"| {at} | {_TYPES[one.words]} | `{one.name}` | {one.meaning} |" for at, one in block.placed()]
    return "\n".join([*parts, "", ""])


def csv_text() -> str:
    """Give the map as comma-separated values, with the addresses that PLC editors show."""
    text = io.StringIO()
    table = csv.writer(text, lineterminator="\n")
    table.writerow(["block", "name", "register", "editor_address", "type", "written_by", "meaning"])
    for block in BLOCKS:
        for at, one in block.placed():
            table.writerow([block.name, one.name, at, 40_001 + at, _TYPES[one.words], block.writer, one.meaning])
    return text.getvalue()
