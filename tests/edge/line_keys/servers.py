"""Cases of `[page]` and `[opcua]`."""

import json
import threading
from datetime import datetime, timedelta, timezone
from pathlib import Path

import pytest

from edge.access.users import User, UserFile
from edge.errors import LineConfigError, ServerError
from tests.edge.line_keys.registry import observes
from tests.edge.running_line import Run, RunningLine
from tests.edge.station_doubles import HandClock, PageDouble


def page_of(line: RunningLine) -> PageDouble:
    """The page of a line; skips where FastAPI is missing."""
    pytest.importorskip("fastapi", reason="the page needs edge-inspect[page]")
    return line.pages[0]


@observes("page.listen")
def address_of_the_page(run: Run) -> None:
    pytest.importorskip("fastapi", reason="the page needs edge-inspect[page]")
    with run(page={"listen": "127.0.0.2:0"}, doubles={"serves_page": True}) as line:
        (feed,) = line.feeds
        while feed.address is None and not feed.tries > 1:  # its thread opens the port
            threading.Event().wait(0.01)
        assert (feed.address or "").startswith("http://127.0.0.2:")


@observes("page.token")
def token_of_the_page(run: Run) -> None:
    with run(page={"token": "open sesame"}) as line:
        page = page_of(line)
        (without, _), (status, _) = page.answer("/"), page.answer("/", authorization="Bearer open sesame")

    assert (without, status) == (401, 200)


@observes("page.hosts")
def hosts_of_the_page(run: Run) -> None:
    with run(page={"hosts": ["line3.plant.example"]}) as line:
        page = page_of(line)
        found = [page.answer("/", host=f"line{number}.plant.example")[0] for number in (3, 4)]

    assert found == [200, 421]


@observes("page.without_token")
def page_without_a_token(run: Run) -> None:
    with pytest.raises(LineConfigError, match="without a token, expected a token"), run(page={"listen": "0.0.0.0:80"}):
        pytest.fail("started")
    with run(page={"listen": "0.0.0.0:80", "without_token": True}) as line:
        assert page_of(line).answer("/")[0] == 200


@observes("page.operator_token")
def token_of_the_operators(run: Run) -> None:
    with run(page={"operator_token": "open sesame"}) as line:
        page = page_of(line)
        (_, before), (_, after) = page.answer("/"), page.answer("/", authorization="Bearer open sesame")

    assert ('data-role="sign-in"' in before, 'data-role="operator"' in after) == (True, True)


@observes("page.inspector_token")
def token_of_the_inspectors(run: Run) -> None:
    with run(page={"inspector_token": "open sesame"}) as line:
        page = page_of(line)
        (_, before), (_, after) = page.answer("/"), page.answer("/", authorization="Bearer open sesame")

    assert ('data-role="sign-in"' in before, 'data-role="inspector"' in after) == (True, True)


@observes("page.users")
def users_of_the_page(run: Run) -> None:
    with run(page={"users": "users.json"}) as line:
        page = page_of(line)
        (status, form), (shown, _) = page.answer("/log-in"), page.answer("/api/state")

    assert (status, 'name="password"' in form, shown) == (200, True, 401)


@observes("page.idle_minutes")
def session_without_use(run: Run) -> None:
    assert session_lasts(run, {"idle_minutes": 5}) == [4 * 60.0]


@observes("page.session_hours")
def session_in_any_case(run: Run) -> None:
    assert session_lasts(run, {"session_hours": 0.2}) == [4 * 60.0, 8 * 60.0]


def session_lasts(run: Run, page: dict[str, object]) -> list[float]:
    """Times after a log-in at which a session is still in force, used every four minutes and then every seven."""
    pytest.importorskip("argon2", reason="passwords need edge-inspect[page]")
    from edge.page.routes.app import sessions_of

    clock = HandClock()
    with run(page={"users": "users.json", **page}) as line:
        settings = page_of(line).settings
        user = User(role="operator", password="$argon2id$v=19$m=8,t=1,p=1$c2FsdHNhbHQ$aGFzaA")
        assert settings.users is not None
        with UserFile(settings.users).changing() as users:
            users["olga"] = user
        sessions = sessions_of(settings, clock)
        assert sessions is not None
        cookie, found = sessions.begin("olga", user), []
        for step in (4 * 60.0, 4 * 60.0, 7 * 60.0):
            clock.now += step
            if sessions.find(cookie, uses="idle_minutes" not in page) is not None:
                found.append(clock.now)
    return found


@observes("page.certificate")
@observes("page.key")
def encrypted_page(run: Run) -> None:
    """`tests/edge/page/test_tls.py` opens one."""
    with pytest.raises(LineConfigError, match="found one of certificate and key"), run(page={"key": "page.key"}):
        pass
    with run(page={"certificate": "page.crt", "key": "page.key"}, doubles={"serves_page": True}) as line:
        assert [feed.scheme for feed in line.feeds] == ["https"]


@observes("page.proxies")
def trusted_proxies(run: Run) -> None:
    """`tests/edge/page/test_log_in.py` sends through one."""
    with (
        pytest.raises(LineConfigError, match="'proxy' does not appear to be an IPv4"),
        run(page={"proxies": ["proxy"]}),
    ):
        pass
    with run(page={"listen": "0.0.0.0:80", "users": "users.json", "proxies": ["10.0.0.5"]}) as line:
        assert page_of(line).settings.proxies == ("10.0.0.5",)


@observes("page.inspect")
def pictures_of_other_programs(run: Run) -> None:
    found = {}
    for allowed in (False, True):
        with run(page={"operator_token": "open sesame", "inspect": allowed}) as line:
            found[allowed] = "/api/inspect" in page_of(line).answer("/openapi.json")[1]

    assert found == {False: False, True: True}


@observes("page.lang")
def language_of_the_page(run: Run) -> None:
    with run(page={"lang": "de"}) as line:
        _, index = page_of(line).answer("/")

    assert 'data-lang="de"' in index


@observes("page.title")
def title_of_the_page(run: Run) -> None:
    with run(page={"title": "Line 3, glaze"}) as line:
        _, state = page_of(line).answer("/api/state")

    assert json.loads(state)["title"] == "Line 3, glaze"


@observes("page.shift_starts")
def shifts_of_the_page(run: Run) -> None:
    now = datetime.now(timezone.utc)
    found = {}
    for hours in (-1, 1):  # the page looks two hours after the part
        starts = [(now + timedelta(hours=hours)).astimezone().strftime("%H:%M")]
        with run(page={"shift_starts": starts}) as line:
            line.verdicts(1, 2)  # the second result is sent after the page has the first part
            line.pages[0].later = timedelta(hours=2)
            found[hours] = json.loads(page_of(line).answer("/api/state")[1])["shift"]["verdicts"]

    assert (bool(found[-1]), found[1]) == (True, {})


@observes("opcua.listen")
def address_of_the_opcua_server(run: Run) -> None:
    pytest.importorskip("asyncua", reason="the OPC UA server needs edge-inspect[opcua]")
    with run(opcua={"listen": "127.0.0.2:0"}, doubles={"serves_opcua": True}) as line:
        (feed,) = line.opcua_feeds
        while feed.address is None and not feed.tries > 1:  # its thread opens the port
            threading.Event().wait(0.01)
        assert (feed.address or "").startswith("opc.tcp://127.0.0.2:")


def opcua_keys(folder: Path, name: str, **more: object) -> dict[str, object]:
    """The table of an OPC UA server with encryption; skips where asyncua is missing."""
    pytest.importorskip("asyncua", reason="the OPC UA server needs edge-inspect[opcua]")
    from tests.edge.opcua.doubles import make_identity

    return {"security": "Basic256Sha256", **make_identity(folder, name), **more}


@observes("opcua.security")
def encryption_of_the_opcua_server(run: Run) -> None:
    with run() as line:
        keys = opcua_keys(line.folder, "station")
    from tests.edge.opcua.doubles import endpoints_of

    with run(opcua=keys) as line:
        found = endpoints_of(line.opcua[0].settings)

    assert [(one.SecurityPolicyUri.rsplit("#")[-1], one.SecurityMode.name) for one in found] == [
        ("Basic256Sha256", "SignAndEncrypt")
    ]


@observes("opcua.certificate")
def certificate_of_the_opcua_server(run: Run) -> None:
    with run() as line:
        keys = opcua_keys(line.folder, "station")
    from tests.edge.opcua.doubles import endpoints_of

    with run(opcua={**keys, "certificate": "station.der"}) as line:
        (found,) = endpoints_of(line.opcua[0].settings)

    assert found.ServerCertificate == (line.folder / "station.der").read_bytes()


@observes("opcua.private_key")
def private_key_of_the_opcua_server(run: Run) -> None:
    with run() as line:
        keys = opcua_keys(line.folder, "station")
        opcua_keys(line.folder, "other")
    from tests.edge.opcua.doubles import endpoints_of

    with (
        run(opcua={**keys, "private_key": "other.pem"}) as line,
        pytest.raises(ServerError, match=f"found the certificate of another key than {line.folder}/other.pem"),
    ):
        endpoints_of(line.opcua[0].settings)


@observes("opcua.users")
def users_of_the_opcua_server(run: Run) -> None:
    pytest.importorskip("asyncua", reason="the OPC UA server needs edge-inspect[opcua]")
    from edge.opcua.server import KnownUsers
    from tests.edge.opcua.doubles import endpoints_of

    with run(opcua={"users": {"mes": "open sesame"}}) as line:
        settings = line.opcua[0].settings
        (found,) = endpoints_of(settings)

    assert [token.TokenType.name for token in found.UserIdentityTokens] == ["UserName"]
    known = KnownUsers(settings.users)
    passwords = ("open sesame", "open sesam", "", None)
    assert [known.get_user(None, "mes", password) is not None for password in passwords] == [True, False, False, False]
