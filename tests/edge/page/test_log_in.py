"""Users log in at the page: sessions, CSRF, lock-out, and what is on record of it."""

import re
from collections.abc import Callable
from dataclasses import dataclass, field
from http.client import HTTPConnection, HTTPResponse
from pathlib import Path
from urllib.parse import urlencode, urlsplit

import pytest

from bundle import Verdict
from edge.access.audit import MOST_FAILURES, AccessLog, accesses
from edge.access.log_in import BY_ADDRESS, BY_BOTH, BY_NAME, LockedOut, LogIn
from edge.access.passwords import hashed
from edge.access.users import UserFile, add_user, change_user, remove_user
from edge.page.gate import MOST_LOG_IN_BYTES
from edge.page.page_model import PageModel
from edge.page.routes.app import make_app
from edge.records.writer import Records
from tests.conftest import grey_frame, tiny_manifest
from tests.edge.page.doubles import NOON, Clock, Serve, welcome
from tests.edge.part_doubles import DARK, judged

pytest.importorskip("argon2", reason="passwords need edge-inspect[page]")
PASSWORDS = {"olga": "operates the line", "ines": "inspects parts", "emil": "releases bundles"}
ROLES = {"olga": "operator", "ines": "inspector", "emil": "engineer"}
HASHES = {name: hashed(password) for name, password in PASSWORDS.items()}
PATIENCE_S = 20.0
MARK = '{"who": "somebody else", "marks": [{"part": 1, "truth": "good"}]}'


@dataclass
class Browser:
    """A browser without scripts: it keeps cookies, and knows the page's CSRF token once it has loaded the page."""

    at: str
    cookies: dict[str, str] = field(default_factory=dict)
    csrf: str = ""

    def ask(self, method: str, path: str, body: str = "", **headers: str) -> tuple[int, str]:
        place = urlsplit(self.at)
        connection = HTTPConnection(str(place.hostname), place.port, timeout=PATIENCE_S)
        cookie = "; ".join(f"{name}={value}" for name, value in self.cookies.items())
        given = {"Accept": "text/html", **({"Cookie": cookie} if cookie else {})}
        given |= {name.replace("_", "-"): text for name, text in headers.items()}
        try:
            connection.request(method, path, body.encode() if method == "POST" else None, given)
            answer = connection.getresponse()
            self._keep(answer)
            return answer.status, answer.read().decode()
        finally:
            connection.close()

    def _keep(self, answer: HTTPResponse) -> None:
        for given in answer.headers.get_all("Set-Cookie") or ():
            name, _, rest = given.partition("=")
            value = rest.partition(";")[0]
            self.cookies.pop(name, None)
            self.cookies |= {name: value} if value.strip('"') else {}
            assert "HttpOnly" in given
            assert "SameSite=strict" in given

    def log_in(self, name: str, password: str | None = None, **headers: str) -> int:
        _, form = self.ask("GET", "/log-in")
        found = re.search('name="form" value="([^"]+)"', form)
        assert found, form
        fields = {"form": found[1], "name": name, "password": PASSWORDS[name] if password is None else password}
        status, _ = self.ask("POST", "/log-in", urlencode(fields), **headers)
        page = self.ask("GET", "/")[1]
        self.csrf = "".join(re.findall('data-csrf="([^"]*)"', page))
        return status

    def post(self, path: str, body: str = "{}", **headers: str) -> tuple[int, str]:
        return self.ask("POST", path, body, Content_Type="application/json", X_CSRF_Token=self.csrf, **headers)


@pytest.fixture
def users(tmp_path: Path) -> UserFile:
    file = UserFile(tmp_path / "users.json")
    for name, known in HASHES.items():
        add_user(file, name, ROLES[name], lambda known=known: known)  # type: ignore[arg-type, misc]
    return file


@pytest.fixture
def records(tmp_path: Path) -> Path:
    records = Records(tmp_path / "r.sqlite")
    records.keep(judged(1, Verdict.NG, [grey_frame()], tiny_manifest(), (DARK,)), 10.0)
    records.close()
    return records.path


@pytest.fixture
def at(users: UserFile, records: Path, clock: Clock, serve: Serve) -> str:
    model = PageModel(welcome(users=str(users.path), records=str(records)), clock, lambda: NOON)
    return serve(model, clock=clock)


def events(records: Path) -> list[tuple[str, str]]:
    return [(event, who) for _, event, who, _, _ in accesses(records, 100)]


def test_nothing_is_shown_before_the_log_in(at: str) -> None:
    browser = Browser(at)
    before = [browser.ask("GET", path)[0] for path in ("/", "/api/state", "/api/parts", "/openapi.json", "/nothing")]

    assert before == [303, 401, 401, 401, 401]
    assert browser.log_in("olga") == 303
    assert browser.ask("GET", "/api/parts")[0] == 200


def test_the_form_speaks_german_and_english(at: str) -> None:
    found = [Browser(at).ask("GET", "/log-in", Accept_Language=asked)[1] for asked in ("de-AT,de;q=0.9", "fr, en")]

    assert ["Anmelden" in found[0], "Log in" in found[1]] == [True, True]


def test_a_mark_has_the_name_of_the_user_not_the_one_that_was_sent(at: str, records: Path) -> None:
    browser = Browser(at)
    browser.log_in("ines")
    status, _ = browser.post("/api/marks", MARK)
    _, part = browser.ask("GET", "/api/parts/1")

    assert status == 200
    assert ('"who":"ines"' in part, "somebody else" in part) == (True, False)


@pytest.mark.parametrize(("name", "status"), [("olga", 403), ("ines", 200), ("emil", 200)])
def test_marks_need_an_inspector(at: str, name: str, status: int) -> None:
    browser = Browser(at)
    browser.log_in(name)

    assert browser.post("/api/marks", MARK)[0] == status


def changing_routes() -> list[tuple[str, str]]:
    """Method and path of every route that is no GET, of an application with all of them."""
    settings = {"users": "users.json", "operator_token": "operators!", "inspect": True}
    gate = make_app(PageModel(welcome(**settings), Clock(), lambda: NOON))
    routes = gate._app.routes  # type: ignore[attr-defined]
    return sorted(
        (method, route.path) for route in routes for method in getattr(route, "methods", None) or ()
        if method not in ("GET", "HEAD")
    )  # fmt: skip


def test_no_route_changes_anything_without_role_and_csrf_token(at: str) -> None:
    stranger, operator, inspector = Browser(at), Browser(at), Browser(at)
    operator.log_in("olga")
    inspector.log_in("ines")
    paths = [path for method, path in changing_routes() if method == "POST" and path != "/log-in"]
    right = inspector.csrf

    assert {method for method, _ in changing_routes()} == {"POST"}
    assert len(paths) >= 6
    for path in paths:
        assert stranger.post(path)[0] == 401, path
        for wrong in ("", "x", operator.csrf, right[:-1], right + "x"):
            inspector.csrf = wrong
            assert inspector.post(path)[0] == 403, path
            assert inspector.ask("POST", f"{path}?csrf={right}", f"csrf={right}")[0] == 403, path
        inspector.csrf = right
        assert inspector.post(path, Origin="http://evil.example")[0] == 403, path
        assert inspector.post(path, Origin="null")[0] == 403, path
    for method in ("PUT", "DELETE", "PATCH", "OPTIONS", "post"):
        assert inspector.ask(method, "/api/marks")[0] in (403, 405), method


PATHS = (
    "/api//marks", "//api/marks", "/api/marks/", "/API/MARKS", "/api/marks%00", "/%61pi/marks", "/api/marks;x",
    "/log-in/../api/marks", "/log-in%2f..%2fapi/marks", "/static/..%2f..%2fusers.json", "/static/../users.json",
)  # fmt: skip


def test_no_spelling_of_a_path_goes_round_the_gate(at: str) -> None:
    stranger, operator = Browser(at), Browser(at)
    operator.log_in("olga")

    assert {stranger.ask("GET", path)[0] for path in PATHS} == {401}
    assert {stranger.post(path, MARK)[0] for path in PATHS} == {401}
    assert {operator.post(path, MARK)[0] for path in PATHS} <= {403, 404, 405}
    assert {operator.ask("GET", path)[0] for path in PATHS} <= {404, 405}


def test_a_typed_token_in_a_cookie_needs_the_csrf_token_too(
    clock: Clock, serve: Serve, records: Path, users: UserFile
) -> None:
    keys = {"inspector_token": "open sesame", "records": str(records), "users": str(users.path)}
    browser = Browser(serve(PageModel(welcome(**keys), clock, lambda: NOON), clock=clock))
    browser.ask("GET", "/?token=open+sesame")
    without = browser.post("/api/marks", MARK)[0]
    browser.csrf = re.findall('data-csrf="([^"]*)"', browser.ask("GET", "/")[1])[0]

    assert without == 403
    assert browser.post("/api/marks", MARK)[0] == 200
    assert Browser(browser.at).post("/api/marks", MARK, Authorization="Bearer open sesame")[0] == 200


def test_a_session_ends_without_use_and_after_its_time(at: str, clock: Clock) -> None:
    idle, busy = Browser(at), Browser(at)
    idle.log_in("olga")
    busy.log_in("olga")
    for _ in range(23):
        clock.now += 29 * 60
        idle.ask("GET", "/api/state")  # the page asks by itself
        assert busy.ask("GET", "/api/parts")[0] == 200
    was_idle = idle.ask("GET", "/api/state")[0]
    for _ in range(2):
        clock.now += 29 * 60
        last = busy.ask("GET", "/api/parts")[0]

    assert (was_idle, last) == (401, 401)


@pytest.mark.parametrize(
    "change",
    [
        lambda file: change_user(file, "ines", role="operator"),
        lambda file: change_user(file, "ines", password=hashed("another password")),
        lambda file: remove_user(file, "ines"),
        lambda file: file.path.unlink(),
        lambda file: file.path.chmod(0o644),
    ],
    ids=["role", "password", "removed", "no file", "readable by others"],
)
def test_a_session_ends_when_its_user_is_changed(at: str, users: UserFile, change: Callable[[UserFile], None]) -> None:
    browser = Browser(at)
    browser.log_in("ines")
    before = browser.ask("GET", "/api/parts")[0]
    change(users)

    assert (before, browser.ask("GET", "/api/parts")[0]) == (200, 401)


def test_a_cookie_is_worth_nothing_after_the_log_out(at: str, records: Path) -> None:
    browser = Browser(at)
    browser.log_in("olga")
    kept = dict(browser.cookies)
    status, _ = browser.post("/log-out")

    assert status == 204
    assert Browser(at, kept, browser.csrf).ask("GET", "/api/parts")[0] == 401
    assert events(records) == [("log-in", "olga"), ("log-out", "olga")]


def test_a_stream_ends_with_its_session(at: str) -> None:
    browser = Browser(at)
    browser.log_in("olga")
    place = urlsplit(at)
    connection = HTTPConnection(str(place.hostname), place.port, timeout=PATIENCE_S)
    cookie = "; ".join(f"{name}={value}" for name, value in browser.cookies.items())
    connection.request("GET", "/api/events", headers={"Cookie": cookie})
    answer = connection.getresponse()
    first = answer.readline()
    browser.post("/log-out")
    rest = answer.read()
    connection.close()

    assert first.startswith(b"data:")
    assert rest.count(b"data:") <= 2


def test_a_session_that_the_browser_brings_along_is_not_taken(at: str) -> None:
    victim = Browser(at, {"edge-inspect-session": "chosen-by-the-attacker"})
    victim.log_in("emil")

    assert victim.cookies["edge-inspect-session"] != "chosen-by-the-attacker"
    assert Browser(at, {"edge-inspect-session": "chosen-by-the-attacker"}).ask("GET", "/api/parts")[0] == 401


def test_a_second_log_in_ends_the_first_session(at: str) -> None:
    browser = Browser(at)
    browser.log_in("olga")
    first = dict(browser.cookies)
    browser.log_in("ines")

    assert Browser(at, first).ask("GET", "/api/parts")[0] == 401


def test_a_form_of_another_site_logs_nobody_in(at: str) -> None:
    fields = urlencode({"form": "guessed", "name": "olga", "password": PASSWORDS["olga"]})
    found = [
        Browser(at).ask("POST", "/log-in", fields)[0],
        Browser(at, {"edge-inspect-session-form": ""}).ask("POST", "/log-in", fields)[0],
        Browser(at).log_in("olga", Origin="http://evil.example"),
    ]

    assert found == [403, 403, 403]


def test_a_log_in_takes_no_large_body(at: str) -> None:
    assert Browser(at).ask("POST", "/log-in", "x" * (MOST_LOG_IN_BYTES + 1))[0] == 413


@pytest.mark.parametrize("name", ["olga\0", "OLGA", "olga ", "'; DROP TABLE accesses; --", "\u202eaglo", "x" * 7000])
def test_odd_names_are_refused_and_not_noted(at: str, records: Path, name: str) -> None:
    browser = Browser(at)

    assert browser.log_in(name, PASSWORDS["olga"]) == 401
    assert events(records) == [("failure", "")]


def test_known_and_unknown_names_get_the_same_answer(at: str) -> None:
    def wrong(name: str) -> tuple[int, str]:
        browser = Browser(at)
        _, form = browser.ask("GET", "/log-in")
        token = re.findall('name="form" value="([^"]+)"', form)[0]
        status, page = browser.ask("POST", "/log-in", urlencode({"form": token, "name": name, "password": "wrong"}))
        return status, re.sub('value="[^"]*"', "", page)

    assert [wrong("olga") for _ in range(BY_BOTH[0] + 2)] == [wrong("nobody") for _ in range(BY_BOTH[0] + 2)]


def attempts(log_in: LogIn, tries: list[tuple[str, str, str]]) -> list[str]:
    """Outcome of each attempt: of name, password and address."""
    outcomes = []
    for name, password, address in tries:
        try:
            outcomes.append("in" if log_in.attempt(name, password, address) else "wrong")
        except LockedOut:
            outcomes.append("locked")
    return outcomes


def test_guesses_are_locked_out_by_name_and_address(users: UserFile, records: Path, clock: Clock) -> None:
    log_in = LogIn(users, AccessLog(records, clock), clock)
    right = PASSWORDS["olga"]
    guessed = attempts(log_in, [("olga", f"guess {number}", "10.0.0.9") for number in range(BY_BOTH[0] + 1)])
    then = attempts(log_in, [("olga", right, "10.0.0.9"), ("olga", right, "10.0.0.10"), ("ines", "x", "10.0.0.9")])
    clock.now += BY_BOTH[1] + 1

    assert guessed == ["wrong"] * BY_BOTH[0] + ["locked"]
    assert then == ["locked", "in", "wrong"]
    assert attempts(log_in, [("olga", right, "10.0.0.9")]) == ["in"]
    assert events(records)[4:6] == [("failure", "olga"), ("lock-out", "olga")]


def test_an_address_is_locked_out_whatever_names_it_tries(users: UserFile, records: Path, clock: Clock) -> None:
    log_in = LogIn(users, AccessLog(records, clock), clock)
    addresses = [f"2001:db8::{number:x}" for number in range(BY_ADDRESS[0] + 1)]  # all of one network

    assert attempts(log_in, [(f"name {one}", "x", one) for one in addresses])[-2:] == ["wrong", "locked"]


def test_a_name_is_locked_out_whatever_addresses_try_it(users: UserFile, records: Path, clock: Clock) -> None:
    log_in = LogIn(users, AccessLog(records, clock), clock)
    tries = [("olga", "x", f"10.0.{number}.1") for number in range(BY_NAME[0] + 1)]
    unknown = [("nobody", "x", f"10.1.{number}.1") for number in range(BY_NAME[0] + 1)]

    assert attempts(log_in, tries)[-2:] == ["wrong", "locked"] == attempts(log_in, unknown)[-2:]


def test_guesses_do_not_fill_the_disk(records: Path, clock: Clock) -> None:
    log = AccessLog(records, clock)
    for _ in range(3 * MOST_FAILURES):
        log.note_failure("failure", "olga", "10.0.0.9")
    clock.now += 61
    log.note_failure("failure", "olga", "10.0.0.9")
    rows = accesses(records, 1000)

    assert len(rows) == MOST_FAILURES + 1
    assert rows[-1][4] == f"{2 * MOST_FAILURES} before it were not noted"


def test_a_log_in_that_cannot_be_noted_is_refused(at: str, records: Path) -> None:
    records.write_bytes(b"no database" * 1000)

    assert Browser(at).log_in("olga") == 503


def test_a_password_is_taken_from_this_computer_or_over_tls_only(
    users: UserFile, records: Path, clock: Clock, serve: Serve
) -> None:
    keys = {"users": str(users.path), "records": str(records), "proxies": ("127.0.0.1",)}
    at = serve(PageModel(welcome(**keys), clock, lambda: NOON), clock=clock)
    browser = Browser(at)
    plain = browser.log_in("olga", X_Forwarded_For="10.0.0.9", X_Forwarded_Proto="http")

    assert plain == 403


def test_x_forwarded_headers_of_others_are_ignored(at: str, records: Path) -> None:
    Browser(at).log_in("olga", "wrong", X_Forwarded_For="10.0.0.9", X_Forwarded_Proto="https")

    assert [address for _, _, _, address, _ in accesses(records, 1)] == ["127.0.0.1"]
