"""Fixtures of the line's tests: the C controller, built once."""

import ctypes
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.firmware_bridge.device import device_bench
from tests.firmware_bridge.device.reject_line import RejectLine


@pytest.fixture(scope="session")
def device_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folder in which C programs are built."""
    return tmp_path_factory.mktemp("device")


@pytest.fixture(scope="session")
def device_library(device_folder: Path) -> ctypes.CDLL:
    """The reject controller as a library."""
    return device_bench.load(device_folder)


@pytest.fixture
def line(device_library: ctypes.CDLL) -> Iterator[RejectLine]:
    """A line that runs, with the session open and the sweep after the start over."""
    running = RejectLine(device_library)
    running.become_healthy()
    yield running
    running.bench.close()
