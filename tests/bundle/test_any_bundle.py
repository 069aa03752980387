"""Property tests: any damaged bundle is a bundle or refused."""

import hashlib
import json
from pathlib import Path
from typing import Any

from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from bundle import Bundle, BundleError, load_bundle
from bundle.golden import EXPECTED
from bundle.onnx_limits import check_model
from tests.bundle.hostile_bundles import Make, hostile, sealed
from tests.conftest import tiny_files, tiny_manifest, tiny_model

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
