"""The page is in English and German: the same texts in both, on every screen."""

import pytest

from edge.page.page_model import PageModel
from edge.page.state import StateUpdate
from tests.edge.page.chromium import Tab, condition, findings, text
from tests.edge.page.doubles import NOON, Clock, Serve, alarm, part, station, welcome

KEYS = """import('/static/texts.js').then(({ TABLES }) => {
  const keys = (name, one) => Array.isArray(one) ? [`${name}[${one.length}]`]
    : one && typeof one === 'object' ? Object.keys(one).flatMap((key) => keys(`${name}.${key}`, one[key]))
    : [`${name}: ${typeof one === 'function' ? one.length + ' values' : typeof one}`];
  return Object.fromEntries(Object.entries(TABLES).map(([name, table]) => [name, keys('', table)]));
})"""
DEFECT = {"class_name": "Kantenausbruch", "score": 0.97, "area_px": 16.0, "camera": "top"}
PAUSE = {"who": "Ada", "reason": "Reinigung der Lampe", "since": NOON}


@pytest.fixture
def model(clock: Clock) -> PageModel:
    """A paused line with an alarm and rejects, of an inspector's page."""
    shown = PageModel(welcome(inspector_token="inspectors-own", lang="de"), clock, lambda: NOON)
    changes = {"alarms": (alarm("camera side", "nicht erreichbar; Kabel prüfen"),), "paused": PAUSE}
    parts = tuple(part(number, "NG", defects=[DEFECT, DEFECT]) for number in range(1, 15))
    shown.take(StateUpdate(station=station(**changes), parts=parts), b"")
    return shown


def test_both_languages_have_the_same_texts(model: PageModel, serve: Serve, tab: Tab) -> None:
    tab.open(serve(model), condition("paused"))
    keys = tab.evaluate(KEYS)

    assert sorted(keys) == ["de", "en"]
    assert sorted(keys["de"]) == sorted(keys["en"])


@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
def test_german_fits_every_screen_and_is_accessible(dark: bool, model: PageModel, serve: Serve, tab: Tab) -> None:
    at = serve(model)
    for width, height in ((1024, 600), (390, 844)):
        tab.show(width, height, dark)
        tab.open(f"{at}/?token=inspectors-own", f"{condition('paused')} && document.querySelector('#chart text')")

        assert tab.evaluate("document.documentElement.lang") == "de"
        assert tab.evaluate(text("#condition")) == "Pause"
        assert tab.evaluate(text("#why")).startswith("Kantenausbruch 0,97 und 1 weitere")
        assert tab.evaluate("document.documentElement.scrollWidth <= innerWidth"), f"{width}: scrolls sideways"
        if width >= 1024:
            assert tab.evaluate("document.documentElement.scrollHeight <= innerHeight"), f"{width}: scrolls"
        assert findings(tab) == [], f"{width}x{height}"
    assert tab.complaints() == []


@pytest.mark.parametrize(
    ("lang", "preferred", "shown"),
    [(None, "de-AT,en", "Läuft"), (None, "fr,en", "Running"), (None, "fr", "Running"), ("en", "de", "Running")],
)
def test_the_language_is_that_of_the_line_or_of_the_browser(
    lang: str | None, preferred: str, shown: str, clock: Clock, serve: Serve, tab: Tab
) -> None:
    model = PageModel(welcome(lang=lang), clock, lambda: NOON)
    model.take(StateUpdate(station=station()), b"")
    tab.prefer(preferred)
    tab.open(serve(model), condition("running"))

    assert tab.evaluate(text("#condition")) == shown
