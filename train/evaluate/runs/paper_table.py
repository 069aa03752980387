"""Table I of the paper, for comparison."""

from dataclasses import dataclass


@dataclass(frozen=True)
class PaperTable:
    """Rows by name: the paper's "mAP", "AP" per class, "mIoU", "IoU" per class, in percent."""

    classes: tuple[str, ...]
    """The classes of the table; the paper does not give their order."""
    rows: dict[str, tuple[float | tuple[float, ...], ...]]


TABLE_I = PaperTable(
    ("Blowhole", "Break", "Crack", "Fray", "Uneven"),
    {
        "U-Net (ResNet-50)": (94.13, (0, 0, 11.1, 0, 25.0), 93.89, (0, 0, 0, 0, 0)),
        "U-Net (DenseNet-121)": (93.65, (11.1, 5.5, 0, 0, 0), 93.89, (0, 0, 0, 0, 0)),
        "HRNetV1": (95.09, (22.2, 11.1, 33.3, 0, 75.0), 93.77, (0, 0, 0.03, 0, 0)),
        "UPerNet": (95.09, (22.2, 22.2, 33.3, 9.1, 100), 92.7, (0, 0, 0.6, 0, 0)),
        "CAN, no augmentation": (96.05, (44.4, 27.8, 44.4, 81.8, 25.0), 92.34, (0, 0, 0.03, 0, 0)),
        "CAN, 500 images": (98.32, (100, 94.4, 100, 100, 100), 89.51, (30.1, 39.5, 57.7, 35.9, 60.5)),
        "CAN, 700 images": (96.17, (100, 94.4, 100, 100, 100), 81.33, (32.2, 36, 57, 39.1, 58.6)),
    },
)
