"""The inspection station: cameras, engines, the pipeline, records and the operator's page.

The names below are the Python interface; docs/python.md shows how to use them. They are imported on first use, so that
`import edge` loads no engine.
"""

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from edge.bundle_inspector import BundleInspector, Inspection, LocatedDefect

__all__ = ["BundleInspector", "Inspection", "LocatedDefect"]


def __getattr__(name: str) -> object:
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module("edge.bundle_inspector"), name)
