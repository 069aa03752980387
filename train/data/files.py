"""Files of a data set's folder: found with all sub-folders, and each accounted for."""

from collections.abc import Callable, Collection, Iterable, Iterator
from pathlib import Path

from bundle import OTHER_SUFFIXES, SUFFIXES
from train.data.dataset import UnusedFile
from train.data.names import shown
from train.errors import DataError

Refuse = Callable[[DataError], None]
"""Takes what is wrong with a file: raises it, or notes it so that the reader goes on to the next."""


def raise_error(error: DataError) -> None:
    """Refuse the whole data set."""
    raise error


def pictures(folder: Path, refuse: Refuse = raise_error) -> dict[str, Path]:
    """Image files by their path under `folder` without suffix, sub-folders included, in the order of their names.

    Refuses where two share one, a picture that is not read, and a name that is not printable UTF-8.
    """
    found: dict[str, Path] = {}
    for path in files(folder, refuse):
        key = path.relative_to(folder).with_suffix("").as_posix()
        if path.suffix.lower() in OTHER_SUFFIXES:
            expected = f"expected {', '.join(sorted(SUFFIXES))}; convert it to PNG, or move it out of the data set"
            refuse(DataError(f"{path}: found a picture of a kind that is not read, {expected}"))
        elif path.suffix.lower() in SUFFIXES and key in found:
            refuse(DataError(f"{path}: found beside {found[key].name}, expected names that differ; rename one"))
        elif path.suffix.lower() in SUFFIXES:
            found[key] = path
    return found


def files(folder: Path, refuse: Refuse = raise_error) -> Iterator[Path]:
    """Every file below a folder but the hidden ones, by name.

    Refuses a name that is not printable UTF-8, and a link to a folder.
    """
    for path in sorted(folder.rglob("*")):
        if any(part.startswith(".") for part in path.relative_to(folder).parts):
            continue
        if not path.name.isprintable():
            refuse(DataError(f"{folder}: found the name {shown(path.name)}, expected printable UTF-8; rename the file"))
        elif path.is_symlink() and path.is_dir():
            refuse(DataError(f"{path}: found a link to a folder, which is not followed; put the files in its place"))
        elif not path.is_dir():
            yield path


def unused_files(
    directory: Path, used: Collection[Path], refuse: Refuse, apart: Iterable[str] = ()
) -> tuple[UnusedFile, ...]:
    """The files below `directory` that are not in `used`; those in the folders `apart` may be pictures.

    Refuses another picture among them, unless `pictures` has refused it already.
    """
    found: list[UnusedFile] = []
    for path in files(directory, lambda error: None):
        if path in used:
            continue
        if path.relative_to(directory).parts[0] in apart:
            found.append(UnusedFile(path, "in a folder without labels"))
        elif path.suffix.lower() in SUFFIXES | OTHER_SUFFIXES:
            refuse(
                DataError(
                    f"{path}: found a picture where the layout of the data set has no place for one; "
                    "move it to its images or masks, or out of the data set"
                )
            )
        else:
            found.append(UnusedFile(path, "no picture"))
    return tuple(found)


def read_text(path: Path) -> str:
    """The text of a file in UTF-8, with or without a byte order mark, or UTF-16 with one. Raises DataError."""
    try:
        content = path.read_bytes()
        return content.decode("utf-16" if content.startswith((b"\xff\xfe", b"\xfe\xff")) else "utf-8-sig")
    except OSError as error:
        raise DataError(f"{path}: cannot be read ({error.strerror}); restore the file") from None
    except UnicodeDecodeError as error:
        raise DataError(f"{path}: found bytes that are not UTF-8 ({error}); save the file as UTF-8") from None
