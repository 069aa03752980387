"""The page is in English and German: the same texts in both, on every screen."""

import pytest

from edge.page.page_model import PageModel
from edge.servers.state import StateUpdate
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


ALARMS = tuple(
    alarm(name, "camera side, v4l2:///dev/v4l/by-id/usb-Maker_21734112-index0: found no frame within 0.200 s; " * 3)
    for name in ("camera side", "rate of TIMEOUT", "part escaped the ejector", "drift score Kantenausbruch", "records")
)
EVERYTHING = {"shadow": True, "paused": PAUSE, "challenge_missing": 2, "link_open": False, "disk_refuses": "voll"}
SECTIONS = "header, #notices > p, #alarms, #verdict, #figures, #chart, #picture, #rejects, footer"
OVERLAPS = f"""(() => {{
  const shown = [...document.querySelectorAll('{SECTIONS}')].filter((one) => one.clientHeight);
  const boxes = shown.map((one) => [one.id || one.tagName, one.getBoundingClientRect()]);
  const meet = (a, b) => a.left < b.right - 1 && b.left < a.right - 1 && a.top < b.bottom - 1 && b.top < a.bottom - 1;
  return boxes.flatMap(([name, box], place) => boxes.slice(place + 1)
    .filter(([, other]) => meet(box, other)).map(([other]) => `${{name}} ${{other}}`));
}})()"""


@pytest.mark.parametrize(
    ("alarms", "changes", "fault"), [(4, {}, ""), (4, {}, ALARMS[0].text), (5, EVERYTHING, ALARMS[0].text)]
)
def test_nothing_overlaps_however_much_there_is_to_say(
    alarms: int, changes: dict[str, object], fault: str, clock: Clock, serve: Serve, tab: Tab
) -> None:
    shown = PageModel(welcome(operator_token="operators-own", lang="de", title="Glasurlinie 3"), clock, lambda: NOON)
    last = part(2**32 - 101, "FAULT" if fault else "NG", fault=fault, defects=[] if fault else [DEFECT, DEFECT])
    parts = (*(part(number, "NG", defects=[DEFECT]) for number in range(1, 15)), last)
    shown.take(StateUpdate(station=station(alarms=ALARMS[:alarms], **changes), parts=parts), b"")
    at = serve(shown)
    for width, height in ((1024, 600), (1280, 800), (390, 844)):
        tab.show(width, height)
        tab.open(f"{at}/?token=operators-own", "document.querySelectorAll('#rejects button').length === 12")
        where = f"{width}x{height}"

        assert tab.evaluate(OVERLAPS) == [], where
        assert tab.evaluate("document.documentElement.scrollWidth <= innerWidth"), f"{where}: scrolls sideways"
        assert tab.evaluate("(e => e.scrollWidth <= e.clientWidth)(document.querySelector('#which'))"), where
        if width >= 1024:
            assert tab.evaluate("document.documentElement.scrollHeight <= innerHeight"), f"{where}: scrolls"
            assert tab.evaluate("document.querySelector('#verdict').clientHeight >= 135"), f"{where}: no verdict"
        assert findings(tab) == [], where


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
