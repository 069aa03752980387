"""Putting a bundle together: the graph, what is known of it, golden frames, the proof that it says what torch says."""

import platform
from collections.abc import Mapping
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import TYPE_CHECKING, Any

import onnx

from bundle import Bundle, InputSpec, MadeFrom, Manifest, Tolerance, load_bundle, write_bundle
from bundle.golden import Infer, encode
from export.comparison import Comparison, compare_outputs
from export.contract import check_graph
from export.errors import ComparisonError
from export.frames import draw_golden, draw_inputs
from export.precision import TOLERANCES
from export.session import GraphSession

if TYPE_CHECKING:
    from export.graph import Source
