"""A belt with sensor and ejector under a function block in Structured Text, for the lines of several ways."""

import importlib.util
from pathlib import Path
from random import Random

import pytest

from firmware_bridge.messages import Result
from tests.firmware_bridge.structured_text import FunctionBlock

SCAN_MS, COUNTS_PER_MS, PITCH = 10, 5, 1250
EMPTY_MS = 2_000
"""Longer than a part takes from the sensor to the ejector."""
INSPECTION_MS = 50


class PlcLine:
    """Parts on a belt: every second one is bad, at random; the block decides which are thrown out."""

    def __init__(self, text: str, seed: int, encoder: int = 0) -> None:
        self.random, self.now_ms, self.belt = Random(seed), 0, encoder
        self.block = FunctionBlock(text)
        self.parts: list[tuple[int, bool]] = []  # count at the sensor, bad
        self.next_at, self.pitch = encoder + PITCH, PITCH
        self.taken_off: set[int] = set()
        self.passed: list[int] = []
        self.ejected: list[int] = []
        self.at_ejector = 0  # parts that have been there
        self.results: list[tuple[int, Result]] = []

    def part_arrives(self) -> bool:
        """Put the next part in front of the sensor, if the belt has come so far."""
        arrives = self.belt >= self.next_at
        if arrives:
            self.parts.append((self.belt, self.random.random() < 0.5))
            self.next_at += self.pitch
        return arrives

    def run(self, milliseconds: int) -> None:
        """Let time pass."""
        raise NotImplementedError

    def move(self, counts: int) -> None:
        """Move the belt and its encoder between two scans."""
        self.belt += counts

    def run_empty(self, counts: int) -> None:
        """Let the belt run without a part for a number of counts, then let the parts go on."""
        self.next_at = self.belt + 2 * counts
        self.run(EMPTY_MS)
        for _ in range(16):
            self.move(counts // 16)
            self.run(SCAN_MS)
        self.next_at = self.belt + PITCH

    def plc_ms(self) -> int:
        """The PLC's clock in milliseconds, which rolls over soon after the start."""
        return (2**32 - 5000 + self.now_ms) % 2**32

    def at_the_ejector(self) -> None:
        """Throw out what is in the middle of the ejector while it is on."""
        middle = self.block.scope["EJECT_DISTANCE"] + self.block.scope["EJECT_LENGTH"] // 2
        while self.at_ejector < len(self.parts) and self.belt >= self.parts[self.at_ejector][0] + middle:
            if self.at_ejector not in self.taken_off:
                (self.ejected if self.block.scope["eject"] else self.passed).append(self.at_ejector)
            self.at_ejector += 1

    def bad_that_passed(self) -> list[int]:
        """Bad parts that were not thrown out."""
        return [part for part in self.passed if self.parts[part][1]]

    def good_thrown_out_since(self, first: int) -> list[int]:
        """Good parts from `first` on that were thrown out."""
        return [part for part in self.ejected if part >= first and not self.parts[part][1]]


def check_grammar(text: str) -> None:
    """Fail unless an independent grammar of Structured Text takes the text; skip without it."""
    found = importlib.util.find_spec("blark")
    if found is None or found.origin is None or importlib.util.find_spec("lark") is None:
        pytest.skip("blark is not installed, so that its grammar of Structured Text is not asked")
    import lark

    grammar = lark.Lark.open(str(Path(found.origin).parent / "iec.lark"), parser="earley", maybe_placeholders=True)
    assert grammar.parse(text).data == "iec_source"
