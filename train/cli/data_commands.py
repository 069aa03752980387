"""Subcommands of `train` that prepare data: `check`, `split`, `import`."""

from pathlib import Path
from typing import Annotated, Literal

import typer

AnnotationKind = Literal["coco", "cvat", "labelme", "label-studio", "voc", "yolo"]


def check(
    data: Annotated[Path, typer.Argument(help="Folder of labelled images.")],
    recipe: Annotated[str, typer.Option(help="Recipe whose input size the defects are measured at.")] = "own-parts",
    kind: Annotated[Literal["random", "by-part"], typer.Option(help="Split that the counts are for.")] = "by-part",
    seed: Annotated[int, typer.Option(min=0, help="Seed of the split.")] = 0,
    overrides: Annotated[list[str] | None, typer.Option("--set", help="Override a recipe's value: key=value.")] = None,
    html: Annotated[Path | None, typer.Option(help="Write a page with pictures and every name to this file.")] = None,
) -> None:
    """Check a data set before training; exit status 0 without problems (warnings are none), 1 with, 2 if unreadable."""
    from train.data.check.checks import check_folder
    from train.data.check.findings import gathered
    from train.data.check.split_counts import side_lines
    from train.recipe import load_recipe

    settings = load_recipe(recipe, overrides or [])
    report = check_folder(data, settings.input, kind, seed, settings.good_only)
    typer.echo(f"{report.dataset.name}: {len(report.dataset.samples)} images, {len(report.facts)} of them usable")
    if report.split is not None:
        typer.echo("\n".join(side_lines(report.split, report.dataset)))
    for finding in gathered([*report.problems, *report.warnings]):
        typer.echo(f"{'problem' if finding.is_problem else 'warning'}: {finding.text}")
    typer.echo(f"{len(report.problems)} problems, {len(report.warnings)} warnings")
    if html is not None:
        from bundle import write_whole
        from train.report.check_page import check_page

        write_whole(html, check_page(report))
        typer.echo(f"page: {html}")
    if report.problems:
        raise typer.Exit(1)


def write_split(
    data: Annotated[Path, typer.Option(help="Folder of labelled images.")],
    out: Annotated[Path, typer.Option(help="File to write (JSON); with --folds the folder of fold-1.json, ...")],
    kind: Annotated[Literal["random", "by-part"], typer.Option(help="See the README.")] = "by-part",
    seed: Annotated[int, typer.Option(min=0, help="Seed of the random draw.")] = 0,
    extend: Annotated[
        Path | None, typer.Option(help="Split file whose images keep their part; only images that it lacks are dealt.")
    ] = None,
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
    from train.data.splits import extend_split, load_split, make_split, part_counts, save_split, write_lists
    from train.errors import SplitError

    if folds is not None and extend is not None:
        raise SplitError(
            "split: found --folds and --extend, expected one of them: folds are dealt again; leave one out"
        )
    dataset = read_dataset(data)
    if folds is None:
        split = make_split(dataset, kind, seed) if extend is None else extend_split(load_split(extend), dataset)
        files = {out: split}
        remarks: tuple[str, ...] = ()
    else:
        made = make_folds(dataset, kind, seed, folds)
        files = {out / f"fold-{number}.json": split for number, split in enumerate(made.splits, start=1)}
        remarks = made.remarks
    for file in files:
        _check_replaced(file)
    for file, split in files.items():
        save_split(split, file)
        if lists is not None:
            write_lists(split, dataset, lists if folds is None else lists / file.stem)
        counts = ", ".join(f"{side} {count}" for side, count in part_counts(split).items())
        typer.echo(f"{file}: {counts} images")
    for remark in remarks:
        typer.echo(f"note: {remark}")


def _check_replaced(out: Path) -> None:
    """Raise SplitError for a file or folder in the place of a split, which would be lost."""
    from train.data.splits import load_split
    from train.errors import SplitError

    if out.exists():
        try:
            load_split(out)
        except SplitError as error:
            found = "a folder" if out.is_dir() else "a file that is no split"
            raise SplitError(f"--out {out}: found {found}, which would be lost; name another file") from error


def import_annotations(
    kind: Annotated[AnnotationKind, typer.Argument(help="Format of the annotations.")],
    annotations: Annotated[
        Path,
        typer.Argument(
            help="coco, cvat, label-studio: the file; coco also the folder of Roboflow's train/, valid/, test/. "
            "labelme, voc, yolo: the folder of images and labels."
        ),
    ],
    out: Annotated[Path, typer.Option(help="Folder to write, new or empty.")],
    images: Annotated[
        Path | None, typer.Option(help="coco, cvat, label-studio: folder of the images. (default: the file's)")
    ] = None,
    boxes: Annotated[
        Literal["refuse", "fill", "label"],
        typer.Option(help="A box without an outline: an error, a defect as large as the box, or a line of labels.csv."),
    ] = "refuse",
) -> None:
    """Convert annotations of other tools to a folder that `train --data` reads; writes all of it or nothing."""
    from train.data.annotations.coco import import_coco
    from train.data.annotations.cvat import import_cvat
    from train.data.annotations.label_studio import import_label_studio
    from train.data.annotations.labelme import import_labelme
    from train.data.annotations.voc import import_voc
    from train.data.annotations.yolo import import_yolo

    beside = images or (annotations if annotations.is_dir() else annotations.parent)
    if kind == "labelme":
        summary = import_labelme(annotations, out)
    elif kind == "voc" or kind == "yolo":
        summary = {"voc": import_voc, "yolo": import_yolo}[kind](annotations, out, boxes)
    else:
        readers = {"coco": import_coco, "cvat": import_cvat, "label-studio": import_label_studio}
        summary = readers[kind](annotations, beside, out, boxes)
    for note in summary.notes:
        typer.echo(f"note: {note}")
    typer.echo(f"{out}: {summary.images} images, {summary.defective} of them with defects")
