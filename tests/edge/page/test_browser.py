"""The page in a real browser: layout, states, keyboard, accessibility, and nothing on its console."""

from collections.abc import Callable
from datetime import datetime, timedelta, timezone
from importlib.util import find_spec
from pathlib import Path

import pytest

from bundle import Verdict, encode_png
from edge.page.page_model import PageModel
from edge.records.writer import Records
from edge.servers.state import PartState, StateUpdate
from tests.conftest import grey_frame, tiny_manifest
from tests.edge.page.chromium import Tab, condition, findings, tab_to, text
from tests.edge.page.doubles import NOON, Clock, Serve, alarm, part, station, welcome
from tests.edge.part_doubles import DARK, judged
from tests.edge.running_line import Run

SIZES = ((1024, 600), (1920, 1080), (390, 844))
REASON = (
    "camera side, v4l2:///dev/v4l/by-id/usb-Maker_21734112-index0: found no frame within 0.200 s, expected one; check "
    "the cable and the light barrier"
)
LONG = f"{REASON}; " * 3
ALARMS = tuple(alarm(name, LONG) for name in ("camera side", "rate of FAULT", "part escaped the ejector"))
PAUSE = {"who": "Ada", "reason": "Cleaning of the lamp", "since": NOON}
DEFECT = {"class_name": "Edge chipping", "score": 0.97, "area_px": 16.0, "camera": "top"}

Show = Callable[..., Tab]


def rejects(count: int, first: int = 1) -> tuple[PartState, ...]:
    """The latest rejects, one a minute."""
    return tuple(part(number, "NG", defects=[DEFECT]) for number in range(first, first + count))


STATES: dict[str, tuple[str, dict[str, object], PartState]] = {
    "running": ("running", {}, part(99)),
    "reject": ("running", {}, part(99, "NG", defects=[DEFECT, DEFECT])),
    "three alarms": ("alarm", {"alarms": ALARMS}, part(99, "FAULT", fault=REASON)),
    "PLC lost": ("waiting", {"link_open": False, "alarms": ALARMS[:1]}, part(99)),
    "paused": ("paused", {"paused": PAUSE}, part(99, "UNSURE", defects=[DEFECT])),
    "shadow, challenge": ("running", {"shadow": True, "challenge_missing": 2}, part(99, "TIMEOUT", fault=REASON)),
}


@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
@pytest.mark.parametrize("state", STATES)
def test_every_state_fits_every_screen_and_is_accessible(
    state: str, dark: bool, clock: Clock, serve: Serve, tab: Tab
) -> None:
    name, changes, last = STATES[state]
    model = PageModel(welcome(operator_token="operators-own"), clock, lambda: NOON)
    at = serve(model)
    model.take(StateUpdate(station=station(**changes), parts=(*rejects(14), last)), b"")
    for width, height in SIZES:
        tab.show(width, height, dark)
        tab.open(f"{at}/?token=operators-own", f"{condition(name)} && document.querySelector('#chart text')")
        where = f"{state} {width}x{height}"

        assert tab.evaluate("document.documentElement.scrollWidth <= innerWidth"), f"{where} scrolls sideways"
        if width >= 1024:
            assert tab.evaluate("document.documentElement.scrollHeight <= innerHeight"), f"{where} scrolls"
            bottoms = (
                "['#chart', '#rejects', 'footer'].map(s => document.querySelector(s).getBoundingClientRect().bottom)"
            )
            assert all(bottom <= height for bottom in tab.evaluate(bottoms)), f"{where}: below the edge"
            share = "document.querySelector('#verdict').clientHeight / innerHeight"
            assert tab.evaluate(share) >= 0.25, f"{where}: the verdict is small"
            clipped = "(e => e.scrollHeight > e.clientHeight + 1)(document.querySelector('#figures'))"
            assert not tab.evaluate(clipped), f"{where}: figures are cut"
            assert not tab.evaluate("document.querySelector('#why').hasAttribute('tabindex')"), (
                f"{where}: reason scrolls"
            )
        assert findings(tab) == [], where
    assert tab.complaints() == []


def test_axe_core_is_there_in_development() -> None:
    if find_spec("axe_playwright_python") is None:
        pytest.skip("no axe-core, rules of accessibility are not checked: pip install 'edge-inspect[dev]'")


@pytest.fixture
def running(model: PageModel, serve: Serve, tab: Tab) -> tuple[PageModel, Tab]:
    """A page that shows a running station with 14 rejects, the latest 12 of them in the list."""
    at = serve(model)
    model.take(StateUpdate(station=station(), parts=rejects(14)), b"")
    tab.open(at, "document.querySelectorAll('#rejects button').length === 12")
    return model, tab


def test_the_focus_stays_when_a_reject_arrives(running: tuple[PageModel, Tab]) -> None:
    model, tab = running
    tab.evaluate("document.querySelectorAll('#rejects button')[5].focus()")
    model.take(StateUpdate(station=station(), parts=rejects(2, first=15)), b"")
    tab.wait_for("document.querySelector('#rejects small').textContent.startsWith('116')")

    assert tab.evaluate("document.activeElement.querySelector('small').textContent").startswith("109")
    model.take(StateUpdate(station=station(), parts=rejects(12, first=17)), b"")
    tab.wait_for("document.querySelector('#rejects small').textContent.startsWith('128')")
    assert tab.evaluate("document.activeElement.closest('#rejects') !== null"), "the focus fell off the list"


def test_all_rejects_are_reached_by_keys(running: tuple[PageModel, Tab]) -> None:
    _, tab = running
    tab.evaluate("document.querySelector('#rejects button').focus()")
    tab.press("End")
    shown = """(() => { const last = document.activeElement.getBoundingClientRect();
        const list = document.querySelector('#rejects ol').getBoundingClientRect();
        return last.right <= list.right + 1 && last.left >= list.left })()"""
    tab.wait_for(shown)
    tab.press("Enter")

    assert tab.evaluate(text("#picture h2")).startswith("Rejected Part 103")
    tab.press("ArrowLeft")
    assert tab.evaluate("document.activeElement.querySelector('small').textContent").startswith("104")


def test_an_alarm_is_announced_when_it_begins_and_ends(running: tuple[PageModel, Tab]) -> None:
    model, tab = running
    model.take(StateUpdate(station=station(alarms=(alarm("PLC", "found it silent"),))), b"")
    tab.wait_for(f"{text('#spoken')} === 'Alarm: PLC. found it silent'")
    model.take(StateUpdate(station=station()), b"")
    tab.wait_for(f"{text('#spoken')} === 'Alarm over: PLC.'")

    assert tab.evaluate("document.querySelector('#spoken').getAttribute('role')") == "alert"


def test_the_whole_text_of_an_alarm_is_one_press_away(running: tuple[PageModel, Tab]) -> None:
    model, tab = running
    model.take(StateUpdate(station=station(alarms=(alarm("PLC", LONG),))), b"")
    tab.wait_for("document.querySelector('#alarms button')")
    tab.evaluate("document.querySelector('#alarms button').focus()")
    tab.press("Enter")

    assert tab.evaluate("document.querySelector('#alarm-list').open")
    assert tab.evaluate(text("#alarm-list li span")) == LONG
    assert findings(tab) == []
    tab.press("Escape")
    assert not tab.evaluate("document.querySelector('#alarm-list').open")


def test_the_duration_of_an_alarm_goes_on(model: PageModel, serve: Serve, tab: Tab) -> None:
    at, began = serve(model), datetime.now(timezone.utc)
    lasting = alarm("PLC", "silent").model_copy(update={"since": began})
    model.take(StateUpdate(station=station(alarms=(lasting,), time=began)), b"")
    tab.open(at, f"/^for [2-9] s$/.test({text('#alarms time')})")


@pytest.mark.parametrize(
    ("changes", "name"),
    [({"link_open": False}, "waiting"), ({"paused": PAUSE}, "paused"), ({"alive": False}, "failed")],
)
def test_a_verdict_that_is_not_of_now_is_not_in_full_colour(
    changes: dict[str, object], name: str, running: tuple[PageModel, Tab]
) -> None:
    model, tab = running
    colour = "getComputedStyle(document.querySelector('#verdict')).backgroundColor"
    before = tab.evaluate(colour)
    model.take(StateUpdate(station=station(**changes)), b"")
    tab.wait_for(condition(name))

    assert (before, tab.evaluate(colour)) == ("rgb(180, 35, 28)", "rgb(255, 255, 255)")


def test_without_contact_nothing_is_claimed(model: PageModel, clock: Clock, serve: Serve, tab: Tab) -> None:
    at = serve(model)
    model.take(StateUpdate(station=station(), parts=rejects(1)), b"")
    tab.open(at, condition("running"))
    clock.now += 60
    tab.wait_for(condition("silent"))

    assert tab.evaluate("document.title") == "No contact \N{EN DASH} Line 3"
    assert tab.evaluate(text("#contact")).startswith("No update from the station for 60 s")
    assert set(tab.evaluate("[...document.querySelectorAll('#devices li')].map(one => one.className)")) == {"unknown"}


@pytest.mark.parametrize(
    ("stopping", "name", "words"), [(True, "stopped", "as planned"), (False, "failed", "has failed")]
)
def test_a_planned_stop_and_a_crash_look_different_and_stay(
    stopping: bool, name: str, words: str, model: PageModel, serve: Serve, tab: Tab
) -> None:
    at = serve(model)
    model.take(StateUpdate(station=station(stopping=stopping)), b"")
    tab.open(at, condition("stopping" if stopping else "running"))
    model.end()
    tab.wait_for(condition(name))
    tab.wait_for(f"/[4-9] s ago/.test({text('#contact')})")

    assert tab.evaluate(condition(name))
    assert words in tab.evaluate(text("#contact"))


def test_the_hint_at_a_changed_token_stays(clock: Clock, serve: Serve, tab: Tab) -> None:
    model = PageModel(welcome(token="a-long-token"), clock, lambda: NOON)
    at = serve(model)
    model.take(StateUpdate(station=station()), b"")
    tab.open(f"{at}/?token=a-long-token", condition("running"))
    tab.clear_cookies()
    model.end()
    tab.wait_for(f"{text('#contact')}.startsWith('The token of this station has changed')")
    tab.wait_for("(window.looks = (window.looks || 0) + 1) > 30")

    assert tab.evaluate(text("#contact a")) == "Enter the new one"


def test_a_first_visit_asks_for_the_token(clock: Clock, serve: Serve, tab: Tab) -> None:
    model = PageModel(welcome(token="a-long-token"), clock, lambda: NOON)
    at = serve(model)
    model.take(StateUpdate(station=station()), b"")
    tab.open(at)
    assert findings(tab) == []
    tab.type("wrong")
    tab.press("Enter")
    tab.wait_for("document.querySelector('.wrong')")
    tab.type("a-long-token")
    tab.press("Enter")
    tab.wait_for(condition("running"))

    assert "token" not in tab.evaluate("location.href")
    assert not [words for words in tab.complaints() if "401" not in words], "more than the refusals themselves"


def test_an_operator_pauses_and_resumes_by_keyboard_alone(run: Run, clock: Clock, serve: Serve, tab: Tab) -> None:
    with run(page={"operator_token": "operators-own"}) as line:
        model = PageModel(line.pages[0].welcome(), clock, lambda: NOON)
        at = serve(model)
        model.take(StateUpdate(station=line.pages[0].state()), b"")
        tab.open(f"{at}/?token=operators-own", condition("running"))
        tab_to(tab, "[data-open=pause]")
        tab.press("Enter")
        tab.type("Ada")
        tab.press("Tab")
        tab.type("Cleaning")
        tab.press("Enter")
        tab.wait_for(f"{text('#spoken')}.startsWith('paused')")
        paused = line.verdicts(1)
        model.take(StateUpdate(station=line.pages[0].state()), b"")
        tab.wait_for(f"{text('#paused')}.startsWith('Paused by Ada')")
        tab_to(tab, "[data-open=resume]")
        tab.press("Enter")
        assert tab.evaluate("document.querySelector('#request input[name=who]').value") == "Ada"
        tab.press("Enter")
        tab.wait_for(f"{text('#spoken')} === 'parts are inspected'")

        assert (paused, line.verdicts(2)) == (["FAULT"], ["FAULT", "OK"])
        assert line.rows("SELECT who, reason, end_who FROM pauses") == [("Ada", "Cleaning", "Ada")]
    assert tab.complaints() == []


def test_what_the_station_refuses_is_said_in_the_dialog(clock: Clock, serve: Serve, tab: Tab) -> None:
    model = PageModel(welcome(operator_token="operators-own", records="nowhere"), clock, lambda: NOON)
    at = serve(model)
    model.take(StateUpdate(station=station()), b"")
    tab.open(f"{at}/?token=operators-own", condition("running"))
    tab.evaluate("document.querySelector('[data-open=acknowledge]').click()")
    tab.type("Ada")
    tab.evaluate("document.querySelector('.reasons button').click()")
    assert findings(tab) == []
    tab.evaluate("document.querySelector('#request .send').click()")

    tab.wait_for(f"{text('#request .answer')}.includes('found no such file')")


@pytest.mark.parametrize(
    ("role", "buttons"), [("", []), ("?token=operators-own", ["challenge", "acknowledge", "pause"])]
)
def test_a_reader_has_no_buttons_of_an_operator(
    role: str, buttons: list[str], clock: Clock, serve: Serve, tab: Tab
) -> None:
    model = PageModel(welcome(operator_token="operators-own"), clock, lambda: NOON)
    at = serve(model)
    model.take(StateUpdate(station=station()), b"")
    tab.open(f"{at}/{role}", condition("running"))
    visible = "[...document.querySelectorAll('button.operator')].filter(b => b.offsetParent).map(b => b.dataset.open)"

    assert tab.evaluate(visible) == buttons


def test_a_part_is_found_by_its_id_with_its_picture(tmp_path: Path, clock: Clock, serve: Serve, tab: Tab) -> None:
    path = tmp_path / "r.sqlite"
    records = Records(path, lambda: NOON - timedelta(days=30))
    for number in (1, 2):
        records.keep(judged(number, Verdict.NG, [grey_frame()], tiny_manifest().sealed(), (DARK,)), 10.0)
    records.note_picture(2, "camera0", "two.png")
    records.close()
    (tmp_path / "two.png").write_bytes(encode_png(grey_frame(0)))
    at = serve(PageModel(welcome(records=str(path), pictures=str(tmp_path)), clock, lambda: NOON))
    tab.open(at)
    tab_to(tab, "[data-open=find]")
    tab.press("Enter")
    tab.type("102")
    tab.press("Enter")
    tab.wait_for("document.querySelector('#find .shown img')?.naturalWidth > 0")

    assert tab.evaluate(text("#find .shown p")) == "NG: Dark 0.97"
    assert tab.evaluate(text("#find .answer")) == "1 part"
    assert findings(tab) == []
    tab.evaluate("document.querySelector('#find [name=part_id]').value = '7'")
    tab.evaluate("document.querySelector('#find form').requestSubmit()")
    tab.wait_for(f"{text('#find .answer')} === 'No such part on record.'")
    assert tab.complaints() == []


def test_texts_of_the_plant_are_no_markup(model: PageModel, serve: Serve, tab: Tab) -> None:
    evil = "<img src=x onerror=document.title='evil'>"
    at = serve(model)
    shown = part(1, "NG", defects=[{**DEFECT, "class_name": evil}], fault="")
    model.take(StateUpdate(station=station(alarms=(alarm(evil, evil),)), parts=(shown,)), b"")
    tab.open(at, condition("alarm"))

    assert tab.evaluate("document.querySelectorAll('img').length") == 0
    assert tab.evaluate(text("#why span")) == evil
    assert tab.complaints() == []
