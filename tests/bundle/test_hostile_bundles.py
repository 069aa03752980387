"""Bundles made to do harm: each is refused in one line, before its size or its content can be felt."""

import hashlib
import io
import json
import os
import resource
import struct
import zipfile
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import onnx
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from onnx import TensorProto, helper

from bundle import Bundle, BundleError, load_bundle
from bundle.golden import EXPECTED
from bundle.manifest import name_problem
from bundle.onnx_limits import MOST_NODES, check_model
from tests.conftest import tiny_files, tiny_manifest, tiny_model

Make = Callable[..., Path]


def sealed(content: dict[str, Any]) -> bytes:
    """A manifest with the right id for its content, as anyone can compute it."""
    content = {key: value for key, value in content.items() if key != "id"}
    canonical = json.dumps(content, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    return json.dumps({**content, "id": hashlib.sha256(canonical.encode()).hexdigest()}).encode()


def hostile(folder: Path, contents: dict[str, bytes] | None = None, **changes: object) -> Path:
    """Change files and manifest of a bundle, with hashes and id that fit."""
    content = json.loads((folder / "manifest.json").read_text())
    for name, data in (contents or {}).items():
        (folder / name).write_bytes(data)
        content["files"][name] = hashlib.sha256(data).hexdigest()
    (folder / "manifest.json").write_bytes(sealed({**content, **changes}))
    return folder


def refusal(folder: Path) -> str:
    """The one line with which a bundle is refused."""
    with pytest.raises(BundleError) as refused:
        load_bundle(folder)
    line = str(refused.value)
    assert "\n" not in line
    assert len(line) < 600
    return line


@contextmanager
def memory_limit(more_bytes: int) -> Iterator[None]:
    """Limit the address space of the process to this number of bytes above its present size."""
    now = int(Path("/proc/self/statm").read_text().split()[0]) * os.sysconf("SC_PAGE_SIZE")
    before = resource.getrlimit(resource.RLIMIT_AS)
    resource.setrlimit(resource.RLIMIT_AS, (now + more_bytes, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_AS, before)


def with_threshold(**changes: object) -> dict[str, Any]:
    limits = {"score": 0.9, "level": 200, "min_area_px": 8}
    return {"thresholds": {"Bright": {**limits, **changes}, "Dark": limits}}


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


def npz(**members: bytes) -> bytes:
    """An archive with members of any content."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in members.items():
            archive.writestr(f"{name}.npy", content)
    return buffer.getvalue()


def npy(array: np.ndarray) -> bytes:
    buffer = io.BytesIO()
    np.save(buffer, array)
    return buffer.getvalue()


SCORES = npy(np.zeros((2, 2), np.float32))
MASKS = npy(np.zeros((2, 2, 8, 6), np.uint8))
CLAIMS = b"\x93NUMPY\x01\x00\x76\x00{'descr': '<f4', 'fortran_order': False, 'shape': (1000000, 1000000), }"


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        (b"", "File is not a zip file"),
        (npz(scores=SCORES), "1 members"),
        (npz(scores=SCORES, masks=MASKS, more=b"x"), "3 members"),
        (npz(scores=bytes(300 * 2**20), masks=MASKS), "scores.npy of 314572800 bytes"),
        (npz(scores=SCORES, masks=npy(np.zeros((2, 2, 8, 7), np.uint8))), "masks.npy of"),
        (npz(scores=npy(np.zeros((2, 2), np.int32)), masks=MASKS), "scores.npy of <i4"),
        (npz(scores=npy(np.full((2, 2), np.nan, np.float32)), masks=MASKS), "scores outside 0 to 1"),
        (npz(scores=CLAIMS.ljust(144, b"\n"), masks=MASKS), "scores.npy of <f4 (1000000, 1000000)"),
        (npz(scores=bytes(144), masks=MASKS), "without a header"),
        (npz(scores=npy(np.array([None] * 4)), masks=MASKS), "scores.npy"),
    ],
    ids=["none", "one", "three", "bomb", "shape", "type", "nan", "claim", "zeros", "pickle"],
)
def test_odd_expected_outputs_are_refused(make_bundle: Make, content: bytes, problem: str) -> None:
    folder = hostile(make_bundle(), {EXPECTED: content})

    with memory_limit(200 * 2**20):
        assert problem in refusal(folder)


def test_a_bomb_behind_a_false_size_is_refused(make_bundle: Make) -> None:
    archive = bytearray(npz(scores=bytes(300 * 2**20), masks=MASKS))
    entry = archive.index(b"PK\x01\x02")
    archive[entry + 24 : entry + 28] = struct.pack("<I", len(SCORES))  # uncompressed size in the central directory
    folder = hostile(make_bundle(), {EXPECTED: bytes(archive)})

    with memory_limit(200 * 2**20):
        refusal(folder)


def test_a_golden_frame_smaller_than_the_crop_is_refused(make_bundle: Make) -> None:
    crop = {"x": 0, "y": 0, "width": 500, "height": 500}
    spec = {"height": 16, "width": 12, "channels": 1, "crop": crop}

    assert "expected at least 500x500" in refusal(hostile(make_bundle(), **{"input": spec}))


def test_a_golden_frame_that_is_no_png_is_refused(make_bundle: Make) -> None:
    jpeg = cv2.imencode(".jpg", np.zeros((16, 12), np.uint8))[1].tobytes()

    assert "expected one" in refusal(hostile(make_bundle(), {"golden/frame0.png": jpeg}))


def test_a_golden_frame_of_a_billion_pixels_is_refused(make_bundle: Make) -> None:
    png = bytearray(cv2.imencode(".png", np.zeros((16, 12), np.uint8))[1].tobytes())
    png[16:24] = struct.pack(">II", 40_000, 40_000)
    png[29:33] = struct.pack(">I", zlib.crc32(png[12:29]))
    folder = hostile(make_bundle(), {"golden/frame0.png": bytes(png)})

    with memory_limit(200 * 2**20):
        assert "40000x40000 pixels" in refusal(folder)


# the graph


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


# names


@pytest.mark.parametrize("name", ["Blowhole", "Riß quer", "[red]", "=cmd|' -1'!A0", "裂纹", "%h"])
def test_a_printable_name_is_a_name(name: str) -> None:
    assert name_problem(name) is None


@pytest.mark.parametrize("name", ["", " a", "a\u202eb", "a\u200bb", "a\ud800", "a\\b", "..", "a\tb", "\u2028"])
def test_a_name_that_hides_something_is_none(name: str) -> None:
    assert name_problem(name) is not None


# anything at all

VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(max_size=12)
    | st.sampled_from(["Bright", "fp32"]),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=12,
)


def places(content: Any, way: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """Every place in a JSON document, as the keys that lead there."""
    found = [way]
    inner = content.items() if isinstance(content, dict) else enumerate(content) if isinstance(content, list) else ()
    for key, value in inner:
        found += places(value, (*way, key))
    return found


EDITS = st.lists(st.tuples(st.integers(0, 10**6), st.binary(min_size=1, max_size=4)), max_size=6)
"""Bytes that are written over a file, each at its place modulo the file's length."""

GOOD = json.loads(tiny_manifest().sealed().to_json())


def loaded_or_refused(folder: Path) -> Bundle | None:
    """A valid bundle, or None where it was refused in one line; anything else is an error of ours."""
    try:
        return load_bundle(folder)
    except BundleError as error:
        line = str(error)
    assert "\n" not in line
    return None


@settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(way=st.sampled_from(places(GOOD)), value=VALUES, seals=st.booleans())
@example(way=("made_from", "recipe"), value={"\ud800": 1}, seals=False)
@example(way=("made_from", "recipe"), value={"big": 10**5000}, seals=False)
def test_any_manifest_is_a_bundle_or_refused(make_bundle: Make, tmp_path: Path, way, value, seals) -> None:
    folder = tmp_path / "tiny" if (tmp_path / "tiny").exists() else make_bundle()
    content = json.loads(tiny_manifest().to_json())
    content["files"] = {name: hashlib.sha256(data).hexdigest() for name, data in tiny_files().items()}
    if way:
        inner = content
        for key in way[:-1]:
            inner = inner[key]
        inner[way[-1]] = value
    else:
        content = value
    try:
        written = sealed(content) if seals and isinstance(content, dict) else json.dumps(content).encode()
    except (ValueError, UnicodeError):
        return
    (folder / "manifest.json").write_bytes(written)

    bundle = loaded_or_refused(folder)

    assert bundle is None or len(bundle.id) == 64


@settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(edits=EDITS, cut=st.integers(0))
def test_any_expected_outputs_are_a_bundle_or_refused(make_bundle: Make, tmp_path: Path, edits, cut) -> None:
    folder = tmp_path / "tiny" if (tmp_path / "tiny").exists() else make_bundle()
    content = bytearray(tiny_files()[EXPECTED])
    for at, data in edits:
        at %= len(content)
        content[at : at + len(data)] = data
    hostile(folder, {EXPECTED: bytes(content[: len(content) - cut % 50])})

    bundle = loaded_or_refused(folder)

    assert bundle is None or bundle.golden.scores.shape == (2, 2)


@settings(max_examples=200, deadline=None)
@given(edits=EDITS)
def test_any_model_is_within_the_limits_or_refused(edits) -> None:
    content = bytearray(tiny_model())
    for at, data in edits:
        content[at % len(content) : at % len(content) + len(data)] = data
    try:
        check_model(bytes(content))
    except ValueError as error:
        problem = str(error)
    else:
        return
    assert "expected" in problem or "truncated" in problem
