"""Choice of a recipe by the data: learning defects or good parts alone, input size, tiles; each with its reason."""

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from math import sqrt
from pathlib import Path

from bundle import Tiling
from train.data.check.checks import LEAST_DEFECT_PX, DataReport, check_images
from train.data.check.image_facts import ImageFacts
from train.data.joined import read_datasets
from train.recipe import Recipe, load_recipe

FEWEST_DEFECTIVE_PARTS = 8
"""Below this, too few are left for each side of the split; good parts alone are learnt then."""
USUAL_PX, MOST_PX = 256, 1024
"""Longer side of an input: usually, and at most without tiles."""
_STEP_PX = 32
_CELL_PX = 16
"""Tiles need a picture whose sides are multiples of a mask cell; 16 serves both recipes."""


@dataclass(frozen=True)
class RecipeChoice:
    """A recipe of the package with overrides."""

    name: str
    overrides: tuple[str, ...]
    reasons: tuple[str, ...]
    """One line each."""

    def recipe(self, overrides: Sequence[str]) -> Recipe:
        """The recipe; the user's overrides stand above those of the choice."""
        return load_recipe(self.name, [*self.overrides, *overrides])


def choose_recipe(data: Sequence[Path]) -> RecipeChoice:
    """Look at all pictures and masks and choose. Raises DataError as reading the data does."""
    plain = load_recipe("own-parts")
    return choice_of(check_images(read_datasets(data, needs_class=False), plain.input), plain)


def choice_of(report: DataReport, plain: Recipe) -> RecipeChoice:
    """Choose by the facts of the pictures, which were measured at the input of `plain`."""
    samples = report.dataset.samples
    defective = {sample.part for sample in samples if not sample.good}
    count = sum(not sample.good for sample in samples)
    if len(defective) < FEWEST_DEFECTIVE_PARTS:
        name, why = "good-only", f"fewer than {FEWEST_DEFECTIVE_PARTS} parts with a defect: good parts alone are learnt"
    else:
        name, why = "own-parts", "the defects are learnt"
    first = (
        f"no --recipe: {name}, since {count} of {len(samples)} pictures ({len(defective)} parts) have a defect; {why}"
    )
    if not report.facts:
        return RecipeChoice(name, (), (first,))
    overrides, reasons = _input(report.facts, plain)
    return RecipeChoice(name, overrides, (first, *reasons))


def _input(facts: Sequence[ImageFacts], plain: Recipe) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Overrides for the input with the reasons: the smallest defect has `LEAST_DEFECT_PX` pixels."""
    (height, width), most = Counter((one.height, one.width) for one in facts).most_common(1)[0]
    sizes = list(_defects_px(facts, plain))
    usual = min(1.0, USUAL_PX / max(height, width))
    wanted = min(1.0, max(usual, LEAST_DEFECT_PX / min(sizes))) if sizes else usual
    smallest = f"the smallest defect is {min(sizes):.0f} pixels" if sizes else "no outline says how small a defect is"
    picture = f"pictures of {width}x{height}, {smallest}"
    tiles = Tiling()
    if wanted * max(height, width) > MOST_PX and most == len(facts) and min(height, width) >= tiles.height:
        rows, columns = (side // _CELL_PX * _CELL_PX for side in (height, width))
        crop = f"input.crop={{x=0,y=0,width={columns},height={rows}}}"
        sides = f"input.height={rows}", f"input.width={columns}", f"input.tiles.overlap={tiles.overlap}"
        cut = (crop,) if (rows, columns) != (height, width) else ()
        return (*sides, *cut), (f"tiles of {tiles.width}x{tiles.height}: {picture}, lost in a smaller input",)
    limited = min(wanted, MOST_PX / max(height, width))
    rows, columns = (_rounded_up(side * limited) for side in (height, width))
    reason = f"input {columns}x{rows}: {picture}"
    if limited < wanted:
        reason += f", which would want {wanted * width:.0f}x{wanted * height:.0f}: crop the pictures to the part"
    return (f"input.height={rows}", f"input.width={columns}"), (reason,)


def _rounded_up(side: float) -> int:
    return int(-(-(side - 0.5) // _STEP_PX) * _STEP_PX)  # half a pixel is no reason for another step


def _defects_px(facts: Sequence[ImageFacts], plain: Recipe) -> Iterator[float]:
    """Root of the area of each picture's defects, in pixels of the picture."""
    for one in facts:
        scale = sqrt(one.height * one.width / (plain.input.height * plain.input.width))
        yield from (defect.input_px * scale for defect in one.defects)
