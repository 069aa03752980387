"""The commands of `train` that prepare data."""

from pathlib import Path
from typing import Annotated, Literal

import typer

from train.data.annotations.coco import import_coco
from train.data.annotations.labelme import import_labelme
from train.data.annotations.yolo import import_yolo
from train.data.dataset import Dataset
from train.data.folds import make_folds
from train.data.readers import read_dataset
from train.data.splits import SIDES, Side, Split, make_split, save_split, write_lists

AnnotationKind = Literal["coco", "labelme", "yolo"]


def write_split(
    data: Annotated[Path, typer.Option(help="Folder of labelled images.")],
    out: Annotated[Path, typer.Option(help="File to write (JSON); with --folds the folder of fold-1.json, ...")],
    kind: Annotated[Literal["random", "by-part"], typer.Option(help="See the README.")] = "by-part",
    seed: Annotated[int, typer.Option(help="Another seed, another split.")] = 0,
    folds: Annotated[
        int | None, typer.Option(help="Write so many splits, which between them test every image once.")
    ] = None,
    lists: Annotated[
        Path | None,
        typer.Option(help="Folder for train.txt, val.txt, test.txt: image paths, as cameras play them."),
    ] = None,
) -> None:
    """Write a split to a file, so that others can use the very same one; with --folds one file per fold."""
    dataset = read_dataset(data)
    if folds is None:
        _write_split(make_split(dataset, kind, seed), dataset, out, lists)
        return
    made = make_folds(dataset, kind, seed, folds)
    out.mkdir(parents=True, exist_ok=True)
    for number, split in enumerate(made.splits, start=1):
        name = f"fold-{number}"
        _write_split(split, dataset, out / f"{name}.json", lists / name if lists is not None else None)
    for remark in made.remarks:
        typer.echo(f"note: {remark}")


def import_annotations(
    kind: Annotated[AnnotationKind, typer.Argument(help="What wrote the annotations.")],
    annotations: Annotated[Path, typer.Argument(help="COCO: the JSON file. Others: the folder of images and labels.")],
    out: Annotated[Path, typer.Option(help="Folder to write, new or empty.")],
    images: Annotated[Path | None, typer.Option(help="COCO: folder of the images. (default: the file's)")] = None,
) -> None:
    """Convert annotations of other tools to a folder that `train --data` reads; writes all of it or nothing."""
    if kind == "coco":
        summary = import_coco(annotations, images or annotations.parent, out)
    else:
        summary = {"labelme": import_labelme, "yolo": import_yolo}[kind](annotations, out)
    for note in summary.notes:
        typer.echo(f"note: {note}")
    typer.echo(f"{out}: {summary.images} images, {summary.defective} of them with defects")


def _write_split(split: Split, dataset: Dataset, file: Path, lists: Path | None) -> None:
    save_split(split, file)
    if lists is not None:
        write_lists(split, dataset, lists)
    sides: list[Side] = list(split.images.values())
    counts = ", ".join(f"{side} {sides.count(side)}" for side in SIDES)
    typer.echo(f"{file}: {counts} images")
