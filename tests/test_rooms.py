"""The import table: who may import whom. Read off the source, so that an import inside a function counts too."""

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
ROOMS = ("bundle", "edge", "export", "firmware_bridge", "synthetic", "train")

ASSEMBLY = {
    "edge/station.py",
    "edge/pipeline/runtime.py",
    "edge/pipeline/reporter.py",
    "edge/pipeline/health_monitor.py",
    "edge/pipeline/plc_messages.py",
    "edge/commands/demo.py",
    "edge/commands/bench.py",
    "edge/cli.py",
    "edge/commands/doctor.py",
}
"""Where the runtime is put together: the files of edge that may import firmware_bridge."""

CHECKPOINT_STEP = "export/graph/from_checkpoint.py"
"""The one file of export that reads checkpoints, with torch."""

ENGINES = ("edge.engines.", "edge.errors")
"""What export may import of edge."""

ALLOWED_ROOMS = {
    "bundle": set(),
    "synthetic": set(),
    "firmware_bridge": set(),
    "edge": {"bundle", "firmware_bridge", "synthetic"},
    "train": {"bundle", "synthetic"},
    "export": {"bundle", "edge", "synthetic", "train"},
}
NEVER = {
    "bundle": {"torch", "onnx", "onnxruntime", "tensorrt", "serial"},
    "synthetic": {"torch", "onnx", "onnxruntime", "tensorrt", "serial"},
    "firmware_bridge": {"numpy", "torch"},
    "edge": {"torch"},
    "train": {"tensorrt"},
    "export": set(),
}
ONE_FILE = {
    "torch": {"export": CHECKPOINT_STEP},
    "serial": {"firmware_bridge": "firmware_bridge/port.py", "edge": "edge/ejector/modem_line.py"},
    "gpiod": {"edge": "edge/ejector/gpio.py"},
    "onnxruntime": {"edge": "edge/engines/onnxruntime_cpu.py"},
    "tensorrt": {"edge": "edge/engines/tensorrt_/api.py"},
    "pycuda": {"edge": "edge/engines/tensorrt_/pycuda_driver.py"},
    "gi": {"edge": "edge/cameras/gobject.py"},
    "harvesters": {"edge": "edge/cameras/gentl.py"},
    "genicam": {"edge": "edge/cameras/gentl.py"},
    "pyarrow": {"edge": "edge/records/export.py"},
    "fastapi": {"edge": "edge/page/app.py"},
    "uvicorn": {"edge": "edge/page/server.py"},
    "prometheus_client": {"edge": "edge/page/metrics.py"},
}


def imported(path: Path) -> set[str]:
    """Every module that a file imports, by its full name."""
    names: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: a relative import hides where it points"
            names.add(node.module or "")
    return names


def way_to_torch(module: str) -> list[str]:
    """Follow the imports of one of train's modules; the modules on the way to torch, none if it needs none."""
    ways, seen = [[module]], set()
    while ways:
        way = ways.pop()
        path = ROOT / (way[-1].replace(".", "/") + ".py")
        if way[-1] in seen or not path.exists():
            continue
        seen.add(way[-1])
        names = imported(path)
        if any(name.split(".")[0] == "torch" for name in names):
            return [*way, "torch"]
        ways += [[*way, name] for name in names if name.startswith("train.")]
    return []


FILES = sorted(path for room in ROOMS for path in (ROOT / room).rglob("*.py"))


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(ROOT)))
def test_a_file_imports_only_what_its_room_may(path: Path) -> None:
    name = str(path.relative_to(ROOT))
    room = path.relative_to(ROOT).parts[0]
    for module in imported(path):
        top = module.split(".")[0]

        assert top not in ("tools", "tests"), f"{name} imports {module}: nobody imports {top}"
        assert top not in NEVER[room], f"{name} imports {module}: {room} never does"
        assert top == room or top not in ROOMS or top in ALLOWED_ROOMS[room], f"{name} imports {module}"
        if top in ONE_FILE and room in ONE_FILE[top]:
            assert name == ONE_FILE[top][room], f"{name} imports {module}: only {ONE_FILE[top][room]} does"
        if room == "edge" and top == "firmware_bridge":
            assert name in ASSEMBLY, f"{name} imports {module}: only the files that put the runtime together do"
        if room == "export" and top == "edge":
            assert module.startswith(ENGINES), f"{name} imports {module}: export knows only edge's engines"
        if room == "export" and top == "train" and name != CHECKPOINT_STEP:
            path_to_torch = way_to_torch(module)
            assert not path_to_torch, f"{name} needs torch: {' -> '.join(path_to_torch)}"


def test_the_way_to_torch_is_found() -> None:
    assert way_to_torch("train.models.can") == ["train.models.can", "torch"]
    assert way_to_torch("train.evaluate.metrics") == []
