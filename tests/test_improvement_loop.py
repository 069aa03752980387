"""The improvement loop on a virtual line, the marks by requests; `make demo-loop` marks in a browser."""

import json
import time
from collections.abc import Sequence
from pathlib import Path

import pytest

from edge.config.line import Line
from edge.page.page_model import PageModel
from edge.page.state import StationInfo
from tests.edge.station_doubles import ask
from tests.improvement_loop import TOKEN, Opinion, request_of, run_the_loop


def mark(line: Line, opinions: Sequence[Opinion]) -> None:
    """Send the marks to the page of a line, which needs no server."""
    from edge.page.routes.app import make_app  # needs FastAPI

    assert line.page is not None
    app = make_app(PageModel(StationInfo(settings=line.page, records=str(line.records), next_number=1), time.monotonic))
    headers = {"authorization": f"Bearer {TOKEN}", "content-type": "application/json"}
    status, answer = ask(app, "/api/marks", headers, json.dumps(request_of(opinions)).encode())
    assert (status, len(json.loads(answer).get("numbers", ()))) == (200, len(opinions)), answer


def test_missed_defects_are_marked_learned_released_and_rolled_back(tmp_path: Path) -> None:
    pytest.importorskip("cryptography", reason="cryptography is not installed: pip install 'edge-inspect[release]'")
    pytest.importorskip("fastapi", reason="FastAPI is not installed: pip install 'edge-inspect[page]'")
    run_the_loop(tmp_path, mark)
