"""Writes imported images with their masks as a plain folder, whole or not at all."""

import csv
import shutil
import tempfile
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from bundle import FrameError, StoredImage, encode_png, read_stored, turned
from train.data.dataset import Masks
from train.data.files import pictures
from train.data.layouts.class_labels import COLUMNS, LABELS
from train.data.layouts.mask_folder import IMAGES, MASKS
from train.data.names import check_class_names, check_file_name
from train.errors import DataError


@dataclass(frozen=True)
class ImportedImage:
    """One picture with the masks that its annotations gave."""

    path: Path
    """The picture."""
    name: str
    """Its name below the folder of the images, with sub-folders."""
    masks: Mapping[str, Masks | None]
    """Mask per class, at the size of the picture as it is shown; None for a class without an outline."""


@dataclass(frozen=True)
class ImportSummary:
    """Counts of an import: images written and images skipped."""

    images: int
    defective: int
    notes: tuple[str, ...]


@dataclass(frozen=True)
class PictureFrame:
    """Size of a picture, in which the outlines of its annotations are drawn."""

    height: int
    width: int
    turn: int = 1
    """EXIF orientation that a mask drawn in this frame still needs."""

    def upright(self, mask: Masks | None) -> Masks | None:
        """The mask as the picture is shown."""
        return None if mask is None else turned(mask, self.turn)


def picture_frame(path: Path, stated: tuple[object, object] | None, where: str) -> PictureFrame:
    """Open the picture and compare the (height, width) that the annotations state with its own.

    A picture with an EXIF mark is annotated turned or not, which its size tells. Raises DataError where the picture
    cannot be read, its size is another, or a turned one has the same size both ways.
    """
    stored = stored_picture(path, where)
    height, width = stored.pixels.shape[:2]
    sideways = stored.orientation >= 5 and height != width
    if stored.orientation != 1 and (stated is None or not sideways):
        raise DataError(
            f"{path}: found a picture that is turned by its EXIF mark ({stored.orientation}), and {where} does not "
            "tell whether it was annotated turned; save the picture upright and check its outlines"
        )
    if stated in (None, (height, width)):
        return PictureFrame(height, width)
    if sideways and stated == (width, height):
        return PictureFrame(width, height, stored.orientation)
    found = f"{stated[1]!r:.20}x{stated[0]!r:.20}" if stated else ""
    raise DataError(
        f"{where}: found the size {found} for {path.name}, expected that of the picture, {width}x{height}; "
        "annotate this picture, or restore the one that was annotated"
    )


def stored_picture(path: Path, where: str) -> StoredImage:
    """Open the picture that `where` belongs to. Raises DataError."""
    try:
        return read_stored(path)
    except FrameError as error:
        raise DataError(f"{where}: {error}") from None


def merged(masks: Iterable[tuple[str, Masks | None]], where: str) -> dict[str, Masks | None]:
    """One mask per class, of all its outlines; None where the class is there without one.

    Raises DataError where one defect of a class is outlined and another is not: the mask would say that it is good.
    """
    together: dict[str, Masks | None] = {}
    for name, mask in masks:
        before = together.setdefault(name, mask)
        if (before is None) != (mask is None):
            raise DataError(
                f"{where}: found {name!r:.80} with an outline and as a box in one picture, expected outlines of all "
                "its defects; draw the missing ones"
            )
        if before is not None and mask is not None:
            together[name] = before | mask
    return together


def not_listed(folder: Path, listed: Collection[Path]) -> list[str]:
    """A note on the pictures below `folder` that the annotations do not list."""
    others = [path for path in pictures(folder).values() if path not in listed]
    return [f"{len(others)} pictures that the file does not list: not taken, first {others[0]}"] if others else []


def write_plain_folder(
    images: Iterable[ImportedImage], classes: Sequence[str], out: Path, where: str, notes: Sequence[str] = ()
) -> ImportSummary:
    """Write the images and masks to `out`, which appears when all of them are there.

    Raises DataError where `out` is not empty, two images or classes have one name, or an image or name is refused.
    """
    if not classes:
        raise DataError(f"{where}: found no class, expected outlines of defects; without any there is nothing to learn")
    check_class_names(classes, where)
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise DataError(f"{out}: found a folder that is not empty; name a new one")
    out.parent.mkdir(parents=True, exist_ok=True)
    part = Path(tempfile.mkdtemp(prefix=f".{out.name}-", dir=out.parent))
    try:
        written = _write(images, classes, part, where)
        if not written:
            raise DataError(f"{where}: found no image, expected the pictures with their annotations; export them again")
        part.chmod(0o755)  # mkdtemp's is 0o700
        part.replace(out)
    finally:
        if part.exists():
            shutil.rmtree(part)
    return ImportSummary(len(written), sum(written.values()), tuple(notes))


def _write(images: Iterable[ImportedImage], classes: Sequence[str], folder: Path, where: str) -> dict[str, bool]:
    """Whether each image is defective, by its name without suffix."""
    written: dict[str, bool] = {}
    labels: list[tuple[str, str]] = []
    for name in classes:
        (folder / MASKS / name).mkdir(parents=True)
    for image in images:
        check_file_name(image.name, where)
        key = image.name.rpartition(".")[0] or image.name
        if key.casefold() in written:
            raise DataError(
                f"{where}: found two images {key}.* that differ by their suffix or by case alone, expected names that "
                "differ; rename one"
            )
        written[key.casefold()] = bool(image.masks)
        _copy(image.path, folder / IMAGES / image.name)
        for name, mask in image.masks.items():
            if mask is None:
                labels.append((image.name, name))
                continue
            target = folder / MASKS / name / f"{key}.png"
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(encode_png(mask.astype(np.uint8) * 255))
    if labels:
        with (folder / LABELS).open("w", encoding="utf-8", newline="") as file:
            csv.writer(file).writerows([COLUMNS, *labels])
    return written


def _copy(source: Path, target: Path) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(source, target)
