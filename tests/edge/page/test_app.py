"""Everything that the page's addresses answer, over HTTP."""

import json
import re
import sqlite3
from contextlib import closing
from datetime import timedelta
from pathlib import Path
from urllib.error import HTTPError
from urllib.parse import urlencode
from urllib.request import Request, urlopen

import pytest

import edge.page
from bundle import Verdict, encode_png
from edge.page.page_model import PageModel
from edge.page.state import ViewPicture
from edge.records.writer import Records
from edge.servers.state import CameraState, StateUpdate
from tests.conftest import grey_frame, tiny_manifest
from tests.edge.page.doubles import NOON, Clock, Serve, alarm, part, station, welcome
from tests.edge.part_doubles import DARK, judged

PATIENCE_S = 20.0
STATIC = Path(edge.page.__file__).with_name("static")
OPERATING = ("/api/pause", "/api/resume", "/api/challenge", "/api/acknowledge")


def get(address: str, **headers: str) -> tuple[int, str]:
    """Ask for an address; the answer's status and text."""
    try:
        with urlopen(Request(address, headers=headers), timeout=PATIENCE_S) as answer:
            return answer.status, answer.read().decode("utf-8", "replace")
    except HTTPError as error:
        with error:
            return error.code, error.read().decode()


def test_the_state_has_the_last_part_and_its_picture(model: PageModel, serve: Serve) -> None:
    at = serve(model)
    model.take(ViewPicture(number=2, camera="top left"), b"a picture")
    model.take(StateUpdate(station=station(), parts=(part(1), part(2, "NG"))), b"")

    state = json.loads(get(f"{at}/api/state")[1])

    assert (state["condition"], state["title"]) == ("running", "Line 3")
    assert (state["last"]["verdict"], state["last"]["part_id"]) == ("NG", 102)
    assert [reject["number"] for reject in state["rejects"]] == [2]
    assert get(f"{at}/{state['last']['pictures']['top left']}") == (200, "a picture")


def test_a_picture_that_is_gone_is_not_found(model: PageModel, serve: Serve) -> None:
    status, words = get(f"{serve(model)}/api/pictures/7/top")

    assert status == 404
    assert "row 7" in words


def test_the_page_loads_from_the_station_only(model: PageModel, serve: Serve) -> None:
    at = serve(model)
    page = get(f"{at}/")[1]
    answers = [get(f"{at}/static/{path.name}") for path in STATIC.iterdir() if path.name != "index.html"]
    texts = [page, *(text for _, text in answers)]

    assert {status for status, _ in answers} == {200}
    assert all((STATIC / name).is_file() for name in re.findall(r'(?:src|href)="static/([^"]+)"', page))
    addresses = [found for text in texts for found in re.findall(r"(?:https?:)?//[\w.-]+\.\w+", text)]
    assert set(addresses) == {"http://www.w3.org"}  # the SVG namespace, which is not fetched


def test_a_browser_is_told_of_each_change(model: PageModel, serve: Serve) -> None:
    at = serve(model)
    with urlopen(f"{at}/api/events", timeout=PATIENCE_S) as events:
        first = json.loads(events.readline().removeprefix(b"data: "))
        model.take(StateUpdate(station=station(), parts=(part(1, "NG"),)), b"")
        told: dict[str, object] = {}
        while not told.get("last"):
            told = json.loads(events.readline().removeprefix(b"data: ") or b"{}" if events.readline() else b"{}")

    assert first["condition"] == "silent"
    assert told["condition"] == "running"


def test_too_many_browsers_are_told_to_ask(model: PageModel, serve: Serve) -> None:
    at = serve(model)
    open_ones = []
    try:
        for _ in range(32):
            open_ones.append(urlopen(f"{at}/api/events", timeout=PATIENCE_S))
            open_ones[-1].readline()
        status, words = get(f"{at}/api/events")
    finally:
        for one in open_ones:
            one.close()

    assert status == 503
    assert "/api/state" in words


@pytest.mark.parametrize(
    ("changes", "silent_s", "status", "reason"),
    [
        ({}, 0, 200, "[]"),
        ({"link_open": False}, 0, 503, "the PLC is not connected"),
        (
            {"cameras": (CameraState(name="top", connected=False, frames=0, damaged=0, lost=1, last_error=""),)},
            0,
            503,
            "camera top is lost",
        ),
        ({"stopping": True}, 0, 503, "the station is stopping"),
        ({"alive": False}, 0, 503, "a thread of the station has failed"),
        ({"disk_refuses": "full"}, 0, 503, "the disk refuses rows: full"),
        ({"alarms": [alarm("rate of FAULT")]}, 0, 503, "rate of FAULT: look"),
        ({"alarms": [alarm("rate of TIMEOUT")]}, 0, 503, "rate of TIMEOUT: look"),
        ({"alarms": [alarm("rate of rejects")]}, 0, 200, "[]"),
        ({}, 60, 503, "no update from the station for 60 s"),
    ],
)
def test_health_says_what_is_in_the_way(
    model: PageModel, clock: Clock, serve: Serve, changes: dict[str, object], silent_s: float, status: int, reason: str
) -> None:
    at = serve(model)
    model.take(StateUpdate(station=station(**changes)), b"")
    clock.now += silent_s

    found, words = get(f"{at}/health")

    assert found == status
    assert reason in words


def test_a_station_that_has_ended_is_not_healthy(model: PageModel, serve: Serve) -> None:
    at = serve(model)
    model.take(StateUpdate(station=station()), b"")
    model.end()

    status, words = get(f"{at}/health")

    assert status == 503
    assert "the station has ended" in words


def test_alarms_alone_are_healthy(model: PageModel, serve: Serve) -> None:
    at = serve(model)
    model.take(StateUpdate(station=station(alarms=(alarm("drift brightness top"),))), b"")

    status, words = get(f"{at}/health")

    assert status == 200
    assert json.loads(words)["alarms"] == ["drift brightness top"]
    assert json.loads(get(f"{at}/api/state")[1])["condition"] == "alarm"


def test_prometheus_reads_the_metrics(model: PageModel, serve: Serve) -> None:
    at = serve(model)
    from prometheus_client.parser import text_string_to_metric_families

    model.take(StateUpdate(station=station(), parts=(part(1), part(2, "NG"))), b"")

    families = text_string_to_metric_families(get(f"{at}/metrics")[1])
    values = {(sample.name, *sample.labels.values()): sample.value for family in families for sample in family.samples}

    assert values[("edge_inspect_up",)] == 1
    assert values[("edge_inspect_triggers_total",)] == 9
    assert values[("edge_inspect_camera_frames_total", "top")] == 7
    assert values[("edge_inspect_shift_parts", "NG")] == 1
    assert values[("edge_inspect_latency_seconds_count",)] == 2
    assert values[("edge_inspect_latency_seconds_sum",)] == pytest.approx(0.003)


def test_without_the_token_nothing_is_shown(clock: Clock, serve: Serve) -> None:
    at = serve(PageModel(welcome(token="a-long-token"), clock, lambda: NOON))
    for place in ("", "api/state", "api/events", "api/parts", "health", "metrics", "static/page.js"):
        status, words = get(f"{at}/{place}")

        assert (place, status) == (place, 401)
        assert "line.toml" in words
    assert get(f"{at}/api/state?token=another")[0] == 401
    assert get(f"{at}/api/state?token=a-long-token")[0] == 200
    assert get(f"{at}/api/state", Authorization="Bearer a-long-token")[0] == 200
    assert get(f"{at}/api/state", Cookie="edge-inspect-token=a-long-token")[0] == 200


def test_the_parts_of_the_records_are_there_newest_first(tmp_path: Path, clock: Clock, serve: Serve) -> None:
    path = tmp_path / "r.sqlite"
    records = Records(path, lambda: NOON)
    for number, verdict in enumerate((Verdict.OK, Verdict.NG, Verdict.OK), start=1):
        defects = (DARK,) if verdict is Verdict.NG else ()
        records.keep(judged(number, verdict, [grey_frame()], tiny_manifest().sealed(), defects), 10.0)
    records.close()
    at = serve(PageModel(welcome(records=str(path)), clock, lambda: NOON))

    def numbers(query: str) -> list[int]:
        return [found["number"] for found in json.loads(get(f"{at}/api/parts{query}")[1])]

    assert numbers("") == [3, 2, 1]
    assert numbers("?before=3&limit=1") == [2]
    assert numbers("?verdict=NG") == [2]
    assert json.loads(get(f"{at}/api/parts?verdict=NG")[1])[0]["defects"][0]["class_name"] == "Dark"
    assert numbers("?part_id=102") == [2]
    assert numbers("?part_id=99") == []
    assert get(f"{at}/api/parts?limit=100000")[0] == 422
    for beyond in (2**63 - 1, 2**63, 10**30):
        assert get(f"{at}/api/parts?before={beyond}")[0] == 422
    assert get(f"{at}/api/parts?part_id={2**63}")[0] == 422
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("PRAGMA user_version = 99")
    assert get(f"{at}/api/parts")[0] == 503


def test_every_address_is_documented(model: PageModel, serve: Serve) -> None:
    described = json.loads(get(f"{serve(model)}/openapi.json")[1])

    assert set(described["paths"]) == {
        "/api/state", "/api/history", "/api/parts", "/api/pictures/{number}/{camera}", "/api/events", "/health",
        "/metrics", "/api/queue", "/api/parts/{number}", "/api/frames/{number}/{camera}", "/api/marks", "/api/sample",
        "/api/trial-report", *OPERATING,
    }  # fmt: skip
    posted = (*OPERATING, "/api/marks")
    assert all(set(methods) == {"post" if path in posted else "get"} for path, methods in described["paths"].items())


def post(address: str, content: dict[str, str], **headers: str) -> tuple[int, str]:
    """Send a request of an operator; the answer's status and text."""
    return answered(Request(address, json.dumps(content).encode(), {"Content-Type": "application/json", **headers}))


def answered(request: Request) -> tuple[int, str]:
    """Status and text of the answer."""
    try:
        with urlopen(request, timeout=PATIENCE_S) as answer:
            return answer.status, answer.read().decode()
    except HTTPError as error:
        with error:
            return error.code, error.read().decode()


@pytest.mark.parametrize("path", OPERATING)
def test_operating_needs_the_operators_token_and_the_page_itself(path: str, clock: Clock, serve: Serve) -> None:
    at = serve(PageModel(welcome(token="a-long-token", operator_token="operators-own"), clock, lambda: NOON))
    asked = {"who": "Ada"} | ({} if path == "/api/resume" else {"reason": "cleaning"})

    assert post(at + path, asked)[0] == 401
    assert post(at + path, asked, Authorization="Bearer a-long-token")[0] == 403
    assert post(at + path, asked, Authorization="Bearer operators-own", Origin="http://evil.example")[0] == 403
    status, words = post(at + path, asked, Authorization="Bearer operators-own", Origin=at)
    assert (status, "found no such file" in words) == (503, True)  # there is no station
    assert post(at + path, {"who": ""}, Authorization="Bearer operators-own")[0] == 422
    assert post(at + path, {"who": "A\nB", "reason": "x"}, Authorization="Bearer operators-own")[0] == 422


@pytest.mark.parametrize("path", OPERATING)
def test_without_an_operators_token_the_page_is_read_only(path: str, model: PageModel, serve: Serve) -> None:
    assert post(serve(model) + path, {"who": "Ada", "reason": "cleaning"})[0] == 403


@pytest.mark.parametrize(("token", "role"), [(None, "sign-in"), ("operators-own", "operator")])
def test_the_page_knows_its_role(token: str | None, role: str, clock: Clock, serve: Serve) -> None:
    at = serve(PageModel(welcome(operator_token="operators-own"), clock, lambda: NOON))
    headers = {} if token is None else {"Cookie": f"edge-inspect-token={token}"}

    assert f'data-role="{role}"' in get(f"{at}/", **headers)[1]
    assert get(f"{at}/?token=another-one", Accept="text/html")[0] == 401


def test_a_stopped_station_and_a_crashed_one_are_told_apart(model: PageModel) -> None:
    model.take(StateUpdate(station=station()), b"")
    model.end()
    crashed = model.state().condition
    model.take(StateUpdate(station=station(stopping=True)), b"")

    assert (crashed, model.state().condition) == ("failed", "stopped")


def test_parts_are_found_by_time_with_their_stored_pictures(tmp_path: Path, clock: Clock, serve: Serve) -> None:
    path, at = tmp_path / "r.sqlite", NOON
    records = Records(path, lambda: at)
    for number in range(1, 5):
        at = NOON + timedelta(minutes=number)
        records.keep(judged(number, Verdict.NG, [grey_frame()], tiny_manifest().sealed()), 10.0)
    stored = {2: "2026/two.png", 3: "../outside.png", 4: "2026/gone.png"}
    for number, name in stored.items():
        records.note_picture(number, "camera0", name)
    records.close()
    (tmp_path / "pictures/2026").mkdir(parents=True)
    for place in ("pictures/2026/two.png", "outside.png"):
        (tmp_path / place).write_bytes(encode_png(grey_frame(0)))
    base = serve(PageModel(welcome(records=str(path), pictures=str(tmp_path / "pictures")), clock, lambda: NOON))

    def found(**query: object) -> list[int]:
        return [one["number"] for one in json.loads(get(f"{base}/api/parts?{urlencode(query)}")[1])]

    assert found(since=NOON + timedelta(minutes=2)) == [4, 3, 2]
    assert found(since=NOON + timedelta(minutes=2), until=NOON + timedelta(minutes=4), limit=1) == [3]
    assert found(since="2026-05-04T12:32:15Z", until="2026-05-04T14:33:16+02:00", verdict="NG") == [3, 2]
    (second,) = json.loads(get(f"{base}/api/parts?part_id=102")[1])
    with urlopen(f"{base}/{second['pictures']['camera0']}", timeout=PATIENCE_S) as answer:
        assert answer.read(3) == b"\xff\xd8\xff"  # JPEG
    assert [get(f"{base}/api/pictures/{number}/camera0")[0] for number in (1, 3, 4)] == [404, 404, 404]
    assert get(f"{base}/api/parts?since=yesterday")[0] == 422
    assert get(f"{base}/api/parts?since=0001-01-01T00:00:00%2B14:00")[0] == 422
    assert get(f"{base}/api/pictures/{2**70}/camera0")[0] == 422
