"""Pytest plugin: tests that passed in one run are left out of another, such as the device's under a second Python.

`-p tests.run_once --passed-into FILE` writes their names, `--without FILE` leaves them out. A test that was skipped or
failed in the first run is run in the second.
"""

from pathlib import Path

import pytest


class PassedTests:
    """Writes the names of the tests that passed, one a line, when the run ends."""

    def __init__(self, file: Path):
        self._file = file
        self._names: list[str] = []

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Note a test whose call passed."""
        if report.when == "call" and report.passed:
            self._names.append(report.nodeid)

    def pytest_sessionfinish(self) -> None:
        """Write the file."""
        self._file.write_text("".join(f"{name}\n" for name in self._names), encoding="utf-8")


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add both options."""
    parser.addoption("--passed-into", type=Path, help="Write the names of the tests that passed to this file.")
    parser.addoption("--without", type=Path, help="Leave out the tests that this file names.")


def pytest_configure(config: pytest.Config) -> None:
    """Take the names in the process that sees all reports."""
    file = config.getoption("--passed-into")
    if file is not None and not hasattr(config, "workerinput"):
        config.pluginmanager.register(PassedTests(file))


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave out what has passed already."""
    file = config.getoption("--without")
    if file is None:
        return
    passed = set(file.read_text(encoding="utf-8").splitlines())
    left_out = [item for item in items if item.nodeid in passed]
    config.hook.pytest_deselected(items=left_out)
    items[:] = [item for item in items if item.nodeid not in passed]
