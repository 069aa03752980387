"""Screenshots of the documentation, taken by Chromium from the running stations of tools/demo-plant."""

from contextlib import closing
from pathlib import Path

from PIL import Image

from tests.edge.page.chromium import Chromium, Tab
from tests.edge.page.review_dialog import ReviewDialog

WIDTH, HEIGHT = 1280, 800
COLOURS = 256
"""Of the palette, chosen by coverage of the colour space, so that small red marks stay red: half of the file."""


def take(program: str, profile: Path, station: str, overview: str, folder: Path) -> None:
    """Write `page.png`, `marking.png` and `overview.png`.

    program: Chromium. profile: a folder for its files. station: address of an operator's page with the token of an
    inspector. overview: address of the overview.
    """
    with closing(Chromium(program, profile)) as browser, closing(Tab(browser)) as tab:
        tab.show(WIDTH, HEIGHT)
        tab.open(overview, "document.querySelector('main') && document.body.innerText.includes('dimming')")
        _picture(tab, folder / "overview.png")
        tab.open(station, "document.documentElement.dataset.condition !== 'silent'")
        tab.wait_for("document.querySelectorAll('#rejects img').length > 3")
        tab.evaluate("document.querySelector('#rejects button').click()")  # it stays, the next part comes at once
        tab.wait_for("document.querySelector('#picture.pinned img')?.naturalWidth > 0")
        _picture(tab, folder / "page.png")
        dialog = ReviewDialog(tab)
        dialog.open_found("NG")
        dialog.choose("defective")
        _picture(tab, folder / "marking.png")


def _picture(tab: Tab, path: Path) -> None:
    tab.picture(path)
    with Image.open(path) as taken:
        taken.convert("RGB").quantize(COLOURS, Image.Quantize.MAXCOVERAGE, kmeans=1, dither=Image.Dither.NONE).save(
            path, optimize=True
        )
