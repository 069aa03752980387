"""The import table: which package may import which. Read off the source: an import inside a function counts too."""

import ast
from collections import defaultdict
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
PACKAGES = ("bundle", "synthetic", "firmware_bridge", "edge", "train", "export", "console_scripts")

MAY_IMPORT = {
    "bundle": set(),
    "synthetic": set(),
    "firmware_bridge": set(),
    "edge": {"bundle", "firmware_bridge", "synthetic"},
    "train": {"bundle", "synthetic"},
    "export": {"bundle", "edge", "synthetic", "train"},
    "console_scripts": {"edge", "export", "train"},
}
"""Package -> the other packages of the project that it may import."""

NEVER = {
    "bundle": {"torch", "onnx", "onnxruntime", "tensorrt", "serial"},
    "synthetic": {"torch", "onnx", "onnxruntime", "tensorrt", "serial"},
    "firmware_bridge": {"numpy", "torch"},
    "edge": {"torch"},
    "train": {"tensorrt"},
    "export": set(),
    "console_scripts": {"numpy", "torch", "typer"},
}

ORDER = {
    "edge": "errors module_process signal_events wall_clock log_lines rate_limited_log address config cameras part "
    "alarms systemd engines records bundle_inspector review access release ejector monitoring reports pipeline "
    "servers forwarding mqtt central s3 rollout overview trial page opcua stopping station service commands cli",
    "train": "errors data network_recipe recipe augment models losses device evaluate report loop sweep cli",
    "export": "errors choices graph evaluate bundles int8 benchmark cli",
    "firmware_bridge": "errors layout messages sequence timing events endpoint parts address port framed modbus wiring "
    "tcp_port s7_port signals link simulator generate",
}
"""Package -> its files and sub-packages from ground to roof: each imports only those that stand before it."""

ASSEMBLY = {
    "edge/station.py",
    "edge/cli.py",
    "edge/pipeline/runtime.py",
    "edge/pipeline/reporter.py",
    "edge/pipeline/health_monitor.py",
    "edge/pipeline/plc_messages.py",
    "edge/commands/demo.py",
    "edge/commands/bench.py",
    "edge/commands/doctor.py",
}
"""The files of edge that may import firmware_bridge: those that put the runtime together."""

CHECKPOINT_STEP = "export/graph/from_checkpoint.py"
"""The one file of export that reads checkpoints, with torch."""

FROM_EDGE = ("edge.engines.", "edge.errors", "edge.release.signature")
"""Rooms of edge that export may import."""

FROM_SYNTHETIC = ("edge/cameras/synthetic.py", "edge/commands/demo.py")
"""The files of edge that may import synthetic: the virtual camera, and the demo that knows the truth."""

ONE_FILE = {
    "torch": {"export": CHECKPOINT_STEP},
    "ray": {"train": "train/sweep/ray_cluster.py"},
    "defusedxml": {"train": "train/data/annotations/documents.py"},
    "serial": {"firmware_bridge": "firmware_bridge/port.py", "edge": "edge/ejector/modem_line.py"},
    "argon2": {"edge": "edge/access/passwords.py"},
    "cryptography": {"edge": "edge/release/signature.py"},
    "snap7": {"firmware_bridge": "firmware_bridge/s7_port.py"},
    "gpiod": {"edge": "edge/ejector/gpio.py", "firmware_bridge": "firmware_bridge/signals/gpio_port.py"},
    "onnxruntime": {"edge": "edge/engines/onnxruntime_cpu.py"},
    "openvino": {"edge": "edge/engines/openvino_cpu.py"},
    "tensorrt": {"edge": "edge/engines/tensorrt_/api.py"},
    "pycuda": {"edge": "edge/engines/tensorrt_/pycuda_driver.py"},
    "gi": {"edge": "edge/cameras/gobject.py"},
    "harvesters": {"edge": "edge/cameras/gentl.py"},
    "genicam": {"edge": "edge/cameras/gentl.py"},
    "reportlab": {"edge": "edge/reports/shift_pdf.py"},
    "pyarrow": {"edge": "edge/records/export.py"},
    "fastapi": {"edge": "edge/page/routes/"},
    "uvicorn": {"edge": "edge/page/server.py"},
    "paho": {"edge": "edge/mqtt/client.py"},
    "psycopg": {"edge": "edge/central/database.py"},
    "boto3": {"edge": "edge/s3/client.py"},
    "botocore": {"edge": "edge/s3/client.py"},
    "asyncua": {"edge": "edge/opcua/server.py"},
    "prometheus_client": {"edge": "edge/page/metrics.py"},
}
"""A vendor's software -> the one file of a package that imports it, or the one folder."""

MOST_FILES = 16
"""Source files side by side in one folder, at most."""

TWO_MEANINGS = {
    "Verdict": "firmware_bridge imports nothing of ours, and the verdict is what both sides of the line agree on",
}
"""Class names that are defined twice, with the reason."""


def imported(path: Path) -> set[str]:
    """Every module that a file imports, by its full name.

    `from a import b` counts as `a.b` where that is a file, else as `a`.
    """
    names: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: a relative import hides where it points"
            inner = {f"{node.module}.{alias.name}" for alias in node.names}
            modules = {name for name in inner if (ROOT / f"{name.replace('.', '/')}.py").is_file()}
            names |= modules if modules == inner else modules | {str(node.module)}
    return names


def module_of(path: Path) -> str:
    """The dotted name of a source file."""
    return ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")


FILES = sorted(path for package in PACKAGES for path in (ROOT / package).rglob("*.py"))
GRAPH = {module_of(path): imported(path) for path in FILES}


def known(graph: Mapping[str, set[str]]) -> dict[str, set[str]]:
    """The same graph, without what lies outside of it."""
    return {module: {name for name in names if name in graph and name != module} for module, names in graph.items()}


def circle(graph: Mapping[str, set[str]]) -> list[str]:
    """One circle of imports, the first module again at the end; empty where there is none."""
    done: set[str] = set()

    def search(module: str, way: list[str]) -> list[str]:
        if module in way:
            return [*way[way.index(module) :], module]
        if module in done:
            return []
        for name in sorted(graph[module]):
            if found := search(name, [*way, module]):
                return found
        done.add(module)
        return []

    return next((found for module in sorted(graph) if (found := search(module, []))), [])


def upward(package: str, order: list[str], graph: Mapping[str, set[str]]) -> Iterator[str]:
    """The imports of a package that run from a room to a later one, or to or from one that the order lacks."""
    for module, names in sorted(graph.items()):
        room = module.removeprefix(package + ".").split(".")[0]
        for name in sorted(names):
            if not (module.startswith(package + ".") and name.startswith(package + ".")):
                continue
            other = name.removeprefix(package + ".").split(".")[0]
            if room == other:
                continue
            if room not in order or other not in order or order.index(other) > order.index(room):
                yield f"{module} imports {name}"


def way_to_torch(module: str) -> list[str]:
    """Follow the imports of one of train's modules; the modules on the way to torch, none if it needs none."""
    ways, seen = [[module]], set()
    while ways:
        way = ways.pop()
        if way[-1] in seen or way[-1] not in GRAPH:
            continue
        seen.add(way[-1])
        names = GRAPH[way[-1]]
        if any(name.split(".")[0] == "torch" for name in names):
            return [*way, "torch"]
        ways += [[*way, name] for name in names if name.startswith("train.")]
    return []


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(ROOT)))
def test_a_file_imports_only_what_its_package_may(path: Path) -> None:
    name = str(path.relative_to(ROOT))
    package = path.relative_to(ROOT).parts[0]
    for module in imported(path):
        top = module.split(".")[0]

        assert top not in ("tools", "tests"), f"{name} imports {module}: no package imports {top}"
        assert top not in NEVER[package], f"{name} imports {module}: {package} never does"
        assert top == package or top not in PACKAGES or top in MAY_IMPORT[package], f"{name} imports {module}"
        if top in ONE_FILE and package in ONE_FILE[top]:
            place = ONE_FILE[top][package]
            is_there = name.startswith(place) if place.endswith("/") else name == place
            assert is_there, f"{name} imports {module}: only {place} does"
        if package == "edge" and top == "firmware_bridge":
            assert name in ASSEMBLY, f"{name} imports {module}: only the files that put the runtime together do"
        if package == "edge" and top == "synthetic":
            assert name in FROM_SYNTHETIC, f"{name} imports {module}: only the virtual camera and the demo do"
        if package == "export" and module.startswith("edge.") and module in GRAPH:
            allowed = module.startswith(FROM_EDGE) or module == "edge.engines"
            assert allowed, f"{name} imports {module}: export knows only edge's engines"
        if package == "export" and top == "train" and name != CHECKPOINT_STEP:
            path_to_torch = way_to_torch(module)
            assert not path_to_torch, f"{name} needs torch: {' -> '.join(path_to_torch)}"


def test_no_imports_form_a_circle() -> None:
    assert circle(known(GRAPH)) == []


@pytest.mark.parametrize("package", ORDER)
def test_no_import_runs_up_between_the_rooms_of_a_package(package: str) -> None:
    assert list(upward(package, ORDER[package].split(), known(GRAPH))) == []


@pytest.mark.parametrize("package", ORDER)
def test_the_order_names_rooms_that_exist_and_all_of_them(package: str) -> None:
    found = {path.stem for path in (ROOT / package).iterdir() if (path.suffix == ".py" or any(path.glob("*.py")))}
    assert found - {"__init__"} == set(ORDER[package].split())


def test_no_folder_has_more_files_than_a_reader_can_hold() -> None:
    count: dict[str, int] = defaultdict(int)
    for path in FILES:
        count[str(path.parent.relative_to(ROOT))] += path.stem != "__init__"
    assert {folder: files for folder, files in count.items() if files > MOST_FILES} == {}


def test_a_class_name_stands_for_one_thing() -> None:
    places = defaultdict(set)
    for path in FILES:
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.ClassDef) and not node.name.startswith("_"):
                places[node.name].add(str(path.relative_to(ROOT)))
    twice = {name: sorted(files) for name, files in places.items() if len(files) > 1}
    assert {name: files for name, files in twice.items() if name not in TWO_MEANINGS} == {}
    assert set(TWO_MEANINGS) <= set(twice), "an exception that is no longer needed"


def test_what_the_tests_search_for_is_found() -> None:
    loop = {"a": {"b"}, "b": {"c"}, "c": {"a"}, "d": {"a"}}
    assert circle(loop) == ["a", "b", "c", "a"]
    assert circle({"a": {"b"}, "b": set()}) == []
    rooms = {"p.low": {"p.high.x"}, "p.high.x": {"p.low"}, "p.new": {"p.low"}}
    assert list(upward("p", ["low", "high"], rooms)) == ["p.low imports p.high.x", "p.new imports p.low"]
    assert way_to_torch("train.models.can") == ["train.models.can", "torch"]
    assert way_to_torch("train.evaluate.metrics") == []
