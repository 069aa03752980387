"""The browser of the page's tests."""

from tests.edge.page.conftest import browser, tab

__all__ = ["browser", "tab"]
