"""Checkpoints and files of weights by a stranger: each is refused in one line, within limits of memory and time."""

import io
import os
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from bundle import Threshold
from train.data.splits import Split
from train.errors import CheckpointError, TrainError
from train.models.build import make_network
from train.models.checkpoint import Checkpoint, Meta, build_network, load_checkpoint, save_checkpoint
from train.models.pretrained import read_tensors

Change = Callable[[dict[str, Any]], object]


@pytest.fixture
def good(quick_recipe, tmp_path: Path) -> Path:
    """A checkpoint as `train` writes it."""
    recipe = quick_recipe()
    meta = Meta(
        recipe=recipe,
        classes=("a", "b"),
        split=Split(kind="random", seed=0, images={}),
        thresholds={"a": Threshold(), "b": Threshold(score=0.25)},
        epoch=1,
    )
    path = tmp_path / "good.pt"
    save_checkpoint(Checkpoint(meta, make_network(recipe.network, 1, 2).state_dict()), path)
    return path


class Call:
    """Pickled as a call of a function that a stranger chooses."""

    def __reduce__(self) -> tuple[Any, ...]:
        return os.system, ("exit 1",)


def refusal(path: Path) -> str:
    with pytest.raises(CheckpointError) as caught:
        load_checkpoint(path)
    line = str(caught.value)
    assert "\n" not in line
    assert line.startswith(f"{path}: ")
    return line


def rewritten(path: Path, member: str, content: bytes, compression: int = zipfile.ZIP_STORED) -> None:
    """Replace the content of the members whose names end so."""
    with zipfile.ZipFile(path) as archive:
        members = {each.filename: archive.read(each) for each in archive.infolist()}
    with zipfile.ZipFile(path, "w", compression) as archive:
        for name, old in members.items():
            archive.writestr(name, content if name.endswith(member) else old)


@pytest.mark.parametrize("read", [load_checkpoint, read_tensors])
def test_a_pickle_that_calls_is_refused_without_torchs_advice(good: Path, read) -> None:
    torch.save({"mark": Call()}, good)

    with pytest.raises(TrainError, match=r"found a call of posix.system, expected tensors") as caught:
        read(good)

    assert "weights_only" not in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("read", [load_checkpoint, read_tensors])
def test_a_compressed_member_is_refused_before_it_is_unpacked(good: Path, read) -> None:
    rewritten(good, "data.pkl", bytes(2**26), zipfile.ZIP_DEFLATED)

    with pytest.raises(TrainError, match=r"found \d+ members of .* not compressed"):
        read(good)


def test_a_small_compressed_member_is_refused(good: Path) -> None:
    with zipfile.ZipFile(good) as archive:
        pickled = next(archive.read(each) for each in archive.infolist() if each.filename.endswith("data.pkl"))
    with zipfile.ZipFile(good, "a") as archive:
        archive.writestr("good/extra", os.urandom(64), zipfile.ZIP_DEFLATED)

    assert pickled
    assert "compressed" in refusal(good)


def test_members_that_lie_in_each_other_are_refused(good: Path) -> None:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr("good/data.pkl", bytes(4096))
    content = bytearray(buffer.getvalue())
    start = content.index(b"PK\x01\x02")
    end = content.index(b"PK\x05\x06")
    entry = bytes(content[start:end])
    count = 64
    tail = bytearray(content[end:])
    tail[8:12] = count.to_bytes(2, "little") * 2
    tail[12:16] = (count * len(entry)).to_bytes(4, "little")
    good.write_bytes(bytes(content[:start]) + entry * count + bytes(tail))

    refusal(good)


@pytest.mark.parametrize("make", [os.mkfifo, os.mkdir], ids=["pipe", "folder"])
@pytest.mark.parametrize("read", [load_checkpoint, read_tensors])
def test_what_is_no_regular_file_is_refused_at_once(tmp_path: Path, make, read) -> None:
    make(tmp_path / "a.pt")

    with pytest.raises(TrainError, match=r"a\.pt: (cannot be read|found a folder)"):
        read(tmp_path / "a.pt")


def test_a_device_is_refused() -> None:
    assert "found a pipe, device or folder" in refusal(Path("/dev/zero"))


def test_a_file_beyond_the_limit_is_refused_unread(good: Path) -> None:
    os.truncate(good, 2**33)  # a hole

    assert "found 8589934592 bytes" in refusal(good)


PICKLES = {
    "none": b"\x80\x02N.",
    "nothing": b"",
    "no pickle": b"\xff\xfe",
    "wrong arguments": b"\x80\x02ctorch._utils\n_rebuild_tensor_v2\nK\x05K\x05K\x05\x87R.",
    "no tensor": b"\x80\x02ctorch._utils\n_rebuild_parameter\nK\x05K\x05K\x05\x87R.",
    "no iterable": b"\x80\x02ccollections\nOrderedDict\nK\x05\x85R.",
    "unknown codec": b"\x80\x02c_codecs\nencode\nX\x01\x00\x00\x00aX\x05\x00\x00\x00bogusq\x00\x86R.",
    "odd storage": b"\x80\x02K\x05Q.",
    "no unicode": b"\x80\x02X\x02\x00\x00\x00\xff\xff.",
    "unhashable": b"\x80\x02}]K\x01s.",
    "deep": b"\x80\x02" + b"]" * 200_000 + b"a" * 199_999 + b".",
    "bytearray of a terabyte": b"\x80\x02cbuiltins\nbytearray\n\x8a\x06\x00\x00\x00\x00\x00\x01\x85R.",
    "tensor of an exabyte": b"\x80\x02ctorch\nTensor\n\x8a\x08\x00\x00\x00\x00\x00\x00\x00\x10\x85R.",
}


@pytest.mark.parametrize("pickled", PICKLES.values(), ids=PICKLES.keys())
def test_an_odd_pickle_is_refused(good: Path, pickled: bytes) -> None:
    rewritten(good, "data.pkl", pickled)

    assert "weights_only" not in refusal(good)


def altered(path: Path, change: Change) -> None:
    content = torch.load(path, weights_only=True)
    change(content)
    torch.save(content, path)


def row(**changed: object) -> dict[str, object]:
    return {"loss": 1.0, "images": 1, "seconds": 1.0, "val_losses": [1.0], "measures": {"x": 1.0}} | changed


@pytest.mark.parametrize("key", ["mark", "format", "meta", "weights"])
def test_a_missing_field_is_refused(good: Path, key: str) -> None:
    altered(good, lambda content: content.pop(key))

    refusal(good)


@pytest.mark.parametrize(
    "fields",
    [
        {"format": [1]},
        {"format": "x" * 10_000},
        {"meta": 5},
        {"meta": "[" * 100_000},
        {"meta": "\ud800"},
        {"weights": None},
        {"weights": {5: torch.zeros(1)}},
        {"weights": {"a": 5}},
        {"weights": {"a": torch.zeros(1).expand(10**12)}},
        {"weights": {"a": torch.sparse_coo_tensor(size=(10**9, 10**9), check_invariants=True)}},
        {"weights": {"a": torch.empty(10**12, device="meta")}},
        {"training": 5},
        {"training": {}},
        {"training": {"trainer": {}, "history": 5}},
        {"training": {"trainer": {}, "history": [{}]}},
        {"training": {"trainer": {}, "history": [row(measures=None)]}},
        {"training": {"trainer": {}, "history": [row(loss="x")]}},
        {"training": {"trainer": [], "history": [row()]}},
    ],
    ids=lambda fields: str(fields)[:60],
)
def test_an_odd_field_is_refused(good: Path, fields: dict[str, object]) -> None:
    altered(good, lambda content: content.update(fields))

    assert len(refusal(good)) < 500


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ('"classes":["a","b"]', '"classes":["a","a"]'),
        ('"classes":["a","b"]', '"classes":["b","a"]'),
        ('"classes":["a","b"]', '"classes":[]'),
        ('"classes":["a","b"]', '"classes":["../../x","b"]'),
        ('"epoch":1', '"epoch":-1'),
        ('"epoch":1', '"epoch":NaN'),
        ('"width":', '"width":9999999'),
        ('"images":{}', '"images":{"x":"y"}'),
    ],
)
def test_odd_metadata_is_refused(good: Path, old: str, new: str) -> None:
    def change(content: dict[str, Any]) -> None:
        assert old in content["meta"]
        content["meta"] = content["meta"].replace(old, new)

    altered(good, change)

    refusal(good)


@pytest.mark.parametrize("file", ["pickle", "member", "whole"])
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(edits=st.lists(st.tuples(st.integers(0, 10**6), st.binary(min_size=1, max_size=4)), max_size=6))
def test_any_file_is_a_checkpoint_or_refused(good: Path, tmp_path: Path, file: str, edits) -> None:
    path = tmp_path / "edited.pt"
    path.write_bytes(good.read_bytes())
    with zipfile.ZipFile(path) as archive:
        name = "data.pkl" if file == "pickle" else "data/0"
        content = next(archive.read(each) for each in archive.infolist() if each.filename.endswith(name))
    changed = bytearray(content if file != "whole" else path.read_bytes())
    for at, data in edits:
        at %= len(changed)
        changed[at : at + len(data)] = data
    if file == "whole":
        path.write_bytes(changed)
    else:
        rewritten(path, name, bytes(changed))
    try:
        build_network(load_checkpoint(path))
    except CheckpointError as error:
        line = str(error)
    else:
        return
    assert "\n" not in line
    assert "weights_only" not in line
