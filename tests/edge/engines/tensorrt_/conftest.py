"""What several tests of TensorRT use."""

import pytest


@pytest.fixture(autouse=True)
def no_cache_elsewhere(monkeypatch: pytest.MonkeyPatch) -> None:
    """Keep the tests out of the cache of whoever runs them."""
    monkeypatch.delenv("EDGE_INSPECT_CACHE", raising=False)
