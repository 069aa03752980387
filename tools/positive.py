"""A whole number of at least 1 on the command line of a tool."""

from argparse import ArgumentTypeError


def positive(text: str) -> int:
    """Read it; raises ArgumentTypeError."""
    if not text.isascii() or not text.isdecimal() or int(text) < 1:
        raise ArgumentTypeError(f"found {text!r}, expected a whole number of at least 1")
    return int(text)
