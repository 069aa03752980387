"""The message tables of PROTOCOL.md, drawn from the message classes."""

from firmware_bridge.layout import Layout
from firmware_bridge.messages import HEADER, KINDS, Message


def messages_section() -> str:
    """Return one table for the header, one for each message."""
    parts = [_table("Header", "The first bytes of every body.", HEADER, 0)]
    parts += [_message(kind) for _, kind in sorted(KINDS.items())]
    return "\n" + "\n".join(parts) + "\n"


def _message(kind: type[Message]) -> str:
    manner = "repeated until acknowledged" if kind.RELIABLE else "not acknowledged"
    purpose = (kind.__doc__ or "").split("\n", 1)[0]
    return _table(f"{kind.KIND} {kind.__name__}", f"{purpose} ({manner})", kind.LAYOUT, HEADER.size)


def _table(name: str, purpose: str, layout: Layout, offset: int) -> str:
    lines = [f"### {name}", "", purpose, ""]
    if not layout.fields:
        return "\n".join([*lines, "No payload.", ""])
    lines += ["| offset | bytes | field | values |", "|--:|--:|---|---|"]
    for field, wire in layout.fields.items():
        lines.append(f"| {offset} | {wire.size} | `{field}` | {wire.range} |")
        offset += wire.size
    return "\n".join([*lines, ""])
