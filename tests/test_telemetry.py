"""Engines report nothing to their vendors: onnxruntime collects events with an identifier of the machine."""

import os
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest


@pytest.mark.parametrize("module", ["edge.engines.onnxruntime_cpu", "export.graph.qdq", "export.benchmark.layer_times"])
def test_onnxruntime_notes_nothing_for_its_vendor(module: str, tmp_path: Path) -> None:
    for package in ("onnx", "onnxruntime"):
        if find_spec(package) is None:
            pytest.skip(f"{package} is not installed")
    silent = ("CI", "ORT_DISABLE_TELEMETRY", "PYTEST_CURRENT_TEST", "XDG_CACHE_HOME")  # onnxruntime heeds these too
    environment = {name: value for name, value in os.environ.items() if name not in silent}
    command = [sys.executable, "-c", f"import {module}"]
    subprocess.run(command, env={**environment, "HOME": str(tmp_path)}, check=True, timeout=600)

    assert [*tmp_path.rglob("deviceid")] == []
