"""TensorRT for RTX builds engines without a GPU, through the very code that builds them on a board."""

import hashlib
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from bundle import Bundle, load_bundle
from edge.engines.tensorrt_.api import open_tensorrt
from edge.engines.tensorrt_.build import PlanBuilder, ahead_of_time_builder, build_ahead
from edge.engines.tensorrt_.plan_cache import PlanCache
from edge.engines.tensorrt_.plan_key import BuildOptions
from edge.errors import EngineError, PlanRefused
from tests.edge.engines.tensorrt_.test_plan_cache import with_kernel

ROOT = Path(__file__).resolve().parents[4]
SHIPPED = sorted(folder for folder in (ROOT / "models").glob("*") if (folder / "manifest.json").exists())


@pytest.fixture
def rtx() -> None:
    pytest.importorskip("tensorrt_rtx", reason="TensorRT for RTX is not installed: pip install tensorrt-rtx-cu13")


@pytest.fixture
def bundle(make_bundle: Callable[..., Path]) -> Bundle:
    bundle = load_bundle(make_bundle())
    cache = PlanCache.of(bundle)
    with_kernel(cache, "sm_86", "sm_89")
    return bundle


def build(bundle: Bundle, architecture: str = "sm_86", batch: int = 1, **options: int) -> list[str]:
    """Build ahead of time; what was said."""
    said: list[str] = []
    build_ahead(
        bundle, ahead_of_time_builder("tensorrt_rtx", architecture, BuildOptions(**options), say=said.append), batch
    )
    return said


def built_because(said: list[str]) -> str:
    assert "building a plan, because: " in said[0], said
    return said[0].split("because: ")[1]


@pytest.mark.usefixtures("rtx")
def test_built_found_and_rebuilt_for_each_reason(bundle: Bundle) -> None:
    assert built_because(build(bundle)).startswith("there is none in")
    assert "plan found" in build(bundle)[0]
    assert built_because(build(bundle, "sm_89")) == "compute capability: found 8.6, expected 8.9"
    assert built_because(build(bundle, batch=3)) == "batch: found 1, expected 3"
    assert built_because(build(bundle, workspace_mib=64)).startswith("options: found {'workspace_mib': 1024")
    assert len(list(PlanCache.of(bundle).folder.glob("*.plan"))) == 4


@pytest.mark.usefixtures("rtx")
def test_the_log_lists_the_layers(bundle: Bundle) -> None:
    build(bundle)

    log = next(PlanCache.of(bundle).folder.glob("*.log")).read_text(encoding="utf-8")
    layers = log.partition("Layers:")[2]
    assert "LayerType:" in layers
    assert "Name: frames, Dimensions: [1,1,16,12]" in layers


@pytest.mark.usefixtures("rtx")
def test_a_broken_plan_is_refused(bundle: Bundle) -> None:
    with pytest.raises(PlanRefused, match="does not take it") as caught:
        open_tensorrt("tensorrt_rtx").load(b"no plan" * 100, bundle.manifest, 1)

    assert "\n" not in str(caught.value)


@pytest.mark.usefixtures("rtx")
def test_a_graph_that_is_none_is_one_line(bundle: Bundle) -> None:
    bundle.model.write_bytes(b"no graph")
    files = {**bundle.manifest.files, "model.onnx": hashlib.sha256(b"no graph").hexdigest()}
    odd = replace(bundle, manifest=bundle.manifest.model_copy(update={"files": files}))

    with pytest.raises(EngineError, match="TensorRT cannot read the graph") as caught:
        build(odd)

    assert "\n" not in str(caught.value)
    assert not list(PlanCache.of(bundle).folder.glob("*.plan"))


@pytest.mark.usefixtures("rtx")
def test_a_gpu_that_it_does_not_know_is_refused_with_those_it_does(bundle: Bundle) -> None:
    with pytest.raises(EngineError, match=r"found sm_87, expected one of .*sm_86"):
        build(bundle, "sm_87")


@pytest.mark.usefixtures("rtx")
def test_a_gpu_that_is_here_and_has_no_name_is_left_to_tensorrt(bundle: Bundle) -> None:
    if not no_driver():
        pytest.skip("there is a CUDA driver")
    tensorrt = open_tensorrt("tensorrt_rtx")
    builder = PlanBuilder(tensorrt, tensorrt.target("H200", "9.0"), say=lambda line: None)

    with pytest.raises(EngineError, match=r"TensorRT cannot build it; .*generateForCurrent") as caught:
        builder.plan(bundle, 1)

    assert "\n" not in str(caught.value)


@pytest.mark.usefixtures("rtx")
def test_progress_is_reported(bundle: Bundle) -> None:
    steps: list[tuple[int, int]] = []
    builder = ahead_of_time_builder("tensorrt_rtx", "sm_86", progress=lambda phase, done, of: steps.append((done, of)))
    build_ahead(bundle, builder)

    assert steps
    assert all(1 <= done <= of for done, of in steps)


@pytest.mark.usefixtures("rtx")
@pytest.mark.parametrize("folder", SHIPPED, ids=lambda folder: folder.name)
def test_every_shipped_bundle_builds(folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EDGE_INSPECT_CACHE", str(tmp_path))
    bundle = load_bundle(folder)
    with_kernel(PlanCache.of(bundle), "sm_86")

    assert "built in" in build(bundle)[1]


def test_only_tensorrt_for_rtx_builds_ahead() -> None:
    with pytest.raises(EngineError, match="tensorrt builds on the GPU that it is for"):
        ahead_of_time_builder("tensorrt", "sm_86")
    with pytest.raises(EngineError, match="found 'ampere', expected one such as sm_86"):
        ahead_of_time_builder("tensorrt_rtx", "ampere")


def command(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run `edge-export engine` as its user would."""
    return subprocess.run(
        [sys.executable, "-m", "export.cli", "engine", *arguments],
        cwd=ROOT,
        env={"PATH": "/usr/bin:/bin", "COLUMNS": "140", **environment},
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.mark.usefixtures("rtx")
def test_the_command_builds_and_finds(bundle: Bundle) -> None:
    outputs = [command(str(bundle.folder), "--ahead-of-time", "sm_86") for _ in range(2)]

    assert [result.returncode for result in outputs] == [0, 0], outputs
    assert "building a plan, because: there is none" in outputs[0].stdout
    assert "plan found" in outputs[1].stdout
    assert "not checked on golden frames" in outputs[1].stdout


def test_without_a_driver_there_is_one_line_and_a_status(bundle: Bundle) -> None:
    if not no_driver():
        pytest.skip("there is a CUDA driver")
    result = command(str(bundle.folder))

    assert result.returncode == 1
    assert result.stdout == ""
    assert result.stderr.startswith("edge-export: CUDA: found no driver")
    assert result.stderr.count("\n") == 1


def no_driver() -> bool:
    import ctypes

    try:
        ctypes.CDLL("libcuda.so.1")
    except OSError:
        return True
    return False
