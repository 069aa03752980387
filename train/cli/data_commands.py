"""Subcommands of `train` that prepare data: `split`, `import`."""

from pathlib import Path
from typing import Annotated, Literal

import typer

AnnotationKind = Literal["coco", "labelme", "yolo"]


def write_split(
    data: Annotated[Path, typer.Option(help="Folder of labelled images.")],
    out: Annotated[Path, typer.Option(help="File to write (JSON); with --folds the folder of fold-1.json, ...")],
    kind: Annotated[Literal["random", "by-part"], typer.Option(help="See the README.")] = "by-part",
    seed: Annotated[int, typer.Option(help="Seed of the random draw.")] = 0,
    folds: Annotated[
        int | None, typer.Option(help="Number of cross-validation folds; each image is in the test part of one.")
    ] = None,
    lists: Annotated[
        Path | None,
        typer.Option(help="Folder for train.txt, val.txt, test.txt: image paths, as the folder camera reads them."),
    ] = None,
) -> None:
    """Write a split to a file, so that others can use the same one; with --folds one file per fold."""
    from train.data.folds import make_folds
    from train.data.readers import read_dataset
    from train.data.splits import make_split, part_counts, save_split, write_lists

    dataset = read_dataset(data)
    if folds is None:
        files = {out: make_split(dataset, kind, seed)}
        remarks: tuple[str, ...] = ()
    else:
        made = make_folds(dataset, kind, seed, folds)
        files = {out / f"fold-{number}.json": split for number, split in enumerate(made.splits, start=1)}
        remarks = made.remarks
    for file, split in files.items():
        save_split(split, file)
        if lists is not None:
            write_lists(split, dataset, lists if folds is None else lists / file.stem)
        counts = ", ".join(f"{side} {count}" for side, count in part_counts(split).items())
        typer.echo(f"{file}: {counts} images")
    for remark in remarks:
        typer.echo(f"note: {remark}")


def import_annotations(
    kind: Annotated[AnnotationKind, typer.Argument(help="Format of the annotations.")],
    annotations: Annotated[Path, typer.Argument(help="COCO: the JSON file. Others: the folder of images and labels.")],
    out: Annotated[Path, typer.Option(help="Folder to write, new or empty.")],
    images: Annotated[Path | None, typer.Option(help="COCO: folder of the images. (default: the file's)")] = None,
) -> None:
    """Convert annotations of other tools to a folder that `train --data` reads; writes all of it or nothing."""
    from train.data.annotations.coco import import_coco
    from train.data.annotations.labelme import import_labelme
    from train.data.annotations.yolo import import_yolo

    if kind == "coco":
        summary = import_coco(annotations, images or annotations.parent, out)
    else:
        summary = {"labelme": import_labelme, "yolo": import_yolo}[kind](annotations, out)
    for note in summary.notes:
        typer.echo(f"note: {note}")
    typer.echo(f"{out}: {summary.images} images, {summary.defective} of them with defects")
