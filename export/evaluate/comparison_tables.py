"""Two bundles side by side on the terminal."""

from collections.abc import Iterator

from rich.table import Table

from export.evaluate.compare_bundles import Pairing, Side
from train.evaluate.tables import percent


def pairing_tables(pairing: Pairing) -> list[Table]:
    """The measures of both, then the images of which they say other classes."""
    first, second = pairing.sides
    measures = Table("measure", *(f"{side.name} ({side.precision})" for side in (first, second)), title_justify="left")
    measures.title = f"{len(pairing.images)} images of {pairing.dataset}, part {pairing.part}"
    for name, one, other in _measures(first, second):
        measures.add_row(name, one, other)
    changed = Table("image", "truth", "first", "second", title_justify="left")
    changed.title = f"changed verdicts: {len(pairing.changed)}"
    for change in pairing.changed:
        said = (", ".join(names) or "good" for names in (change.truth, change.before, change.after))
        changed.add_row(pairing.images[change.image], *said)
    return [measures, changed] if pairing.changed else [measures]


def _measures(first: Side, second: Side) -> Iterator[tuple[str, str, str]]:
    one, other = first.metrics, second.metrics
    for name in ("mean_recall", "mean_average_precision", "mean_iou_pooled", "mean_iou_positives", "accuracy_pairs"):
        yield f"{name}, %", percent(getattr(one, name)), percent(getattr(other, name))
    for name in ("escapes", "false_rejects"):
        counts = [f"{getattr(side, name).count} of {getattr(side, name).total}" for side in (one, other)]
        yield name.replace("_", " "), counts[0], counts[1]
    yield "model, KiB", f"{first.cost.model_bytes / 1024:.0f}", f"{second.cost.model_bytes / 1024:.0f}"
    yield "ms per frame on this CPU", f"{first.cost.milliseconds:.1f}", f"{second.cost.milliseconds:.1f}"
