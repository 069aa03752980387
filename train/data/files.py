"""Files of a data set's folder: found with all sub-folders, and each accounted for."""

from collections.abc import Collection, Iterable, Iterator
from pathlib import Path

from bundle import OTHER_SUFFIXES, SUFFIXES
from train.data.dataset import UnusedFile
from train.data.names import shown
from train.errors import DataError


def pictures(folder: Path) -> dict[str, Path]:
    """Image files by their path under `folder` without suffix, sub-folders included, in the order of their names.

    Raises DataError where two share one, for a picture that is not read, and for a name that is not printable UTF-8.
    """
    found: dict[str, Path] = {}
    for path in files(folder):
        if path.suffix.lower() in OTHER_SUFFIXES:
            raise DataError(
                f"{path}: found a picture of a kind that is not read, expected {', '.join(sorted(SUFFIXES))}; "
                "convert it to PNG, or move it out of the data set"
            )
        if path.suffix.lower() in SUFFIXES:
            key = path.relative_to(folder).with_suffix("").as_posix()
            if key in found:
                raise DataError(f"{path}: found beside {found[key].name}, expected names that differ; rename one")
            found[key] = path
    return found


def files(folder: Path) -> Iterator[Path]:
    """Every file below a folder but the hidden ones, by name.

    Raises DataError for a name that is not printable UTF-8, and for a link to a folder.
    """
    for path in sorted(folder.rglob("*")):
        if any(part.startswith(".") for part in path.relative_to(folder).parts):
            continue
        if not path.name.isprintable():
            raise DataError(f"{folder}: found the name {shown(path.name)}, expected printable UTF-8; rename the file")
        if path.is_symlink() and path.is_dir():
            raise DataError(f"{path}: found a link to a folder, which is not followed; put the files in its place")
        if not path.is_dir():
            yield path


def unused_files(directory: Path, used: Collection[Path], apart: Iterable[str] = ()) -> tuple[UnusedFile, ...]:
    """The files below `directory` that are not in `used`; those in the folders `apart` may be pictures.

    Raises DataError for another picture among them.
    """
    found: list[UnusedFile] = []
    for path in files(directory):
        if path in used:
            continue
        if path.relative_to(directory).parts[0] in apart:
            found.append(UnusedFile(path, "in a folder without labels"))
        elif path.suffix.lower() in SUFFIXES | OTHER_SUFFIXES:
            raise DataError(
                f"{path}: found a picture where the layout of the data set has no place for one; "
                "move it to its images or masks, or out of the data set"
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
