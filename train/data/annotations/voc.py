"""Reads Pascal VOC: Annotations/*.xml, JPEGImages/ and the palettes of SegmentationClass/.

Format: "The PASCAL Visual Object Classes Challenge 2012 Development Kit", sections 3 and 5; the names of the palette's
colours are those of CVAT (labelmap.txt) or labelme2voc (class_names.txt).
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from xml.etree.ElementTree import Element

import numpy as np

from train.data.annotations.documents import number, read_xml, whole_number
from train.data.annotations.plain_folder import (
    ImportedImage,
    ImportSummary,
    PictureFrame,
    merged,
    picture_frame,
    stored_picture,
    write_plain_folder,
)
from train.data.annotations.shapes import Boxes, box, polygon
from train.data.dataset import Masks
from train.data.files import files, pictures, read_text
from train.data.names import check_class_names, shown
from train.errors import DataError

IMAGES, DOCUMENTS, MASKS = "JPEGImages", "Annotations", "SegmentationClass"
COLOUR_FILE, NAME_FILE = "labelmap.txt", "class_names.txt"
_BACKGROUND = frozenset({"background", "_background_", "__ignore__"})
_VOID = (224, 224, 192)
"""Colour of index 255: a border around each object, which belongs to no class."""

Colour = tuple[int, int, int]


@dataclass(frozen=True)
class VocFiles:
    """Annotation files of the pictures, by the name of the picture without suffix."""

    images: Mapping[str, Path]
    documents: Mapping[str, Path]
    masks: Mapping[str, Path]
    colours: Mapping[Colour, str]
    """Class by the colour of the palette; empty without masks."""


def import_voc(directory: Path, out: Path, boxes: Boxes = "refuse") -> ImportSummary:
    """Write a Pascal VOC folder as a plain folder `out`; a picture without an object is good.

    A mask in SegmentationClass/ outlines its picture; without one the objects' polygons do, else their boxes.
    Raises DataError for a file without its picture, a colour without a name, a mask whose classes are not those of the
    objects, a size that is not the picture's, and a box where `boxes` refuses it.
    """
    found = VocFiles(
        pictures(directory / IMAGES),
        _documents(directory / DOCUMENTS),
        pictures(directory / MASKS),
        _colours(directory),
    )
    if not found.images:
        raise DataError(f"{directory / IMAGES}: found no picture, expected {IMAGES}/, {DOCUMENTS}/ and {MASKS}/ of VOC")
    for kind in (found.documents, found.masks):
        for key, file in kind.items():
            if key not in found.images:
                raise DataError(f"{file}: found no picture {IMAGES}/{key}.* for it, expected one; restore it")
    if not found.documents and not found.masks:
        raise DataError(f"{directory}: found neither {DOCUMENTS}/*.xml nor {MASKS}/*.png, expected one; restore them")
    if found.masks and not found.colours:
        raise DataError(
            f"{directory}: found masks without the names of their colours, expected {COLOUR_FILE} (name:r,g,b:: in "
            f"each line) or {NAME_FILE} (one name in each line, in the order of the palette); add it"
        )
    named = {name for file in found.documents.values() for name, _ in _objects(file)}
    classes = sorted(named | set(found.colours.values()))
    check_class_names(classes, str(directory))
    bare = sum(key not in found.documents and key not in found.masks for key in found.images)
    notes = [f"{bare} pictures without annotation or mask: taken as good"] if bare else []
    return write_plain_folder(_read(found, boxes), classes, out, str(directory), notes)


def _documents(folder: Path) -> dict[str, Path]:
    found = (path for path in files(folder) if path.suffix.lower() == ".xml") if folder.is_dir() else ()
    return {path.relative_to(folder).with_suffix("").as_posix(): path for path in found}


def _colours(directory: Path) -> dict[Colour, str]:
    """Class by colour, without the background."""
    if (directory / COLOUR_FILE).is_file():
        named = list(_labelmap(directory / COLOUR_FILE))
    elif (directory / NAME_FILE).is_file():
        names = [line.strip() for line in read_text(directory / NAME_FILE).splitlines() if line.strip()]
        names = [name for name in names if name != "__ignore__"]
        if names and names[0] not in _BACKGROUND:
            raise DataError(f"{directory / NAME_FILE}: found {shown(names[0])} first, expected _background_; add it")
        named = [(palette_colour(index), name) for index, name in enumerate(names)]
    else:
        named = []
    colours: dict[Colour, str] = {}
    for colour, name in named:
        if colour in colours:
            raise DataError(f"{directory}: found {shown(colours[colour])} and {shown(name)} in one colour {colour}")
        colours[colour] = name
    return {colour: name for colour, name in colours.items() if name not in _BACKGROUND}


def _labelmap(file: Path) -> Iterator[tuple[Colour, str]]:
    for count, line in enumerate(read_text(file).splitlines(), start=1):
        if not line.strip() or line.startswith("#"):
            continue
        name, _, rest = line.partition(":")
        values = [whole_number(one, "a colour", f"{file}, line {count}") for one in rest.partition(":")[0].split(",")]
        if len(values) != 3:
            raise DataError(f"{file}, line {count}: found {line!r:.60}, expected name:r,g,b::; export it again")
        yield (values[0], values[1], values[2]), name.strip()


def palette_colour(index: int) -> Colour:
    """Colour of an index in VOC's palette (VOClabelcolormap.m of the development kit)."""
    channels = [0, 0, 0]
    for bit in range(8):
        for channel in range(3):
            channels[channel] |= (index >> (3 * bit + channel) & 1) << (7 - bit)
    return channels[0], channels[1], channels[2]


def _objects(file: Path) -> list[tuple[str, Element]]:
    return [(one.findtext("name", ""), one) for one in read_xml(file, "annotation").findall("object")]


def _read(found: VocFiles, boxes: Boxes) -> Iterator[ImportedImage]:
    for key, path in found.images.items():
        document, mask = found.documents.get(key), found.masks.get(key)
        if document is not None:
            drawn = _outlined(document, path, boxes if mask is None else "label")
        else:
            stored_picture(path, str(path))
            drawn = {}
        if mask is not None:
            outlined = _class_masks(mask, path, found.colours)
            if document is not None and set(outlined) != set(drawn):
                raise DataError(
                    f"{mask}: found {_listed(outlined)}, expected the objects of {document}: {_listed(drawn)}; export "
                    "both again"
                )
            drawn = outlined
        yield ImportedImage(path, key + path.suffix, drawn)


def _outlined(document: Path, path: Path, boxes: Boxes) -> dict[str, Masks | None]:
    """The masks of the objects of one document, from their polygons or boxes."""
    root = read_xml(document, "annotation")
    named = root.findtext("filename", "").replace("\\", "/").rpartition("/")[2]
    if named != path.name:
        raise DataError(
            f"{document}: found objects of {named!r:.80}, expected those of {path.name}; rename the file as its picture"
        )
    sides = (root.findtext(f"size/{side}") for side in ("height", "width"))
    height, width = (whole_number(side, "the picture's size", document) for side in sides)
    frame = picture_frame(path, (height, width), str(document))
    shapes = (
        (kind, frame.upright(_shape(one, frame, boxes, f"{document}, {kind!r:.80}")))
        for kind, one in _objects(document)
    )
    return merged(shapes, str(document))


def _shape(one: Element, frame: PictureFrame, boxes: Boxes, where: str) -> Masks | None:
    outline = one.find("polygon")
    if outline is not None and boxes != "label":
        corners = [number(value.text, "a point", where) for value in outline]
        return polygon(corners, frame.height, frame.width, where)
    left, top, right, bottom = (
        number(one.findtext(f"bndbox/{side}"), side, where) for side in ("xmin", "ymin", "xmax", "ymax")
    )
    return box([(left, top), (right, bottom)], boxes, frame.height, frame.width, where)


def _class_masks(mask: Path, path: Path, colours: Mapping[Colour, str]) -> dict[str, Masks | None]:
    """The mask of each class that a palette's colours draw."""
    stored = stored_picture(mask, str(mask))
    pixels = stored.pixels
    if stored.orientation != 1 or pixels.dtype != np.uint8:
        raise DataError(f"{mask}: found a turned mask or one of 16 bits, expected a palette of 8 bits; save it again")
    if pixels.ndim == 2:
        palette = np.array([palette_colour(index) for index in range(256)], np.uint8)
        pixels = palette[pixels]
    frame = picture_frame(path, pixels.shape[:2], str(mask))
    found = [tuple(colour) for colour in np.unique(pixels[..., :3].reshape(-1, 3), axis=0).tolist()]
    unknown = [colour for colour in found if colour not in colours and colour not in ((0, 0, 0), _VOID)]
    if unknown:
        known = ", ".join(f"{name} {colour}" for colour, name in colours.items())
        raise DataError(f"{mask}: found the colour {unknown[0]}, expected one of {known}; name it, or draw it again")
    drawn = {colours[colour]: (pixels[..., :3] == colour).all(axis=-1) for colour in found if colour in colours}
    return {name: frame.upright(one) for name, one in drawn.items()}


def _listed(names: Iterable[str]) -> str:
    return ", ".join(names) or "none"
