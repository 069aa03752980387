"""Bundles made to do harm: each is refused in one line, before its size or its content can be felt."""

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import onnx
import pytest
from onnx import TensorProto, helper

from bundle import BundleDamaged, load_bundle
from bundle.golden import EXPECTED
from bundle.manifest import name_problem
from bundle.onnx_limits import MOST_NODES, check_model
from tests.bundle.hostile_bundles import Make, hostile, refusal, with_threshold
from tests.conftest import tiny_model


def test_the_builder_of_hostile_bundles_makes_good_ones(make_bundle: Make) -> None:
    assert load_bundle(hostile(make_bundle(), name="other")).manifest.name == "other"


# the manifest


@pytest.mark.parametrize(
    ("changes", "problem"),
    [
        (with_threshold(min_area_px=float("inf")), "found the number Infinity"),
        (with_threshold(min_area_px=1e300), "thresholds.Bright.min_area_px"),
        (with_threshold(score=float("nan")), "found the number NaN"),
        ({"tolerances": {"fp32": {"score": 1.0, "mask": 1}}}, "tolerances.fp32.score"),
        ({"tolerances": {"fp32": {"score": 1e-5, "mask": 255}}}, "tolerances.fp32.mask"),
        ({"masks": {"height": 10**9, "width": 10**9}}, "masks.height"),
        ({"input": {"height": 10**30, "width": 12, "channels": 1}}, "input.height"),
        ({"classes": [f"class{number}" for number in range(257)]}, "classes"),
        ({"classes": ["Bright", "Da\0rk"]}, "printable"),
        ({"classes": ["Bright", "Da\nrk"]}, "printable"),
        ({"classes": ["Bright", "../Dark"]}, "path separator"),
        ({"classes": ["Bright", "D" * 101]}, "101 characters"),
        ({"name": "tiny\x1b[2J"}, "printable"),
        ({"name": "n" * 10**6}, "characters"),
        ({"k" * 10**6: 1}, "unknown key"),
        ({"new\nline": 1}, "unknown key"),
        ({"format": "x" * 10**6}, "format"),
    ],
    ids=lambda value: value[:20] if isinstance(value, str) else "",
)
def test_a_manifest_out_of_range_is_refused(make_bundle: Make, changes: dict[str, Any], problem: str) -> None:
    assert problem in refusal(hostile(make_bundle(), **changes))


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        (b'{"format":1,"made_from":' + b"[" * 100_000 + b"]" * 100_000 + b"}", "is not JSON"),
        (b'{"format":1,"made_from":' + b"[" * 40 + b"]" * 40 + b"}", "nested more than"),
        (b'{"format":1,"name":"\\ud800"}', "surrogates"),
        (b'{"format":1e999}', "finite"),
        (b'{"format":' + b"1" * 100_000 + b"}", "manifest.json: "),
        (b"\xff\xfe{}", "is not JSON"),
        (b"", "is not JSON"),
        (b"[]", "expected an object"),
        (b" " * (32 * 2**20 + 1), "expected at most"),
    ],
    ids=["deep", "nested", "surrogate", "infinite", "digits", "encoding", "empty", "array", "long"],
)
def test_a_manifest_that_is_no_manifest_is_refused(make_bundle: Make, content: bytes, problem: str) -> None:
    folder = make_bundle()
    (folder / "manifest.json").write_bytes(content)

    assert problem in refusal(folder)


# the files of the folder


@pytest.mark.parametrize("name", ["manifest.json", "model.onnx", "golden/frame0.png", EXPECTED])
def test_a_pipe_in_place_of_a_file_does_not_block(make_bundle: Make, name: str) -> None:
    folder = make_bundle()
    (folder / name).unlink()
    os.mkfifo(folder / name)

    assert "expected a regular file" in refusal(folder)


@pytest.mark.parametrize("name", ["manifest.json", "model.onnx", "golden/frame0.png", EXPECTED])
def test_a_link_in_place_of_a_file_is_refused(make_bundle: Make, name: str, tmp_path: Path) -> None:
    folder = make_bundle()
    (folder / name).rename(tmp_path / "elsewhere")
    (folder / name).symlink_to(tmp_path / "elsewhere")

    assert "expected a regular file" in refusal(folder)


def test_a_link_to_a_device_without_end_is_refused(make_bundle: Make) -> None:
    folder = make_bundle()
    (folder / "model.onnx").unlink()
    (folder / "model.onnx").symlink_to("/dev/zero")

    assert "expected a regular file" in refusal(folder)


def test_a_linked_folder_within_the_bundle_is_refused(make_bundle: Make, tmp_path: Path) -> None:
    folder = make_bundle()
    (folder / "golden").rename(tmp_path / "golden")
    (folder / "golden").symlink_to(tmp_path / "golden")

    assert "expected a regular file" in refusal(folder)


def test_the_bundle_itself_may_be_a_link(make_bundle: Make, tmp_path: Path) -> None:
    (tmp_path / "current").symlink_to(make_bundle())

    assert load_bundle(tmp_path / "current").manifest.name == "tiny"


@pytest.mark.parametrize("name", ["model.onnx.data", "golden/frame2.png", "golden/\udcff", "new\nline"])
def test_a_file_that_the_manifest_does_not_list_is_refused(make_bundle: Make, name: str) -> None:
    folder = make_bundle()
    (folder / name).write_bytes(b"x")

    assert "expected only the files that the manifest lists" in refusal(folder)


@pytest.mark.parametrize("missing", ["golden/frame1.png", EXPECTED, "model.onnx"])
def test_a_golden_file_must_be_listed(make_bundle: Make, missing: str) -> None:
    folder = make_bundle()
    listed = json.loads((folder / "manifest.json").read_text())["files"]
    del listed[missing]

    assert "files" in refusal(hostile(folder, files=listed))


@pytest.mark.parametrize("name", ["\0", "/etc/passwd", "golden/../../x", "golden/frame9.png", "a" * 5000])
def test_a_listed_file_that_no_bundle_has_is_refused(make_bundle: Make, name: str) -> None:
    folder = make_bundle()
    listed = json.loads((folder / "manifest.json").read_text())["files"]

    assert "files" in refusal(hostile(folder, files={**listed, name: "0" * 64}))


# the golden frames


def changed_model(change: Callable[[onnx.ModelProto], object]) -> bytes:
    model = onnx.load_model_from_string(tiny_model())
    change(model)
    return bytes(model.SerializeToString())


def add_loop(model: onnx.ModelProto) -> None:
    body = helper.make_graph([helper.make_node("Identity", ["go"], ["on"])], "body", [], [])
    model.graph.node.append(helper.make_node("Loop", ["", ""], ["never"], body=body))


def use_file(model: onnx.ModelProto) -> None:
    tensor = model.graph.initializer[0]
    tensor.data_location = TensorProto.EXTERNAL
    tensor.external_data.add(key="location", value="../../../etc/passwd")


def use_file_in_a_constant(model: onnx.ModelProto) -> None:
    node = helper.make_node("Constant", [], ["c"], value=model.graph.initializer[0])
    node.attribute[0].t.external_data.add(key="location", value="weights")
    model.graph.node.append(node)


def add_nodes(model: onnx.ModelProto) -> None:
    model.graph.node.extend(helper.make_node("Identity", ["a"], ["b"]) for _ in range(MOST_NODES + 1))


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        (changed_model(add_loop), "Loop"),
        (changed_model(use_file), "weights in another file"),
        (changed_model(use_file_in_a_constant), "weights in another file"),
        (changed_model(add_nodes), f"more than {MOST_NODES} nodes"),
        (changed_model(lambda model: model.functions.add(name="f")), "functions"),
        (changed_model(lambda model: model.graph.sparse_initializer.add()), "sparse"),
        (b"", "0 graphs"),
        (b"not a model", "protobuf"),
        (b"\x3a\x00" * 400_000, "fields"),
        (b"\x3a\xff\xff\xff\xff\x0f", "truncated"),
        (b"\xff" * 20, "ten bytes"),
    ],
    ids=["loop", "external", "constant", "nodes", "functions", "sparse", "empty", "text", "fields", "length", "number"],
)
def test_a_model_beyond_the_limits_is_refused(make_bundle: Make, content: bytes, problem: str) -> None:
    line = refusal(hostile(make_bundle(), {"model.onnx": content}))

    assert "model.onnx: found" in line
    assert problem in line


@pytest.mark.parametrize("path", sorted(Path("models").glob("*/model.onnx")), ids=lambda path: path.parent.name)
def test_the_shipped_models_keep_the_limits(path: Path) -> None:
    check_model(path.read_bytes())


def test_a_model_that_is_exchanged_after_the_check_is_refused(make_bundle: Make) -> None:
    bundle = load_bundle(make_bundle())
    bundle.model.write_bytes(changed_model(add_loop))

    with pytest.raises(BundleDamaged, match=r"model\.onnx: found sha256"):
        bundle.read_model()


# names


@pytest.mark.parametrize("name", ["Blowhole", "Riß quer", "[red]", "=cmd|' -1'!A0", "裂纹", "%h"])
def test_a_printable_name_is_a_name(name: str) -> None:
    assert name_problem(name) is None


@pytest.mark.parametrize("name", ["", " a", "a\u202eb", "a\u200bb", "a\ud800", "a\\b", "..", "a\tb", "\u2028"])
def test_a_name_that_hides_something_is_none(name: str) -> None:
    assert name_problem(name) is not None


# anything at all
