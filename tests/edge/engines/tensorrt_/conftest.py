"""Shared fixtures of the TensorRT tests."""

import pytest


@pytest.fixture(autouse=True)
def no_cache_elsewhere(monkeypatch: pytest.MonkeyPatch) -> None:
    """Keep the tests out of the user's own cache."""
    monkeypatch.delenv("EDGE_INSPECT_CACHE", raising=False)
