"""Parts of a test, drawn before it starts; a part number gives the same picture in every process."""

from bundle import Image, resize
from synthetic.tiles import choose_kind, draw_part

KINDS = 200
"""Number of different pictures, repeated in order; neighbouring parts have different pictures."""
SHARE = 0.3
"""Share of the parts that have a defect."""
SEED = 6
SIZE = 320, 352
"""Height and width of a frame; a camera's frames have one size, drawn tiles have many."""


def truth(part_id: int) -> str | None:
    """Tell the defect that a part has; None if it is good."""
    return choose_kind(SEED, part_id % KINDS, SHARE)


def picture(part_id: int) -> Image:
    """Draw one part, grey uint8 [`SIZE`]."""
    return resize(draw_part(SEED, part_id % KINDS, SHARE).image, *SIZE)


def draw_belt() -> list[Image]:
    """Draw every part once; part p is at p % `KINDS`."""
    return [picture(number) for number in range(KINDS)]
