"""A bundle with a first stage: nothing of either network is taken unchecked."""

import json
import shutil
from pathlib import Path

import pytest
from pydantic import ValidationError

from bundle import BundleError, Crop, InputSpec, load_bundle, write_bundle
from bundle.manifest import FirstStage
from tests.bundle.hostile_bundles import hostile, refusal, sealed
from tests.conftest import tiny_manifest
from tests.tiled import TILED, first_of, tiled_changes, write_staged, write_tiled

FILES = ["manifest.json", "model.onnx", "golden/frame1.png", "golden/expected.npz"]


def test_both_networks_are_read(tmp_path: Path) -> None:
    bundle = load_bundle(write_staged(tmp_path / "staged"))

    assert bundle.manifest.format == 3
    assert [stage.manifest.input for stage in bundle.stages] == [first_of(TILED), TILED]
    assert bundle.stages[0].read_model() != bundle.read_model()


def test_the_id_covers_the_first_stage_with_its_level(tmp_path: Path) -> None:
    folders = [tmp_path / name / "staged" for name in ("one", "two", "three")]
    ids = [load_bundle(write_staged(folder, level=level)).id for folder, level in zip(folders, (9, 9, 10), strict=True)]

    assert ids[0] == ids[1]
    assert ids[2] != ids[0]
    assert load_bundle(folders[0].with_name("alone")).id not in ids


@pytest.mark.parametrize("name", FILES)
def test_one_changed_byte_of_the_first_stage_is_refused(tmp_path: Path, name: str) -> None:
    path = write_staged(tmp_path / "staged") / "first" / name
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)

    assert str(path) in refusal(tmp_path / "staged")


def test_a_first_stage_that_changes_after_loading_is_not_opened(tmp_path: Path) -> None:
    bundle = load_bundle(write_staged(tmp_path / "staged"))
    bundle.stages[0].model.write_bytes(bundle.read_model())

    with pytest.raises(BundleError, match=r"first/model\.onnx: found sha256"):
        bundle.stages[0].read_model()


def test_another_bundle_in_its_place_is_refused(tmp_path: Path) -> None:
    folder = write_staged(tmp_path / "staged")
    shutil.rmtree(folder / "first")
    write_tiled(folder / "first", InputSpec(height=20, width=20, channels=1))

    assert "expected the first stage that the manifest names" in refusal(folder)


def test_another_level_is_refused(tmp_path: Path) -> None:
    folder = write_staged(tmp_path / "staged")
    content = json.loads((folder / "manifest.json").read_text())
    content["first_stage"]["level"] = 255
    (folder / "manifest.json").write_text(json.dumps(content))

    assert "changed after export" in refusal(folder)


def test_a_missing_first_stage_is_refused(tmp_path: Path) -> None:
    folder = write_staged(tmp_path / "staged")
    shutil.rmtree(folder / "first")

    assert "first/manifest.json: found no such file" in refusal(folder)


def test_a_link_in_its_place_is_refused(tmp_path: Path) -> None:
    folder = write_staged(tmp_path / "staged")
    (folder / "first").rename(tmp_path / "elsewhere")
    (folder / "first").symlink_to(tmp_path / "elsewhere")

    assert "first: found a link" in refusal(folder)


def test_a_file_that_no_manifest_lists_is_refused(tmp_path: Path) -> None:
    folder = write_staged(tmp_path / "staged")
    (folder / "first" / "weights.bin").write_bytes(b"x")

    assert "found 'weights.bin'" in refusal(folder)


def test_a_folder_of_that_name_in_another_bundle_is_refused(tmp_path: Path) -> None:
    folder = write_tiled(tmp_path / "tiled")
    write_tiled(folder / "first", first_of(TILED))

    assert "found 'first'" in refusal(folder)


def test_a_first_stage_that_has_one_itself_is_refused(tmp_path: Path) -> None:
    folder = write_staged(tmp_path / "staged")
    shutil.rmtree(folder / "first")
    shutil.copytree(write_staged(tmp_path / "other" / "staged"), folder / "first")
    inner = load_bundle(folder / "first").id

    assert "found a network with tiles" in refusal(hostile(folder, first_stage={"id": inner, "level": 9}))


def test_a_first_stage_of_another_crop_does_not_fit() -> None:
    tiled, crop = tiny_manifest(**tiled_changes(TILED)), Crop(x=1, y=1, width=54, height=70)
    small = tiny_manifest(input=first_of(TILED).model_copy(update={"crop": crop}))

    said = str(small.problem_as_first_stage(tiled))
    assert said == "found the crop x=1 y=1 width=54 height=70, expected that of the tiles: None"
    assert tiny_manifest(input=first_of(TILED)).problem_as_first_stage(tiled) is None


def test_a_first_stage_without_tiles_is_refused() -> None:
    with pytest.raises(ValidationError, match=r"found one without input\.tiles"):
        tiny_manifest(first_stage=FirstStage(id="0" * 64, level=9))


def test_a_format_that_hides_the_first_stage_is_refused(tmp_path: Path) -> None:
    folder = write_staged(tmp_path / "staged")
    content = json.loads((folder / "manifest.json").read_text())
    (folder / "manifest.json").write_bytes(sealed({**content, "format": 2}))

    assert "format: found 2, expected 3" in refusal(folder)


def test_a_bundle_is_not_written_without_the_first_stage_that_it_names(tmp_path: Path) -> None:
    bundle = load_bundle(write_staged(tmp_path / "staged"))

    with pytest.raises(BundleError, match=r"first/manifest\.json: found no such file"):
        write_bundle(tmp_path / "new", bundle.manifest, bundle.read_files())
    assert not (tmp_path / "new").exists()
