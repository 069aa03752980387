"""Fuzz tests of the station's files and of its page: any content is read, or refused in one line."""

import asyncio
import json
from collections.abc import Callable, MutableMapping
from pathlib import Path
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from bundle import BundleError, Verdict
from bundle.toml_text import TomlError, parse_toml
from edge.config.explain import EXAMPLES
from edge.config.line import load_line
from edge.errors import DriftError, LineConfigError
from edge.monitoring.drift_baseline import EDGES, read_baseline
from edge.release.signature import check_signature, make_keys, sign, signature_path
from tests.conftest import grey_frame, tiny_manifest
from tests.fuzzing import ODD, as_bytes, budget, damaged, one_line

pytestmark = pytest.mark.fuzz

LINES = [path.read_text(encoding="utf-8") for path in sorted(EXAMPLES.glob("*.toml"))]
NORM = {"mean": 0.5, "deviation": 0.1}
BASELINE = json.dumps(
    {
        "bundle_id": "ab" * 32,
        "parts": 500,
        "values": {"brightness": NORM},
        "scores": {"Dark": {"below": [0.5] * len(EDGES)}},
    }
)


@budget
@given(text=damaged(LINES))
def test_any_toml_is_read_or_refused(text: str) -> None:
    try:
        parse_toml(text)
    except TomlError as error:
        one_line(error)


@budget
@given(text=damaged(LINES))
def test_any_line_file_is_a_line_or_refused(tmp_path: Path, text: str) -> None:
    path = tmp_path / "line.toml"
    path.write_bytes(as_bytes(text))
    try:
        load_line(path)
    except LineConfigError as error:
        one_line(error)


@budget
@given(text=damaged([BASELINE]))
def test_any_baseline_is_read_or_refused(tmp_path: Path, text: str) -> None:
    path = tmp_path / "baseline.json"
    path.write_bytes(as_bytes(text))
    try:
        read_baseline(path)
    except DriftError as error:
        one_line(error)


@pytest.mark.parametrize("which", ["signature", "key"])
@budget
@given(data=st.data())
def test_no_changed_signature_or_key_is_valid(
    make_bundle: Callable[..., Path], tmp_path: Path, which: str, data: st.DataObject
) -> None:
    pytest.importorskip("cryptography", reason="signatures need edge-inspect[release]")
    if not (tmp_path / "tiny").exists():
        from bundle import load_bundle

        private, _ = make_keys(tmp_path)
        sign(load_bundle(make_bundle()), private)
        for path in (signature_path(tmp_path / "tiny"), tmp_path / "release.pub"):
            path.with_name(path.name + ".good").write_bytes(path.read_bytes())
    signature, key = signature_path(tmp_path / "tiny"), tmp_path / "release.pub"
    for path in (signature, key):
        path.write_bytes(path.with_name(path.name + ".good").read_bytes())
    changed = {"signature": signature, "key": key}[which]
    good = changed.read_bytes()
    at, piece = (
        data.draw(st.integers(0, len(good))),
        data.draw(st.binary(max_size=8) | st.sampled_from(ODD).map(as_bytes)),
    )
    changed.write_bytes(good[:at] + piece + good[at + len(piece) :])
    try:
        check_signature(tmp_path / "tiny", [key])
    except BundleError as error:
        one_line(error)
    else:
        assert which == "key" or changed.read_bytes() == good  # a key in PEM may stand between other lines


ROUTES = [
    "/", "/static/page.js", "/api/state", "/api/history", "/api/parts", "/api/parts/1", "/api/pictures/1/camera0",
    "/api/frames/1/camera0", "/api/queue", "/health", "/metrics", "/api/marks", "/api/pause", "/api/acknowledge",
    "/openapi.json",
]  # fmt: skip
NAMES = ["before", "limit", "verdict", "part_id", "since", "until", "row", "minutes", "bars", "most", "token"]
BODIES = [
    json.dumps({"who": "Ada", "reason": "lens"}),
    json.dumps({"who": "Ada", "marks": [{"part": 1, "truth": "defective", "defects": [
        {"camera": "camera0", "class_name": "Dark", "polygons": [[[1, 1], [5, 1], [5, 5]]]}]}]}),
]  # fmt: skip
ODD_TEXT = st.sampled_from(ODD) | st.text(max_size=20) | st.integers().map(str)


async def _answer(app: Any, scope: dict[str, Any], body: bytes) -> int:
    """Status of the answer; the client goes away after its request."""
    sent: list[MutableMapping[str, Any]] = []
    told = [{"type": "http.request", "body": body}]

    async def receive() -> MutableMapping[str, Any]:
        return told.pop() if told else {"type": "http.disconnect"}

    async def send(message: MutableMapping[str, Any]) -> None:
        sent.append(message)

    await app(scope, receive, send)
    status: int = sent[0]["status"]
    return status


@pytest.fixture(scope="module")
def app(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """A page with records, pictures and an inspector's token."""
    pytest.importorskip("fastapi", reason="the page needs edge-inspect[page]")
    from edge.page.page_model import PageModel
    from edge.page.routes.app import make_app
    from edge.records.writer import Records
    from edge.servers.state import StateUpdate
    from tests.edge.page.doubles import NOON, part, station, welcome
    from tests.edge.part_doubles import DARK, judged

    folder = tmp_path_factory.mktemp("page")
    records = Records(folder / "r.sqlite")
    for number in (1, 2):
        records.keep(judged(number, Verdict.NG, [grey_frame()], tiny_manifest(), (DARK,)), 10.0)
    records.close()
    keys = {"inspector_token": "t" * 16, "records": str(folder / "r.sqlite"), "pictures": str(folder)}
    model = PageModel(welcome(**keys), lambda: 0.0, lambda: NOON)
    model.take(StateUpdate(station=station(), parts=(part(1), part(2, "NG"))), b"")
    return make_app(model)


@budget
@given(
    method=st.sampled_from(["GET", "POST", "PUT", "DELETE", "OPTIONS", "HEAD"]),
    path=st.sampled_from(ROUTES)
    | ODD_TEXT.map(lambda text: "/" + text)
    | st.builds("{}/{}".format, st.sampled_from(ROUTES), ODD_TEXT),
    query=st.lists(st.tuples(st.sampled_from(NAMES) | ODD_TEXT, ODD_TEXT), max_size=4),
    body=damaged(BODIES).map(as_bytes) | st.binary(max_size=40),
    header=st.binary(max_size=30),
    known=st.booleans(),
)
@example(method="GET", path="/api/parts/", query=[("\ud800", "")], body=b"", header=b"", known=True)
def test_no_request_is_an_error_of_ours(app, method, path, query, body, header, known) -> None:
    asked = "&".join(f"{name}={value}" for name, value in query)
    headers = [(b"host", b"localhost"), (b"content-type", b"application/json"), (b"x-odd", header)]
    headers += [(b"authorization", b"Bearer " + b"t" * 16), (b"origin", b"http://localhost")] if known else []
    scope = {
        "type": "http", "method": method, "scheme": "http", "path": path.encode("utf-8", "replace").decode(),
        "headers": headers, "query_string": as_bytes(asked), "root_path": "", "client": ("10.0.0.9", 5),
        "server": ("localhost", 80), "http_version": "1.1", "raw_path": as_bytes(path),
    }  # fmt: skip
    status = asyncio.run(_answer(app, scope, body))

    assert status < 500 or status == 503
