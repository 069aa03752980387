"""The C structures of the messages, drawn from the message classes: device/message.h and device/message.c."""

from collections.abc import Iterator
from enum import IntEnum

from firmware_bridge.framed.frames import MAX_BODY
from firmware_bridge.layout import Layout, Wire
from firmware_bridge.messages import (
    AGE_LIMIT_MS,
    AGE_UNKNOWN,
    HEADER,
    KINDS,
    PROTOCOL_VERSION,
    SHADOW,
    FaultCode,
    OnSilence,
    Role,
    State,
    Verdict,
)

_NOTE = (
    "/* SPDX-License-Identifier: Apache-2.0 */\n"
    "/* Written by `python -m firmware_bridge.generate` from firmware_bridge/messages.py; change it there. */\n"
)
_C_TYPES = {"B": "uint8_t", "H": "uint16_t", "I": "uint32_t"}


def _snake(name: str) -> str:
    return "".join("_" + letter.lower() if letter.isupper() else letter for letter in name)[1:]


_ENUMS: tuple[type[IntEnum], ...] = (Verdict, Role, State, FaultCode, OnSilence)
_LAYOUTS: dict[str, Layout] = {"header": HEADER} | {
    _snake(kind.__name__): kind.LAYOUT for _, kind in sorted(KINDS.items()) if kind.LAYOUT.fields
}
_VALID_SIGNATURE = "bool ei_is_valid(uint8_t kind, const uint8_t *in, size_t size)"
_REPACK_SIGNATURE = "bool ei_repack(uint8_t kind, const uint8_t *in, size_t size, uint8_t *out)"


def header_text() -> str:
    """Return device/message.h."""
    longest = max(kind.LAYOUT.size for kind in KINDS.values() if kind.RELIABLE)
    limits = [
        ("PROTOCOL_VERSION", PROTOCOL_VERSION),
        ("MAX_BODY", MAX_BODY),
        ("MAX_RELIABLE", longest),
        ("AGE_LIMIT_MS", AGE_LIMIT_MS),
        ("AGE_UNKNOWN", AGE_UNKNOWN),
        ("SHADOW", SHADOW),
    ]
    sizes = [(f"{name.upper()}_SIZE", layout.size) for name, layout in _LAYOUTS.items()]
    kinds = [(f"KIND_{_snake(kind.__name__).upper()}", number) for number, kind in sorted(KINDS.items())]
    blocks = [limits, sizes, kinds, *([(_member(enum, m.name), m.value) for m in enum] for enum in _ENUMS)]
    lines = [_NOTE, "#ifndef EI_MESSAGE_H", "#define EI_MESSAGE_H", "", "#include <stdbool.h>", "#include <stddef.h>"]
    lines += ["#include <stdint.h>", ""]
    for block in blocks:
        lines += ["enum {", *(f"    EI_{name} = {value}," for name, value in block), "};", ""]
    for name, layout in _LAYOUTS.items():
        lines += [f"struct ei_{name} {{", *(f"    {_declare(field, w)};" for field, w in layout.fields.items()), "};"]
        lines += [f"{_pack_signature(name)};", f"{_unpack_signature(name)};", ""]
    lines += ["/* Whether the payload is a message of this kind. */", f"{_VALID_SIGNATURE};", ""]
    lines += [
        "/* Reads a payload and writes it again; what is invalid gives false. For tests. */",
        f"{_REPACK_SIGNATURE};",
    ]
    return "\n".join([*lines, "", "#endif", ""])


def source_text() -> str:
    """Return device/message.c."""
    lines = [_NOTE, '#include "message.h"', "", "#include <string.h>", "", '#include "bytes.h"', ""]
    for name, layout in _LAYOUTS.items():
        lines += [_pack_signature(name), "{", *_pack_lines(layout), "}", ""]
        lines += [_unpack_signature(name), "{", *_unpack_lines(name, layout), "}", ""]
    lines += [
        "union any_message {",
        *(f"    struct ei_{name} {name};" for name in _LAYOUTS if name != "header"),
        "};",
        "",
    ]
    lines += [_VALID_SIGNATURE, "{", *_switch_lines(repack=False), "}", ""]
    lines += [_REPACK_SIGNATURE, "{", *_switch_lines(repack=True), "}", ""]
    return "\n".join(lines)


def _member(enum: type[IntEnum], name: str) -> str:
    return f"{_snake(enum.__name__).upper()}_{name}"


def _declare(field: str, wire: Wire) -> str:
    if wire.format.endswith("s"):
        return f"uint8_t {field}[{wire.size}]"
    if wire.format == "HHHH":
        return f"uint16_t {field}[4]"
    return f"{_C_TYPES[wire.format[0]]} {field}"


def _pack_signature(name: str) -> str:
    return f"void ei_pack_{name}(const struct ei_{name} *message, uint8_t *out)"


def _unpack_signature(name: str) -> str:
    return f"bool ei_unpack_{name}(const uint8_t *in, size_t size, struct ei_{name} *message)"


def _offsets(layout: Layout) -> Iterator[tuple[str, Wire, int]]:
    offset = 0
    for field, wire in layout.fields.items():
        yield field, wire, offset
        offset += wire.size


def _pack_lines(layout: Layout) -> Iterator[str]:
    for field, wire, offset in _offsets(layout):
        if wire.format.endswith("s"):
            yield f"    memcpy(out + {offset}, message->{field}, {wire.size});"
        elif wire.format == "HHHH":
            yield from (f"    ei_put_u16(out + {offset + 2 * i}, message->{field}[{i}]);" for i in range(4))
        elif wire.format == "BB":
            yield f"    out[{offset}] = message->{field};"
            yield f"    out[{offset + 1}] = (uint8_t)(0xFF ^ message->{field});"
        elif wire.format == "B":
            yield f"    out[{offset}] = message->{field};"
        else:
            yield f"    ei_put_u{8 * wire.size}(out + {offset}, message->{field});"


def _unpack_lines(name: str, layout: Layout) -> Iterator[str]:
    yield f"    if (size != EI_{name.upper()}_SIZE) {{"
    yield "        return false;"
    yield "    }"
    for field, wire, offset in _offsets(layout):
        if wire.format.endswith("s"):
            yield f"    memcpy(message->{field}, in + {offset}, {wire.size});"
        elif wire.format == "HHHH":
            yield from (f"    message->{field}[{i}] = ei_get_u16(in + {offset + 2 * i});" for i in range(4))
        elif wire.format in ("B", "BB"):
            yield f"    message->{field} = in[{offset}];"
        else:
            yield f"    message->{field} = ei_get_u{8 * wire.size}(in + {offset});"
        yield from _check_lines(field, wire, offset)
    yield "    return true;"


def _check_lines(field: str, wire: Wire, offset: int) -> Iterator[str]:
    conditions = []
    if wire.format == "BB":
        conditions.append(f"(in[{offset}] ^ in[{offset + 1}]) != 0xFF")
    if wire.check:
        conditions.append(f"!({wire.check.replace('value', f'message->{field}')})")
    if conditions:
        yield f"    if ({' || '.join(conditions)}) {{"
        yield "        return false;"
        yield "    }"


def _switch_lines(repack: bool) -> Iterator[str]:
    yield "    union any_message any;"
    yield "    switch (kind) {"
    for _, kind in sorted(KINDS.items()):
        name = _snake(kind.__name__)
        yield f"    case EI_KIND_{name.upper()}:"
        if name not in _LAYOUTS:
            yield "        return size == 0;"
        elif repack:
            yield f"        if (!ei_unpack_{name}(in, size, &any.{name})) {{"
            yield "            return false;"
            yield "        }"
            yield f"        ei_pack_{name}(&any.{name}, out);"
            yield "        return true;"
        else:
            yield f"        return ei_unpack_{name}(in, size, &any.{name});"
    yield "    default:"
    yield "        return false;"
    yield "    }"
