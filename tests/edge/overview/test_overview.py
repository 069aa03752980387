"""The overview shows each station as the central records have it, and to nobody without the password."""

import base64
import json
import threading
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from edge.errors import ServerError
from edge.overview.server import OverviewServer
from edge.overview.stations import StationSummary, summarise
from edge.servers.state import AlarmState, PauseInForce
from tests.edge.page.chromium import Tab, findings, text
from tests.edge.page.doubles import NOON, station

pytest.importorskip("psycopg", reason="the overview needs edge-inspect[central]")


def state(**changes: object) -> dict[str, object]:
    """JSON of a state with some changes."""
    return station().model_copy(update={"alarms": (), "paused": None, **changes}).model_dump(mode="json")


ALARM = AlarmState(name="drift levels top", text="too dark", since=NOON, part_id=0)
PAUSE = PauseInForce(who="Ada", reason="cleaning", since=NOON)


@pytest.mark.parametrize(
    ("changes", "age_s", "condition"),
    [
        ({"link_open": True}, 1.0, "running"),
        ({"link_open": True}, 16.0, "silent"),
        ({"link_open": True}, None, "silent"),
        ({"link_open": False}, 1.0, "waiting"),
        ({"link_open": True, "alarms": (ALARM,)}, 1.0, "alarm"),
        ({"link_open": True, "paused": PAUSE}, 1.0, "paused"),
        ({"alive": False}, 1.0, "failed"),
        ({"stopping": True}, 500.0, "stopped"),
    ],
)
def test_the_condition_is_that_of_the_state(changes: dict[str, object], age_s: float | None, condition: str) -> None:
    assert summarise("line3", state(**changes), age_s, None, None, None).condition == condition


def test_rejects_are_counted_by_class() -> None:
    found = summarise("line3", state(), 1.0, 100, 95, {"2 crack": 1, "2 chip off": 3, "5 ": 1})

    assert [(reject.verdict, reject.class_name, reject.parts) for reject in found.rejects] == [
        ("NG", "chip off", 3), ("NG", "crack", 1), ("FAULT", "", 1),
    ]  # fmt: skip
    assert summarise("line3", {"of": "another version"}, 1.0, 1, 1, None).condition == "silent"


@contextmanager
def serving(summaries: list[StationSummary] | None, password: str = "") -> Iterator[str]:
    """Serve these stations, or an error; yields the address."""

    def read() -> list[StationSummary]:
        if summaries is None:
            raise ServerError("central records postgresql://db/quality: connection refused")
        return summaries

    with OverviewServer("127.0.0.1", 0, read, password) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.05,))
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_address[1]}"
        finally:
            server.shutdown()
            thread.join()


def answer(address: str, **headers: str) -> tuple[int, str]:
    request = urllib.request.Request(address, headers=headers)
    try:
        with urllib.request.urlopen(request, timeout=60) as response:
            return response.status, response.read().decode()
    except urllib.error.HTTPError as error:
        with error:
            return error.code, error.read().decode()


MANY = [
    summarise("line1", state(link_open=True, shadow=False), 1.0, 3600, 3570, {"2 chip off": 28, "4 ": 2}),
    summarise("line2", state(link_open=True, alarms=(ALARM,)), 1.0, 3600, 3600, None),
    summarise("line3", state(), 95.0, None, None, None),
]


def test_the_page_its_files_and_the_stations_are_served() -> None:
    with serving(MANY) as address:
        found = {path: answer(address + path)[0] for path in ("/", "/static/page.css", "/static/overview.js", "/../x")}
        stations = json.loads(answer(f"{address}/api/stations")[1])
        foreign = answer(address, Host="evil.example")[0]

    assert found == {"/": 200, "/static/page.css": 200, "/static/overview.js": 200, "/../x": 404}
    assert [(one["name"], one["condition"], one["parts"]) for one in stations] == [
        ("line1", "running", 3600), ("line2", "alarm", 3600), ("line3", "silent", 0),
    ]  # fmt: skip
    assert foreign == 421


def test_with_a_password_others_see_nothing() -> None:
    def basic(words: str) -> str:
        return f"Basic {base64.b64encode(words.encode()).decode()}"

    with serving(MANY, "open sesame") as address:
        given = ("", "Basic x", basic("anyone:open sesam"), basic("anyone:open sesame"))
        found = [answer(f"{address}/api/stations", Authorization=word)[0] for word in given]

    assert found == [401, 401, 401, 200]


def test_a_database_that_is_away_is_said() -> None:
    with serving(None) as address:
        status, text = answer(f"{address}/api/stations")

    assert (status, "connection refused" in text) == (503, True)


@pytest.mark.parametrize("lang", ["en", "de"])
def test_the_page_in_a_browser_is_accessible_and_fits(lang: str, tab: Tab, tmp_path: Path) -> None:
    with serving(MANY) as address:
        for width, height, dark in ((1280, 720, False), (390, 844, True)):
            tab.show(width, height, dark)
            tab.open(f"{address}/?lang={lang}", "document.querySelectorAll('tbody tr').length === 3")

            assert findings(tab) == []
            assert tab.evaluate("document.body.scrollWidth <= innerWidth")
        words = tab.evaluate(text("tbody tr .condition"))
        tab.picture(tmp_path / f"{lang}.png")

    assert words == {"en": "Running", "de": "Läuft"}[lang]
    assert tab.complaints() == []
