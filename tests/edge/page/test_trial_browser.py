"""The page shows a trial: its button and its dialog."""

import pytest

from edge.page.page_model import PageModel
from edge.servers.state import StateUpdate
from tests.edge.page.chromium import Tab, condition, findings, tab_to, text
from tests.edge.page.doubles import NOON, Clock, Serve, part, station, welcome

TRIAL = {
    "folder": "/etc/edge-inspect/line3/next", "bundle_id": "cd" * 32, "judged": 1234, "disagreed": 17, "dropped": 56,
    "ms_per_part": 41.3,
}  # fmt: skip
FACTS = "[...document.querySelectorAll('#trial dd')].map(fact => fact.textContent)"


def shown(trial: object, lang: str, clock: Clock) -> PageModel:
    """An inspector's page of a station with this trial."""
    model = PageModel(welcome(inspector_token="inspectors-own", lang=lang), clock, lambda: NOON)
    model.take(StateUpdate(station=station(trial=trial), parts=(part(99),)), b"")
    return model


@pytest.mark.parametrize(("lang", "dark", "button"), [
    ("en", False, "Trial: 17 of 1\u2009234 differ"), ("de", True, "Erprobung: 17 von 1\u2009234 anders")])  # fmt: skip
def test_the_trial_is_one_press_away_on_every_screen(
    lang: str, dark: bool, button: str, clock: Clock, serve: Serve, tab: Tab
) -> None:
    at = serve(shown(TRIAL, lang, clock))
    for width, height in ((1024, 600), (390, 844)):
        tab.show(width, height, dark)
        tab.open(f"{at}/?token=inspectors-own", f"{condition('running')} && document.querySelector('#trial dd')")

        assert tab.evaluate("document.documentElement.scrollWidth <= innerWidth"), f"{width}: scrolls sideways"
        assert width < 1024 or tab.evaluate("document.documentElement.scrollHeight <= innerHeight"), f"{width}: scrolls"
        assert tab.evaluate(text("header [data-open=trial]")) == button
        tab_to(tab, "[data-open=trial]")
        tab.press("Enter")
        assert tab.evaluate("document.querySelector('#trial').matches(':modal')")
        assert findings(tab) == [], f"{width}x{height}"
    facts = tab.evaluate(FACTS)
    assert facts[1:4] == ["1\u2009234", "1\u2009217 (98.6 %)" if lang == "en" else "1\u2009217 (98,6 %)", "17"]
    assert facts[4:] == ["41 ms", "56"]
    assert tab.evaluate("document.querySelector('#trial a').getAttribute('href')") == "api/trial-report"
    assert tab.complaints() == []


@pytest.mark.parametrize(
    ("trial", "words"),
    [
        (None, ""),
        ({"folder": "next"}, "Trial: opening"),
        ({"folder": "next", "running": False}, "Trial: ended"),
    ],
)
def test_the_button_says_the_state(trial: object, words: str, clock: Clock, serve: Serve, tab: Tab) -> None:
    tab.open(f"{serve(shown(trial, 'en', clock))}/?token=inspectors-own", condition("running"))

    assert tab.evaluate("document.querySelector('header [data-open=trial]').innerText") == words
