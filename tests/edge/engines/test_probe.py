"""Bundles that are opened in a child process first."""

import json
import os
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper

from bundle import Bundle, BundleDamaged, GoldenMismatch, load_bundle, write_bundle
from bundle.manifest import Tolerance
from edge.engines.engine import Engine
from edge.engines.onnxruntime_cpu import open_onnxruntime
from edge.engines.probe import MEMORY_BYTES, ProbeLimits, announce, open_probed, probe_bundle
from edge.engines.registry import ENGINES, EngineKind, open_engine
from edge.errors import EngineError
from edge.module_process import WaitingProcess
from tests.conftest import tiny_files, tiny_manifest, tiny_model

Make = Callable[..., Path]


def with_scores_from(nodes: list[onnx.NodeProto], *weights: onnx.TensorProto) -> bytes:
    """The tiny model, whose scores pass through more nodes first: from `early` to `scores`."""
    model = onnx.load_model_from_string(tiny_model())
    for node in model.graph.node:
        node.output[:] = ["early" if name == "scores" else name for name in node.output]
    model.graph.node.extend(nodes)
    model.graph.initializer.extend(weights)
    return bytes(model.SerializeToString())


def endless_model() -> bytes:
    """A thousand products of matrices with 5,000 rows: hours on a processor, without any control flow."""
    nodes = [helper.make_node("Expand", ["tiny", "square"], ["m0"])]
    nodes += [helper.make_node("MatMul", [f"m{step}", "m0"], [f"m{step + 1}"]) for step in range(1000)]
    nodes += [
        helper.make_node("ReduceMax", ["m1000"], ["peak"], keepdims=0),
        helper.make_node("Mul", ["peak", "zero"], ["nothing"]),
        helper.make_node("Add", ["early", "nothing"], ["scores"]),
    ]
    return with_scores_from(
        nodes,
        helper.make_tensor("tiny", TensorProto.FLOAT, [], [0.0]),
        helper.make_tensor("zero", TensorProto.FLOAT, [], [0.0]),
        helper.make_tensor("square", TensorProto.INT64, [2], [5_000, 5_000]),
    )


def greedy_model() -> bytes:
    """A tensor of 400 GB on the way to the scores."""
    nodes = [
        helper.make_node("Expand", ["early", "wide"], ["large"]),
        helper.make_node("ReduceMax", ["large", "first"], ["scores"], keepdims=0),
    ]
    return with_scores_from(
        nodes,
        helper.make_tensor("wide", TensorProto.INT64, [3], [50_000_000_000, 1, 2]),
        helper.make_tensor("first", TensorProto.INT64, [1], [0]),
    )


def written(folder: Path, model: bytes) -> Path:
    write_bundle(folder, tiny_manifest(), {**tiny_files(), "model.onnx": model})
    return folder


def test_a_good_bundle_passes_and_opens(make_bundle: Make) -> None:
    bundle = load_bundle(make_bundle())

    engine = open_probed("onnxruntime", bundle, 1, 2, False)

    assert engine.infer(np.zeros((1, 1, 16, 12), np.uint8))[0].shape == (1, 2)
    engine.close()


def test_a_graph_without_end_is_given_up(tmp_path: Path) -> None:
    folder = written(tmp_path / "endless", endless_model())

    with pytest.raises(EngineError, match=r"endless: opening it with onnxruntime.*found no end after 6 s"):
        probe_bundle(folder, "onnxruntime", 1, limits=ProbeLimits(seconds=6))


def test_a_graph_that_takes_all_memory_ends_the_child_alone(tmp_path: Path) -> None:
    folder = written(tmp_path / "greedy", greedy_model())

    with pytest.raises(EngineError, match=r"greedy|onnxruntime"):
        probe_bundle(folder, "onnxruntime", 1)


def test_too_little_memory_is_an_error_of_one_line(make_bundle: Make) -> None:
    with pytest.raises(EngineError) as refused:
        probe_bundle(make_bundle(), "onnxruntime", 1, limits=ProbeLimits(seconds=60, memory_bytes=50 * 2**20))

    assert "\n" not in str(refused.value)


def test_a_pipe_as_a_golden_frame_does_not_block(make_bundle: Make) -> None:
    folder = make_bundle()
    (folder / "golden" / "frame0.png").unlink()
    os.mkfifo(folder / "golden" / "frame0.png")

    with pytest.raises(BundleDamaged, match=r"frame0\.png: found a pipe"):
        probe_bundle(folder, "onnxruntime", 1)


def test_errors_of_the_child_keep_their_class(tmp_path: Path) -> None:
    files = tiny_files()
    frame = files["golden/frame0.png"]
    files["golden/frame0.png"], files["golden/frame1.png"] = files["golden/frame1.png"], frame
    write_bundle(tmp_path / "swapped", tiny_manifest(), files)

    with pytest.raises(GoldenMismatch, match="do not go on line"):
        probe_bundle(tmp_path / "swapped", "onnxruntime", 1)


def test_a_child_whose_parent_is_gone_ends(make_bundle: Make) -> None:
    opener = ENGINES["onnxruntime"].opener
    request = [str(make_bundle()), "", "onnxruntime", opener, 1, 1, 60, MEMORY_BYTES, 1]

    assert ended(json.dumps(["onnxruntime", opener]), json.dumps(request)) == 2


def ended(*lines: str) -> int:
    """Exit status of a child that reads these lines."""
    command, given = [sys.executable, "-m", "edge.engines.probe"], "".join(f"{line}\n" for line in lines)
    return subprocess.run(command, input=given.encode(), timeout=60, check=False).returncode


@pytest.mark.parametrize("lines", [[], [json.dumps(["onnxruntime", ENGINES["onnxruntime"].opener])]])
def test_a_child_without_a_request_ends(lines: list[str]) -> None:
    assert ended(*lines) == 0


def test_a_child_that_was_started_before_opens_the_bundle_once(make_bundle: Make) -> None:
    kind = EngineKind(f"{__name__}:{open_here.__name__}")
    bundle = load_bundle(make_bundle())
    children = [WaitingProcess("edge.engines.probe")]
    announce(children[0], "gpu", kind)
    started = children[0].process

    open_probed("gpu", bundle, 1, 1, False, {"gpu": kind}, children).close()
    open_probed("gpu", bundle, 1, 1, False, {"gpu": kind}, children).close()

    opened = [int(line.split()[0]) for line in (bundle.folder.parent / "opened").read_text().splitlines()]
    assert opened[0] == started.pid
    assert opened[1] == opened[3] == os.getpid()
    assert opened[2] not in opened[:2]
    assert children == []


def test_a_child_that_ended_before_its_request_refuses_the_bundle(make_bundle: Make) -> None:
    child = WaitingProcess("edge.engines.probe")
    child.process.kill()
    child.process.wait()

    with pytest.raises(EngineError, match="found it ended by SIGKILL"):
        probe_bundle(make_bundle(), "onnxruntime", 1, child=child)


def open_for_ever(*_: object) -> Engine:
    """Open an engine that never opens, as a vendor's builder does that hangs."""
    threading.Event().wait()
    raise AssertionError


def open_here(bundle: Bundle, threads: int | None, batch: int) -> Engine:
    """Open the CPU's engine with a mark that it left: in which process, on how many threads, for which batch."""
    with (bundle.folder.parent / "opened").open("a", encoding="ascii") as mark:
        mark.write(f"{os.getpid()} {threads} {batch}\n")
    return open_onnxruntime(bundle, threads, batch)


def test_a_gpu_engine_that_never_opens_is_given_up_in_its_child(make_bundle: Make) -> None:
    kind = EngineKind(f"{__name__}:{open_for_ever.__name__}", reopens=True, trial_s=6, limits_memory=False)

    with pytest.raises(EngineError, match="found no end after 6 s"):
        open_probed("gpu", load_bundle(make_bundle()), 1, 1, True, {"gpu": kind})


ENDED = threading.Event()


def open_until_told(*_: object) -> Engine:
    """Open an engine that does not open before the end of the test."""
    ENDED.wait()
    raise EngineError("too late")


def test_an_engine_that_never_opens_is_given_up_in_the_same_process(make_bundle: Make) -> None:
    kind = EngineKind(f"{__name__}:{open_until_told.__name__}", trial_s=0.2)

    with pytest.raises(EngineError, match=r"tiny: opening it with slow: found no end after 0\.2 s"):
        open_engine("slow", load_bundle(make_bundle()), kinds={"slow": kind})
    ENDED.set()


def test_a_gpu_engine_opens_in_a_child_first_and_then_here(make_bundle: Make) -> None:
    kind = EngineKind(f"{__name__}:{open_here.__name__}", reopens=True, limits_memory=False)
    bundle = load_bundle(make_bundle())

    open_probed("gpu", bundle, 3, 2, False, {"gpu": kind}).close()

    child, here = (line.split() for line in (bundle.folder.parent / "opened").read_text().splitlines())
    assert int(here[0]) == os.getpid() != int(child[0])
    assert child[1:] == here[1:] == ["3", "2"]


def test_a_bundle_that_is_exchanged_before_the_trial_is_refused(make_bundle: Make) -> None:
    with pytest.raises(BundleDamaged, match="found another bundle than a moment ago"):
        probe_bundle(make_bundle(), "onnxruntime", 1, bundle_id="0" * 64)


def test_the_trial_is_of_the_bundle_that_the_station_has_read(make_bundle: Make) -> None:
    bundle = load_bundle(make_bundle())
    other = make_bundle("other", tolerances={"fp32": Tolerance(score=1e-4, mask=1)})
    bundle.folder.rename(bundle.folder.with_name("before"))
    other.rename(bundle.folder)

    with pytest.raises(BundleDamaged, match="found another bundle than a moment ago"):
        open_probed("onnxruntime", bundle, 1, 1, False)


@pytest.mark.parametrize("name", sorted(ENGINES))
def test_every_engine_opens_in_a_child_within_the_time_that_the_unit_allows(name: str) -> None:
    assert ENGINES[name].trial_s < 20 * 60  # TimeoutStartSec
