"""The register map for people: the tables of MODBUS.md, and the CSV and data block that a PLC engineer imports."""

import csv
import io

from firmware_bridge.modbus.register_map import BLOCKS

_TYPES = {1: "u16", 2: "u32"}
_S7_TYPES = {1: "UInt", 2: "UDInt"}


def registers_section() -> str:
    """Return one Markdown table for each block."""
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
    """Return the map as comma-separated values, with the addresses that PLC editors show."""
    text = io.StringIO()
    table = csv.writer(text, lineterminator="\n")
    table.writerow(["block", "name", "register", "editor_address", "type", "written_by", "meaning"])
    for block in BLOCKS:
        for at, one in block.placed():
            table.writerow([block.name, one.name, at, 40_001 + at, _TYPES[one.words], block.writer, one.meaning])
    return text.getvalue()


def data_block_text() -> str:
    """Return the source of an S7's data block, for the external source files of TIA Portal.

    Register n lies at byte 2 n. The members of a block of the map are a structure of the same name.
    """
    lines = [
        "// The register map of edge-inspect as a data block, written by python -m firmware_bridge.generate.",
        "// The number behind each member is its byte. On an S7-300/400: Word for UInt, DWord for UDInt.",
        'DATA_BLOCK "EdgeInspect"',
        "{ S7_Optimized_Access := 'FALSE' }",
        "VERSION : 0.1",
        "NON_RETAIN",
        "   STRUCT",
    ]
    end = 0
    for block in BLOCKS:
        if block.address > end:
            lines.append(f"      reserved : Array[0..{block.address - end - 1}] of Word;   // {2 * end}")
        lines.append(f"      {block.name} : STRUCT   // {2 * block.address}, written by the {block.writer}")
        for at, one in block.placed():
            lines.append(f"         {one.name} : {_S7_TYPES[one.words]};   // {2 * at}: {one.meaning}")
        lines.append("      END_STRUCT;")
        end = block.address + block.count
    return "\n".join([*lines, "   END_STRUCT;", "", "BEGIN", "END_DATA_BLOCK", ""])
