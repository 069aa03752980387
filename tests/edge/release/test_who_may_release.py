"""Conditions of a release: a finished trial of the new bundle, the password of an engineer."""

import json
import sqlite3
import sys
from contextlib import closing
from io import StringIO
from pathlib import Path

import pytest

from bundle import load_bundle
from edge.access.audit import accesses
from edge.config.line import Line, load_line
from edge.release.releases import history
from edge.release.signature import make_keys, sign
from tests.edge.release.release_line import run, write_line


def add_trial(line: Line, candidate: str, in_force: str, outcomes: list[tuple[int, int, str]]) -> None:
    """Rows of parts on trial: verdict of the bundle in force, of the candidate, and the mark."""
    with closing(sqlite3.connect(line.records)) as connection, connection:
        for number, (old, new, truth) in enumerate(outcomes, 1):
            columns = "number, time, part_id, encoder, verdict, told, fault, bundle_id"
            connection.execute(
                f"INSERT INTO parts ({columns}) VALUES (?, '2026', 1, 1, ?, ?, '', ?)", (number, old, old, in_force)
            )
            connection.execute(
                "INSERT INTO trials (part, bundle_id, verdict) VALUES (?, ?, ?)", (number, candidate, new)
            )
            if truth:
                connection.execute(
                    "INSERT INTO marks (time, who, part, truth) VALUES ('2026', 'Ada', ?, ?)", (number, truth)
                )


BETTER = [(1, 2, "defective")] * 3 + [(2, 1, "good")] * 2 + [(2, 1, "defective")] + [(1, 1, "")] * 14
ESCAPES = [(2, 1, "defective")] * 2 + [(2, 1, "good")] * 9 + [(1, 2, "defective")] + [(1, 1, "")] * 8
WRONG = [(1, 2, "good")] * 3 + [(2, 1, "good")] * 2


class TestTrial:
    """Releases of a candidate that was on trial."""

    @pytest.fixture
    def asking(self, tmp_path: Path, bundles: list[Path]) -> Path:
        """A line that asks for a trial of 20 parts, with its first bundle in force."""
        pytest.importorskip("cryptography", reason="cryptography is not installed: edge-inspect[release]")
        private, _ = make_keys(tmp_path)
        for folder in bundles:
            sign(load_bundle(folder), private)
        path = write_line(tmp_path, '[release]\nkeys = ["release.pub"]\ntrial_parts = 20\n')
        assert run("release", bundles[0], path) == ""
        return path

    def test_its_result_is_attached(self, asking: Path, bundles: list[Path]) -> None:
        line = load_line(asking)
        add_trial(line, load_bundle(bundles[1]).id, load_bundle(bundles[0]).id, BETTER)

        assert run("release", bundles[1], asking) == ""
        attached = json.loads(history(line.records)[-1].trial)
        assert attached == {
            "parts": 20, "disagreements": 6, "marked": 6, "right": 5, "escapes": 1, "found": 3, "worse": False,
            "anyway": False, "disagreements_95": [0.1455, 0.519], "right_95": [0.4365, 0.9699],
        }  # fmt: skip

    @pytest.mark.parametrize(("outcomes", "problem"), [
        (ESCAPES, "found a candidate that is worse"), (WRONG, "found a candidate that is worse"),
        (BETTER[:19], "found 19 parts judged by both"), ([], "found 0 parts judged by both"),
    ])  # fmt: skip
    def test_a_worse_one_or_none_is_refused_unless_said_twice(
        self, asking: Path, bundles: list[Path], outcomes: list[tuple[int, int, str]], problem: str
    ) -> None:
        line = load_line(asking)
        old, new = (load_bundle(folder).id for folder in bundles)
        add_trial(line, new, old, outcomes)

        for said in ([], ["--anyway"]):
            refused = run("release", bundles[1], asking, *said)
            assert problem in refused
            assert "say --anyway twice" in refused
        assert load_bundle(line.bundle).id == old
        assert run("release", bundles[1], asking, "--anyway", "--anyway") == ""
        assert json.loads(history(line.records)[-1].trial)["anyway"] is True

    def test_a_trial_beside_another_bundle_does_not_count(self, asking: Path, bundles: list[Path]) -> None:
        add_trial(load_line(asking), load_bundle(bundles[1]).id, "ab" * 32, BETTER)

        assert "found 0 parts judged by both" in run("release", bundles[1], asking)


def test_release_and_rollback_ask_for_an_engineer(
    bundles: list[Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("cryptography", reason="cryptography is not installed: edge-inspect[release]")
    pytest.importorskip("argon2", reason="argon2-cffi is not installed: edge-inspect[page]")
    private, _ = make_keys(tmp_path)
    sign(load_bundle(bundles[0]), private)
    path = write_line(tmp_path, '[release]\nkeys = ["release.pub"]\nlog_in = true\n[page]\nusers = "users.json"\n')
    for name, role in (("emil", "engineer"), ("ines", "inspector")):
        monkeypatch.setattr(sys, "stdin", StringIO(f"password of {name}\n"))
        assert run("user", "add", path, name, "--role", role, "--stdin") == ""
    found = {}
    for name, typed in (("emil", "guess"), ("ines", "password of ines"), ("emil", "password of emil")):
        monkeypatch.setattr(sys, "stdin", StringIO(f"{typed}\n"))
        found[typed] = run("release", bundles[0], path, "--who", name)

    line = load_line(path)
    assert [bool(found[typed]) for typed in ("guess", "password of ines", "password of emil")] == [True, True, False]
    assert "found no engineer 'ines' with this password" in found["password of ines"]
    assert [row.who for row in history(line.records)] == ["emil"]
    assert [event for _, event, _, _, _ in accesses(line.records, 9)] == [
        "user added", "user added", "failure", "log-in", "log-in"
    ]  # fmt: skip
