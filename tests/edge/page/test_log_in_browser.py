"""A user logs in and out in a real browser, in both languages and by keyboard alone."""

import os
from pathlib import Path

import pytest

from bundle import Verdict
from edge.access.passwords import hashed
from edge.access.users import UserFile, add_user
from edge.page.page_model import PageModel
from edge.records.writer import Records
from edge.servers.state import StateUpdate
from tests.conftest import grey_frame, tiny_manifest
from tests.edge.page.chromium import Tab, condition, findings, tab_to, text
from tests.edge.page.doubles import NOON, Clock, Serve, station, welcome
from tests.edge.part_doubles import DARK, judged

pytest.importorskip("argon2", reason="passwords need edge-inspect[page]")
NAME, PASSWORD = "Ines Weber", "inspects the parts"
PICTURES = os.environ.get("LOG_IN_PICTURES")
"""Folder for pictures of what is tested; none by default."""


@pytest.fixture
def at(tmp_path: Path, clock: Clock, serve: Serve) -> str:
    users = UserFile(tmp_path / "users.json")
    add_user(users, NAME, "inspector", lambda: hashed(PASSWORD))
    records = Records(tmp_path / "r.sqlite")
    records.keep(judged(1, Verdict.NG, [grey_frame()], tiny_manifest(), (DARK,)), 10.0)
    records.close()
    keys = {"users": str(users.path), "records": str(records.path), "inspector_token": "open sesame"}
    model = PageModel(welcome(**keys), clock, lambda: NOON)
    model.take(StateUpdate(station=station()), b"")
    return serve(model, clock=clock)


def look(tab: Tab, name: str) -> None:
    """Keep a picture where one is asked for."""
    if PICTURES is not None:
        tab.picture(Path(PICTURES) / f"{name}.png")


@pytest.mark.parametrize(
    ("language", "wrong"),
    [("de-DE", "Benutzername oder Passwort ist falsch."), ("en-GB", "User name or password is wrong.")],
)
def test_a_user_logs_in_by_keyboard_marks_and_logs_out(at: str, tab: Tab, language: str, wrong: str) -> None:
    tab.prefer(language)
    tab.open(at, "document.querySelector('[name=password]')")
    assert findings(tab) == []
    look(tab, f"log-in-{language}")
    for password in ("a wrong password", PASSWORD):
        tab.wait_for("document.activeElement.name === 'name'")
        tab.type(NAME)
        tab.press("Tab")
        tab.type(password)
        tab.press("Enter")
        if password != PASSWORD:
            tab.wait_for("document.querySelector('.wrong')")
            assert tab.evaluate(text(".wrong")) == wrong
            assert findings(tab) == []
            look(tab, f"wrong-{language}")
    tab.wait_for(condition("running"))
    shown = "[...document.querySelectorAll('.inspector, .operator')].some(one => one.offsetParent)"
    assert tab.evaluate(shown)
    assert tab.evaluate("sessionStorage.getItem('who')") == NAME
    look(tab, f"page-{language}")
    tab_to(tab, "[data-log-out]")
    tab.press("Enter")
    tab.wait_for("document.querySelector('[name=password]')")
    assert not [words for words in tab.complaints() if "401" not in words], "more than the refusals themselves"
