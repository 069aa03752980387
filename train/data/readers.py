"""Opens the data set in a folder, by its layout."""

from pathlib import Path

from bundle import SUFFIXES
from train.data.anomaly import as_anomaly
from train.data.dataset import Dataset
from train.data.duplicates import without_duplicates
from train.data.files import Refuse, raise_error
from train.data.layouts.class_folders import is_class_folders, read_class_folders
from train.data.layouts.class_labels import LABELS
from train.data.layouts.magnetic_tile import is_magnetic_tile, read_magnetic_tile
from train.data.layouts.mask_folder import IMAGES, MASKS, is_folder, read_folder
from train.data.layouts.severstal import is_severstal, read_severstal
from train.data.relabel import relabelled
from train.errors import DataError

_LAYOUTS = (
    (is_magnetic_tile, read_magnetic_tile),
    (is_severstal, read_severstal),
    (is_folder, read_folder),
    (is_class_folders, read_class_folders),
)


def read_dataset(
    directory: Path, refuse: Refuse = raise_error, one_class: bool = False, needs_class: bool = True
) -> Dataset:
    """Read the data set in `directory`, whichever layout it has; a picture that is there twice counts once.

    Corrections of labels in its `relabel.csv` are applied.

    refuse: takes an image without its label, a picture that the layout has no place for, and two labels of one picture;
    it raises them, or notes them. one_class: every defect is of the class `Anomaly`, and there may be none.
    needs_class: without it a data set of good parts alone has no class.
    Raises DataError if there is no such folder, no known layout, no class, or a correction that does not fit.
    """
    if not directory.is_dir():
        found = "a file, expected the folder of" if directory.exists() else "no such folder, expected"
        raise DataError(f"{directory}: found {found} a data set; check --data")
    for has_layout, read in _LAYOUTS:
        if has_layout(directory):
            dataset = relabelled(without_duplicates(read(directory, refuse), refuse), directory)
            if not dataset.classes and needs_class and not one_class:
                raise DataError(
                    f"{directory / MASKS}: found no class folder, expected masks/<class>/ for each defect class, or "
                    f"{LABELS} with the class of each defective image; with good parts alone --recipe good-only"
                )
            return as_anomaly(dataset) if one_class else dataset
    raise DataError(
        f"{directory}: found no known layout, expected images/ with masks/<class>/, or good/ beside a folder "
        f"per class, or folders MT_<class>, "
        f"or train.csv with train_images/; {_advice(directory)}"
    )


def _advice(directory: Path) -> str:
    """Advice for a folder whose layout is not known."""
    if any(path.suffix.lower() in (".json", ".xml", ".txt", ".yaml") for path in directory.rglob("*")):
        return "annotations of other tools are read by `train import`"
    loose = sum(path.suffix.lower() in SUFFIXES for path in directory.iterdir())
    if loose:
        return f"found {loose} pictures in the folder: move them into {directory / IMAGES}, or a folder per class"
    return "name such a folder with --data"
