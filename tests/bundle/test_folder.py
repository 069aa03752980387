import json
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from bundle import BundleDamaged, BundleError, BundleFormat, GoldenMismatch, Threshold, load_bundle, write_bundle
from tests.conftest import tiny_files, tiny_manifest, tiny_outputs

Make = Callable[..., Path]


def edit_manifest(folder: Path, **changes: object) -> None:
    """Change the manifest by hand, as one should not."""
    path = folder / "manifest.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), **changes}))


def test_what_is_written_is_read(make_bundle: Make) -> None:
    bundle = load_bundle(make_bundle())

    assert bundle.manifest.classes == ("Bright", "Dark")
    assert len(bundle.id) == 64
    assert len(bundle.golden.frames) == 2


def test_another_threshold_is_another_bundle(make_bundle: Make) -> None:
    thresholds = {name: Threshold(score=0.8, level=200, min_area_px=8) for name in ("Bright", "Dark")}

    assert load_bundle(make_bundle("a")).id == load_bundle(make_bundle("b")).id
    assert load_bundle(make_bundle("c", thresholds=thresholds)).id != load_bundle(make_bundle("d")).id


@pytest.mark.parametrize("name", ["manifest.json", "model.onnx", "golden/frame0.png", "golden/expected.npz"])
def test_one_changed_byte_anywhere_is_refused(make_bundle: Make, name: str) -> None:
    folder = make_bundle()
    path = folder / name
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)

    with pytest.raises(BundleError) as refusal:
        load_bundle(folder)
    assert str(path) in str(refusal.value)
    assert "\n" not in str(refusal.value)


@pytest.mark.parametrize("name", ["manifest.json", "model.onnx", "golden/frame1.png"])
def test_a_missing_file_is_refused(make_bundle: Make, name: str) -> None:
    folder = make_bundle()
    (folder / name).unlink()

    with pytest.raises(BundleDamaged, match=name):
        load_bundle(folder)


def test_a_truncated_model_is_refused(make_bundle: Make) -> None:
    folder = make_bundle()
    model = folder / "model.onnx"
    model.write_bytes(model.read_bytes()[:-10])

    with pytest.raises(BundleDamaged, match="copy the bundle again"):
        load_bundle(folder)


def test_a_newer_format_asks_for_an_update(make_bundle: Make) -> None:
    folder = make_bundle()
    edit_manifest(folder, format=5)

    with pytest.raises(BundleFormat, match="found 5, expected 1, 2 with tiles, 3 with a first stage or 4 with exp"):
        load_bundle(folder)


def test_an_unknown_key_is_refused(make_bundle: Make) -> None:
    folder = make_bundle()
    edit_manifest(folder, colour="grey")

    with pytest.raises(BundleFormat, match="colour: unknown key"):
        load_bundle(folder)


def test_an_edited_threshold_is_refused(make_bundle: Make) -> None:
    folder = make_bundle()
    thresholds = json.loads((folder / "manifest.json").read_text())["thresholds"]
    thresholds["Dark"]["score"] = 0.1
    edit_manifest(folder, thresholds=thresholds)

    with pytest.raises(BundleDamaged, match="changed after export"):
        load_bundle(folder)


def test_an_existing_bundle_is_never_overwritten(make_bundle: Make) -> None:
    folder = make_bundle()

    with pytest.raises(BundleError, match="exists already"):
        write_bundle(folder, tiny_manifest(), tiny_files())


def test_a_bundle_appears_whole_or_not_at_all(tmp_path: Path) -> None:
    impossible = {"golden": b"a file where a folder must be", **tiny_files()}

    with pytest.raises(BundleError, match="cannot be written"):
        write_bundle(tmp_path / "new", tiny_manifest(), impossible)
    assert list(tmp_path.iterdir()) == []


def test_a_path_out_of_the_bundle_is_refused(make_bundle: Make, tmp_path: Path) -> None:
    (tmp_path / "secret").write_bytes(b"x")

    with pytest.raises(BundleDamaged, match="within the bundle"):
        load_bundle(_with_file_entry(make_bundle(), "../secret"))


def _with_file_entry(folder: Path, name: str) -> Path:
    bundle = load_bundle(folder)
    manifest = bundle.manifest.model_copy(update={"files": {**bundle.manifest.files, name: "0" * 64}}).sealed()
    (folder / "manifest.json").write_text(manifest.to_json())
    return folder


def test_the_right_outputs_pass_the_golden_check(make_bundle: Make) -> None:
    load_bundle(make_bundle()).check(tiny_outputs)


def test_other_outputs_fail_the_golden_check(make_bundle: Make) -> None:
    def shifted(inputs: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        scores, masks = tiny_outputs(inputs)
        return scores, masks - np.uint8(2)  # one more than the tolerance

    with pytest.raises(GoldenMismatch, match="2 in a mask"):
        load_bundle(make_bundle()).check(shifted)


def test_outputs_that_are_no_numbers_fail_the_golden_check(make_bundle: Make) -> None:
    def nan(inputs: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        scores, masks = tiny_outputs(inputs)
        return scores * np.nan, masks

    with pytest.raises(GoldenMismatch, match="nan"):
        load_bundle(make_bundle()).check(nan)


def test_a_moved_bundle_is_the_same_bundle(make_bundle: Make, tmp_path: Path) -> None:
    folder = make_bundle()
    before = load_bundle(folder).id
    shutil.move(folder, tmp_path / "elsewhere")

    assert load_bundle(tmp_path / "elsewhere").id == before


def test_a_file_in_the_place_of_a_bundle_is_named_as_a_file(tmp_path: Path) -> None:
    (tmp_path / "best.pt").write_bytes(b"checkpoint")
    with pytest.raises(BundleDamaged, match=r"best.pt: found a file, expected the folder of a bundle"):
        load_bundle(tmp_path / "best.pt")
