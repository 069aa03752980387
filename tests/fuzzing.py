"""Budget and damages of the fuzz tests: texts and bytes that were written well, then changed.

`FUZZ_EXAMPLES=5000 nice pytest -m fuzz --hypothesis-seed=N` runs them for longer; a seed can be run again.
"""

import os

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st

EXAMPLES = int(os.environ.get("FUZZ_EXAMPLES", "60"))
"""Examples of each test."""

budget = settings(
    max_examples=EXAMPLES,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)

ODD = [
    "", "\0", "\ud800", "\u202e", "[", "]" * 5, "[[[[" * 20, "{", "}", '"', "'", '"""', "\\", "\\u0000", "\n", "\r",
    ",", ";", "=", ".", ".." + "/.." * 5, "/etc/passwd", "-0", "1e999", "nan", "inf", "9" * 400, "0x" + "f" * 40,
    "true", "#", "1979-05-27T07:32:00Z", "=cmd|' /C calc'!A0", "%s%n", "(a+)+$", "\ufeff", "null",
]  # fmt: skip
"""Pieces that parsers stumble over."""

_CHANGE = st.tuples(
    st.sampled_from(["replace", "insert", "delete", "repeat"]),
    st.integers(0, 10**6),
    st.integers(0, 60),
    st.sampled_from(ODD) | st.text(max_size=12),
)


def damaged(texts: list[str]) -> st.SearchStrategy[str]:
    """One of the texts with some changes, or any text."""
    return st.builds(_changed, st.sampled_from(texts), st.lists(_CHANGE, min_size=1, max_size=5)) | st.text(max_size=60)


def _changed(text: str, changes: list[tuple[str, int, int, str]]) -> str:
    for kind, place, length, piece in changes:
        at = place % (len(text) + 1)
        cut = text[at : at + length]
        new = {"replace": piece, "insert": piece + cut, "delete": "", "repeat": cut * 3}[kind]
        text = text[:at] + new + text[at + length :]
    return text


def as_bytes(text: str) -> bytes:
    """The text in UTF-8; a lone surrogate becomes three bytes that are none."""
    return text.encode("utf-8", "surrogatepass")


def one_line(error: Exception) -> None:
    """Hold an error against the rule for errors: one line, which says something."""
    words = str(error)
    assert words
    assert "\n" not in words, words
