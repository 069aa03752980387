"""INT8 on the instruction sets of older processors, which a limit of oneDNN emulates in OpenVINO.

onnxruntime asks the processor itself (CPUID) and has no such limit: it computed the golden frames, the reference here.
"""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

pytest.importorskip("openvino", reason="OpenVINO is not installed: pip install 'edge-inspect[openvino]'")

MODELS = Path(__file__).parents[3] / "models"
LIMIT = "ONEDNN_MAX_CPU_ISA"
CHILD = """
import json, sys
from pathlib import Path
from bundle import load_bundle
from edge.engines.openvino_cpu import OpenVinoEngine
from edge.errors import EngineError

bundle = load_bundle(Path(sys.argv[1]))
try:
    engine = OpenVinoEngine(bundle, 1, floats=sys.argv[2])
except EngineError as error:
    print(json.dumps({"refused": str(error)}))
    sys.exit()
bundle.check(engine.infer)
layers = [layer.get_rt_info() for layer in engine._request.get_compiled_model().get_runtime_model().get_ops()]
kinds = [one["primitiveType"].astype(str) for one in layers if one["layerType"].astype(str) == "Convolution"]
print(json.dumps({"kinds": kinds}))
"""
"""Compares the golden frames, then prints the kinds of the convolutions as they ran, such as `jit_avx2_I8`."""


def run(
    folder: Path, limit: str, bundle: str = "magnetic-tile-int8", floats: str = "f32"
) -> dict[str, str | list[str]]:
    """Run the bundle with a limit, or "" for none, in a process of its own; an empty folder is its cache."""
    environment = {name: value for name, value in os.environ.items() if name not in (LIMIT, "DNNL_MAX_CPU_ISA")}
    environment |= {"EDGE_INSPECT_CACHE": str(folder)} | ({LIMIT: limit} if limit else {})
    child = [sys.executable, "-c", CHILD, str(MODELS / bundle), floats]
    ended = subprocess.run(child, env=environment, capture_output=True, text=True, check=False, timeout=600)
    assert ended.returncode == 0, ended.stderr
    return dict(json.loads(ended.stdout))


@pytest.mark.parametrize("limit", ["", "AVX512_CORE", "AVX2", "AVX", "SSE41"])
def test_int8_agrees_with_onnxruntime_on_an_older_instruction_set(limit: str, tmp_path: Path) -> None:
    """AVX512_CORE is AVX-512 without VNNI; a limit above this processor's own instructions has no effect."""
    found = run(tmp_path, limit)

    if "refused" in found:
        assert "OpenVINO cannot load it" in found["refused"]
        pytest.skip(f"{LIMIT}={limit}: {found['refused']}")
    assert len([kind for kind in found["kinds"] if kind.endswith("I8")]) == 17  # all but the last one


@pytest.mark.parametrize("limit", ["AVX", "SSE41"])
def test_bfloat16_is_refused_beside_a_limit_at_which_openvino_would_end_the_process(limit: str, tmp_path: Path) -> None:
    found = run(tmp_path, limit, "magnetic-tile", "bf16")

    assert "take openvino" in found["refused"]
    if "expected BF16" not in found["refused"]:
        assert f"found {LIMIT}={limit}, expected no limit of the instruction set" in found["refused"]
