"""Every name of TensorRT that `edge/engines/tensorrt_/api.py` uses exists in each version of its real Python bindings.

The bindings come from the package index, 1 to 1.5 MB each, into pytest's cache; their libraries, which are on no index,
are played by a few lines of C.
"""

import ast
import json
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

import edge.engines.tensorrt_.api

VERSIONS = {
    "10.3.0": "tensorrt-cu12-bindings",  # JetPack 6.1, 6.2
    "10.13.3.9": "tensorrt-cu13-bindings",  # JetPack 7.1
    "10.16.1.11": "tensorrt-cu13-bindings",  # JetPack 7.2
    "11.4.0.106": "tensorrt-cu13-bindings",
}
LIBRARIES = ("nvinfer", "nvonnxparser", "nvinfer_plugin")

CLASSES = {
    "builder": "Builder",
    "network": "INetworkDefinition",
    "parser": "OnnxParser",
    "problem": "ParserError",
    "config": "IBuilderConfig",
    "profile": "IOptimizationProfile",
    "timing_cache": "ITimingCache",
    "runtime": "Runtime",
    "engine": "ICudaEngine",
    "context": "IExecutionContext",
}
"""The variables of `edge/engines/tensorrt_/api.py` that hold TensorRT's objects."""

RTX_ONLY = {
    "ComputeCapability",
    "ComputeCapability.CURRENT",
    "IBuilderConfig.num_compute_capabilities",
    "IBuilderConfig.set_compute_capability",
}
"""Used behind the switch for TensorRT for RTX."""

LIST = """
import json, sys
sys.path.insert(0, sys.argv[1])
import importlib
trt = importlib.import_module(sys.argv[2])
names = {name: dir(getattr(trt, name)) for name in dir(trt)}
print(json.dumps([trt.__version__, sorted(names) + [f"{name}.{member}" for name in names for member in names[name]]]))
"""


def names_used(source: str) -> set[str]:
    """The names after `trt.` or `self._trt.` with one level of members, and those after the variables of `CLASSES`."""
    used = set()
    for node in ast.walk(ast.parse(source)):
        if not isinstance(node, ast.Attribute) or node.attr.startswith("__"):
            continue
        owner = ast.unparse(node.value)
        if owner in ("trt", "self._trt"):
            used.add(node.attr)
        elif owner in CLASSES:
            used.add(f"{CLASSES[owner]}.{node.attr}")
        elif owner.rpartition(".")[0] in ("trt", "self._trt"):
            used.add(f"{owner.rpartition('.')[2]}.{node.attr}")
    return used


def names_used_here() -> set[str]:
    return names_used(Path(edge.engines.tensorrt_.api.__file__).read_text(encoding="utf-8"))


def missing(version: str, folder: Path) -> set[str]:
    """Names that the package uses and this version lacks."""
    python = f"{sys.version_info.major}.{sys.version_info.minor}"
    if not (folder / "tensorrt_bindings").exists():
        command = [
            sys.executable,
            "-m",
            "pip",
            "download",
            "--quiet",
            "--no-deps",
            "--only-binary=:all:",
            "--retries=0",
        ]
        asked = [f"--dest={folder}", f"--python-version={python}", f"{VERSIONS[version]}=={version}"]
        if subprocess.run([*command, *asked], capture_output=True, check=False).returncode:
            pytest.skip(f"pip could not fetch TensorRT's bindings {version} for Python {python} from the package index")
        with zipfile.ZipFile(next(folder.glob("*.whl"))) as wheel:
            wheel.extractall(folder)
        for library in LIBRARIES:
            name = f"lib{library}.so.{version.split('.')[0]}"
            source = Path(__file__).with_name("no_libraries.c")
            command = ["gcc", "-shared", "-fPIC", f"-Wl,-soname,{name}", "-o", str(folder / name), str(source)]
            subprocess.run(command, check=True)
    listed = subprocess.run(
        [sys.executable, "-c", LIST, str(folder), "tensorrt_bindings"],
        env={"LD_LIBRARY_PATH": str(folder)},
        capture_output=True,
        text=True,
        check=True,
    )
    found, names = json.loads(listed.stdout)
    assert found == version
    return names_used_here() - set(names) - RTX_ONLY


@pytest.mark.skipif(shutil.which("gcc") is None, reason="found no gcc, expected it to play TensorRT's libraries")
@pytest.mark.parametrize("version", VERSIONS)
def test_every_name_exists(version: str, request: pytest.FixtureRequest) -> None:
    assert missing(version, request.config.cache.mkdir(f"tensorrt-{version}-py{sys.version_info.minor}")) == set()


def test_every_name_exists_in_tensorrt_for_rtx() -> None:
    rtx = pytest.importorskip("tensorrt_rtx", reason="TensorRT for RTX is not installed: pip install tensorrt-rtx-cu13")
    names = {name: dir(getattr(rtx, name)) for name in dir(rtx)}
    every = set(names) | {f"{name}.{member}" for name in names for member in names[name]}

    assert names_used_here() - every == set()
    assert every >= RTX_ONLY


def test_a_name_of_long_ago_would_be_seen() -> None:
    source = "flag = self._trt.BuilderFlag.FP16\nbuilder.max_batch_size = 1\nunrelated.name()"

    assert names_used(source) == {"BuilderFlag", "BuilderFlag.FP16", "Builder.max_batch_size"}


def test_the_names_are_found_at_all() -> None:
    used = names_used_here()

    assert len(used) > 35, sorted(used)
    assert {"ICudaEngine.get_tensor_dtype", "IExecutionContext.execute_async_v3", "ILogger.ERROR", "uint8"} <= used
