"""docs/plc.md and docs/wiring.md: each way has its row, each address can be read, each file that they name exists."""

import re
from pathlib import Path

import pytest

from firmware_bridge.address import parse_address
from firmware_bridge.link import SCHEMES
from firmware_bridge.modbus.register_map import ALARMS, BELT, CONTROL, RESULT, STATUS
from firmware_bridge.wiring import LinkKind

DOCS = Path(__file__).resolve().parents[2] / "docs"
PLC, WIRING = (DOCS / name for name in ("plc.md", "wiring.md"))


@pytest.mark.parametrize("kind", LinkKind, ids=str)
def test_each_way_has_a_row_with_its_address(kind: LinkKind) -> None:
    row = re.search(rf"^\| `{kind.value}` \| `([^`]+)` \|", PLC.read_text(encoding="utf-8"), re.MULTILINE)
    assert row is not None
    address = parse_address(row.group(1), SCHEMES)
    assert kind.value.startswith(address.scheme)
    assert (address.options.get("role") == "client") is kind.value.endswith("client")


@pytest.mark.parametrize("document", [PLC, WIRING], ids=lambda path: path.name)
def test_the_files_that_it_names_exist(document: Path) -> None:
    text = document.read_text(encoding="utf-8")
    for target in re.findall(r"\]\(([^)#]+)\)", text):
        assert (DOCS / target).exists(), target
    for path in re.findall(r"`((?:tests|tools|firmware_bridge)/[\w/.-]+)", text):
        assert (DOCS.parent / path).exists(), path


def test_a_gateway_is_told_the_bytes_of_the_map() -> None:
    to_station = 2 * (CONTROL.count + BELT.count)
    to_plc = 2 * (RESULT.count + STATUS.count + ALARMS.count)
    assert f"{to_station} bytes from the PLC, {to_plc}\nbytes to it" in PLC.read_text(encoding="utf-8")
