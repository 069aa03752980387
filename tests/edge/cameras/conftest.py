"""Makes the peers' fixtures known here, and runs the tests of vendors' libraries in a process of their own."""

from tests.edge.cameras.own_process import pytest_runtest_protocol, pytest_runtestloop
from tests.edge.cameras.peers import gi_path

__all__ = ["gi_path", "pytest_runtest_protocol", "pytest_runtestloop"]
