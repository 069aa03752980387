"""The page's answers keep to its own OpenAPI document, for the requests that schemathesis makes of it.

`SCHEMATHESIS_SECONDS=120 pytest tests/edge/page/test_contract.py` makes them for two minutes.
"""

import os
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest

from bundle import Verdict
from edge.page.page_model import PageModel
from edge.records.writer import Records
from edge.servers.state import StateUpdate
from tests.conftest import grey_frame, tiny_manifest
from tests.edge.page.doubles import NOON, Clock, Serve, part, station, welcome
from tests.edge.part_doubles import DARK, judged

TOKEN = "an inspector's token"
CHECKS = "not_a_server_error,status_code_conformance,content_type_conformance,response_schema_conformance"
UNTESTED = "/api/(events|pause|resume|challenge|acknowledge)$"
"""A stream without end, and the routes that wait for a station."""
EXAMPLES = 4
"""For each operation, beside those of the coverage phase; CI runs two minutes of them besides."""


@pytest.mark.fuzz
def test_no_request_of_its_own_document_breaks_the_page(clock: Clock, serve: Serve, tmp_path: Path) -> None:
    if find_spec("schemathesis") is None:
        pytest.skip("schemathesis is not installed: pip install 'edge-inspect[dev]'")
    records = Records(tmp_path / "r.sqlite")
    for number in (1, 2):
        records.keep(judged(number, Verdict.NG, [grey_frame()], tiny_manifest(), (DARK,)), 10.0)
    records.close()
    keys = {
        "records": str(records.path),
        "pictures": str(tmp_path),
        "inspector_token": TOKEN,
        "token": "a reader's token",
    }
    model = PageModel(welcome(**keys), clock, lambda: NOON)
    model.take(StateUpdate(station=station(), parts=(part(1), part(2, "NG"))), b"")
    at = serve(model, header_s=60.0)  # on a busy machine schemathesis takes more than 5 s for some requests
    seconds = os.environ.get("SCHEMATHESIS_SECONDS")
    budget = (
        ["--max-time", seconds, "--max-examples", "100000"]
        if seconds
        else ["--seed", "1", "--generation-deterministic", "--max-examples", str(EXAMPLES)]
    )
    command = [
        sys.executable, "-m", "schemathesis.cli", "run", f"{at}/openapi.json", "--checks", CHECKS,
        "--exclude-path-regex", UNTESTED, "--phases", "examples,coverage,fuzzing",
        "--header", f"Authorization: Bearer {TOKEN}", "--header", f"Origin: {at}",
        "--no-color", *budget,
    ]  # fmt: skip
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)

    assert done.returncode == 0, done.stdout[-6000:] + done.stderr[-2000:]
