"""Names from labels and files, checked before one becomes a folder or a file."""

from collections.abc import Iterable

from bundle.manifest import LONGEST_NAME
from train.errors import DataError

_PATH_CHARACTERS = frozenset('/\\:*?"<>|')
"""That some file system reads as part of a path, or does not take."""
_RESERVED = frozenset({"good", "con", "prn", "aux", "nul"})
""""good" is the label of a part without a defect; the others are devices of Windows."""


def check_class_names(names: Iterable[str], where: str) -> None:
    """Raise DataError unless every name can be a folder on every system, and no two are the same folder."""
    seen: dict[str, str] = {}
    for name in names:
        problem = _problem(name)
        if problem:
            raise DataError(f"{where}: found the class name {shown(name)}, {problem}; rename the class")
        if name.casefold() in seen:
            raise DataError(
                f"{where}: found the class names {shown(seen[name.casefold()])} and {shown(name)}, expected names that "
                "differ by more than upper and lower case; rename one"
            )
        seen[name.casefold()] = name


def check_file_name(name: str, where: str) -> None:
    """Raise DataError unless the name is a relative path of plain names, which leads nowhere else."""
    parts = name.split("/")
    if any(part in ("", ".", "..") or not part.isprintable() or _PATH_CHARACTERS & set(part) for part in parts):
        raise DataError(
            f"{where}: found the file name {shown(name)}, expected names without '..', drive or leading slash that are "
            "printable UTF-8; correct the annotations, or rename the file"
        )


def shown(name: str) -> str:
    """The name for a message: escaped where it is not printable, and not too long."""
    short = name if len(name) <= LONGEST_NAME else name[:LONGEST_NAME] + "…"
    return repr(short) if short.isprintable() else ascii(short)


def _problem(name: str) -> str:
    if not name.strip():
        return "expected a name that is not empty"
    if name != name.strip() or name.startswith(".") or name.endswith("."):
        return "expected a name without blanks or dots at its ends"
    if not name.isprintable():
        return "expected printable UTF-8"
    if _PATH_CHARACTERS & set(name):
        return f"expected a name without {' '.join(sorted(_PATH_CHARACTERS))}, which belong to paths"
    if name.casefold() in _RESERVED:
        return f"expected another than {', '.join(sorted(_RESERVED))}, which mean something else"
    if len(name) > LONGEST_NAME:
        return f"expected at most {LONGEST_NAME} characters"
    return ""
