"""Findings of a check, gathered by kind so that a thousand pictures with one fault are one line."""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from train.errors import DataError

EXAMPLES = 2
"""Names in a line that stands for several pictures."""

_OF_ONE_PICTURE = re.compile(r"""[\d/\\'"]|\.\w{2,4}\b""")
"""Characters by which a word is recognised as the name or a figure of a single picture."""


@dataclass(frozen=True)
class Finding:
    """One kind of problem or warning of a data set."""

    text: str
    is_problem: bool
    """Whether the data cannot be trained on like this; else it is a warning."""
    paths: tuple[Path, ...] = ()
    """The pictures in question, worth a look."""
    listed: tuple[str, ...] = ()
    """One line per picture, where the text stands for several."""


def problem(error: DataError) -> Finding:
    """A file that cannot be used as it is."""
    return Finding(str(error), True)


def examples(paths: Sequence[Path]) -> str:
    """The first names, for a message."""
    return ", ".join(path.name for path in paths[:EXAMPLES]) + (", ..." if len(paths) > EXAMPLES else "")


def gathered(findings: Iterable[Finding]) -> list[Finding]:
    """Findings of one wording as one, in the order of the first of each."""
    kinds: dict[tuple[str, bool], list[Finding]] = {}
    for finding in findings:
        kinds.setdefault((_wording(finding.text), finding.is_problem), []).append(finding)
    return [_together(same) if len(same) > 1 else same[0] for same in kinds.values()]


def _wording(text: str) -> str:
    return " ".join(word for word in text.split() if not _OF_ONE_PICTURE.search(word))


def _together(same: Sequence[Finding]) -> Finding:
    others = [Path(finding.text.partition(": ")[0]).name for finding in same[1 : 1 + EXAMPLES]]
    more = ", ..." if len(same) > 1 + EXAMPLES else ""
    return replace(
        same[0],
        text=f"{same[0].text} ({len(same)} like this; also {', '.join(others)}{more})",
        paths=tuple(path for finding in same for path in finding.paths),
        listed=tuple(finding.text for finding in same),
    )
