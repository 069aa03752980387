"""Tests of vendors' libraries in a child pytest: a library that aborts is one failed test with its text.

A conftest imports the two hooks; tests with the mark `own_process` run in the child, all others here. The child runs
the tests that it is told one by one, and sends their reports back; after its end the next marked test starts another.
"""

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from signal import Signals
from typing import IO

import pytest

__all__ = ["pytest_runtest_protocol", "pytest_runtestloop"]
CHILD = "EDGE_INSPECT_TEST_PIPES"
"""Environment variable of the child: the file descriptors of the tests' names and of its reports."""
SHOWN = 4000
"""Characters of a dead child's output that are shown."""


class ChildPytest:
    """A running child that has collected one file."""

    def __init__(self, config: pytest.Config, path: Path) -> None:
        self._config = config
        self.output = tempfile.TemporaryFile()  # noqa: SIM115 - closed by `end`
        reports, written = os.pipe()
        read, names = os.pipe()
        command = [
            sys.executable,
            "-m",
            "pytest",
            "-q",
            "-p",
            "no:cacheprovider",
            "-p",
            "no:xdist",
            "--capture=no",
            str(path),
        ]
        command += [f"--rootdir={config.rootpath}", *([f"-c{config.inipath}"] if config.inipath else [])]
        self.process = subprocess.Popen(
            command, stdout=self.output, stderr=self.output, pass_fds=(read, written),
            env={**os.environ, CHILD: f"{read} {written}"},
        )  # fmt: skip
        os.close(read)
        os.close(written)
        self._reports: IO[str] = os.fdopen(reports)
        self._names: IO[str] = os.fdopen(names, "w", buffering=1)

    def run(self, nodeid: str) -> Iterator[pytest.TestReport]:
        """Yield the reports of one test; they end early where the child has ended."""
        try:
            self._names.write(f"{nodeid}\n")
        except BrokenPipeError:
            return
        for line in self._reports:
            report = self._config.hook.pytest_report_from_serializable(config=self._config, data=json.loads(line))
            if isinstance(report.longrepr, list):  # JSON has no tuples; a skip's place is one
                report.longrepr = tuple(report.longrepr)
            yield report
            if report.when == "teardown":
                return

    def end(self) -> str:
        """End the child; returns how it ended, with the last words of its output."""
        with suppress(BrokenPipeError):
            self._names.close()
        status = self.process.wait()
        self._reports.close()
        self.output.seek(0)
        text = self.output.read().decode(errors="replace")[-SHOWN:]
        self.output.close()
        return f"the process of this test ended with {Signals(-status).name if status < 0 else status}\n{text}"


_CHILDREN = pytest.StashKey[dict[Path, ChildPytest]]()


def pytest_runtest_protocol(item: pytest.Item, nextitem: pytest.Item | None) -> bool | None:
    """Run a marked test in the child of its file."""
    if CHILD in os.environ or item.get_closest_marker("own_process") is None:
        return None
    config = item.config
    if _CHILDREN not in config.stash:
        config.stash[_CHILDREN] = {}
        config.add_cleanup(lambda: _end(config.stash[_CHILDREN]))
    children = config.stash[_CHILDREN]
    child = children.get(item.path) or children.setdefault(item.path, ChildPytest(config, item.path))
    item.ihook.pytest_runtest_logstart(nodeid=item.nodeid, location=item.location)
    last = None
    for last in child.run(item.nodeid):
        item.ihook.pytest_runtest_logreport(report=last)
    if last is None or last.when != "teardown":
        text = children.pop(item.path).end()
        died = pytest.TestReport(item.nodeid, item.location, {}, "failed", text, "call")
        item.ihook.pytest_runtest_logreport(report=died)
    item.ihook.pytest_runtest_logfinish(nodeid=item.nodeid, location=item.location)
    item.session._setupstate.teardown_exact(nextitem)
    return True


def _end(children: dict[Path, ChildPytest]) -> None:
    for child in children.values():
        child.end()


def pytest_runtestloop(session: pytest.Session) -> bool | None:
    """In the child: run the tests that it is told."""
    if CHILD not in os.environ:
        return None
    items = {item.nodeid: item for item in session.items}
    read, written = map(int, os.environ[CHILD].split())
    with os.fdopen(read) as names, os.fdopen(written, "w") as reports:
        session.config.pluginmanager.register(_Sender(session.config, reports))
        for name in names:
            session.config.hook.pytest_runtest_protocol(item=items[name.rstrip("\n")], nextitem=None)
    return True


class _Sender:
    """Plugin of the child that writes its reports."""

    def __init__(self, config: pytest.Config, reports: IO[str]) -> None:
        self._config, self._reports = config, reports

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Write one report as a line of JSON."""
        data = self._config.hook.pytest_report_to_serializable(config=self._config, report=report)
        self._reports.write(json.dumps(data) + "\n")
        self._reports.flush()
