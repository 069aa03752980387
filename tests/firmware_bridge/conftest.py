"""Fixtures of the line's tests: the C controller, built once."""

import ctypes
from pathlib import Path

import pytest

from tests.firmware_bridge.device import device_bench


@pytest.fixture(scope="session")
def device_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where C programs are built."""
    return tmp_path_factory.mktemp("device")


@pytest.fixture(scope="session")
def device_library(device_folder: Path) -> ctypes.CDLL:
    """The reject controller as a library."""
    return device_bench.load(device_folder)
