"""`edge-export evaluate` on a data set whose figures can be counted."""

import json
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest
from typer.testing import CliRunner

from bundle import load_bundle
from export.cli import app, main
from export.errors import LabelsError
from export.evaluate.batched_inference import chunks_of_parts
from export.evaluate.labelled_images import own_split, select
from tests.export.conftest import write_square
from tests.export.networks import levels_model, spec_of, write_tiny_bundle
from train.data.dataset import Sample
from train.data.readers import read_dataset
from train.data.splits import make_split, save_split, without_validation
from train.errors import DataError, SplitError


def evaluate(bundle, data, tmp_path, *options):
    """Run the command and return what it wrote, with what it printed."""
    out = tmp_path / "figures.json"
    command = ["evaluate", str(bundle), "--data", str(data), "--json", str(out), "--threads", "1", *options]
    result = CliRunner().invoke(app, command, catch_exceptions=False)
    assert result.exit_code == 0
    return json.loads(out.read_text()), result.output


def test_a_perfect_bundle_is_perfect(levels_bundle, squares, tmp_path):
    figures, _ = evaluate(levels_bundle, squares, tmp_path)
    metrics = figures["metrics"]
    assert metrics["images"] == 56
    assert metrics["good"] == 16
    assert [one["positives"] for one in metrics["classes"]] == [8] * 5
    assert [one["iou_pooled"] for one in metrics["classes"]] == [1.0] * 5
    assert metrics["escapes"]["count"] == 0
    assert metrics["false_rejects"]["count"] == 0
    assert metrics["accuracy_pairs"] == 1.0


def test_mistakes_are_counted(levels_bundle, squares, tmp_path):
    write_square(squares, 60000, labelled="Crack", drawn=None)  # an escape
    write_square(squares, 61000, labelled="Crack", drawn="Fray")  # found under another name
    write_square(squares, 62000, labelled="Free", drawn="Break")  # a false reject
    metrics = evaluate(levels_bundle, squares, tmp_path)[0]["metrics"]
    assert (metrics["escapes"]["count"], metrics["escapes"]["total"]) == (1, 42)
    assert (metrics["false_rejects"]["count"], metrics["false_rejects"]["total"]) == (1, 17)
    by_name = {one["name"]: one for one in metrics["classes"]}
    assert by_name["Crack"]["recall"] == pytest.approx(8 / 10)
    assert by_name["Break"]["precision"] == pytest.approx(8 / 9)
    assert by_name["Fray"]["precision"] == pytest.approx(8 / 9)
    assert metrics["accuracy_pairs"] == pytest.approx(1 - 4 / (59 * 5))


@pytest.mark.parametrize(("rule", "escapes"), [("worst", 1), ("mean-odds", 0)])
def test_exposures_are_judged_as_the_bundle_says(squares, tmp_path, rule, escapes):
    """Forty pictures apart in the set, so that no chunk of it holds both."""
    spec = spec_of()
    bundle = write_tiny_bundle(tmp_path / "levels", levels_model(spec), spec, exposures=rule)
    write_square(squares, 1, labelled="Crack", drawn="Crack")
    write_square(squares, 2, labelled="Crack", drawn=None)  # the same tile in another light
    metrics = evaluate(bundle, squares, tmp_path)[0]["metrics"]
    assert (metrics["escapes"]["count"], metrics["escapes"]["total"]) == (escapes, 42)
    assert metrics["parts"]["escapes"]["count"] == 0


def test_all_pictures_of_a_part_are_in_one_chunk_and_every_picture_in_one():
    parts = ["b", "a", "c"] * 40 + ["d"]
    samples = [Sample(Path(f"{at}.png"), part, (None,)) for at, part in enumerate(parts)]

    chunks = list(chunks_of_parts(samples))

    assert [{parts[at] for at in chunk} for chunk in chunks] == [{"a"}, {"b"}, {"c"}, {"d"}]
    assert sorted(at for chunk in chunks for at in chunk) == list(range(121))


def test_half_a_square_is_half_an_iou(levels_bundle, tmp_path):
    write_square(tmp_path / "half", 1000, labelled="Fray", drawn="Fray")
    mask = next(tmp_path.rglob("*.png"))
    cv2.imwrite(str(mask), cv2.copyMakeBorder(np.full((32, 16), 255, np.uint8), 16, 16, 16, 16, cv2.BORDER_CONSTANT))
    fray = evaluate(levels_bundle, tmp_path / "half", tmp_path)[0]["metrics"]["classes"][3]
    assert fray["iou_pooled"] == 0.5


def test_an_empty_mask_counts_for_the_class_but_for_no_pixel(levels_bundle, tmp_path):
    write_square(tmp_path / "half", 1000, labelled="Fray", drawn="Fray")
    cv2.imwrite(str(next(tmp_path.rglob("*.png"))), np.zeros((64, 48), np.uint8))
    fray = evaluate(levels_bundle, tmp_path / "half", tmp_path)[0]["metrics"]["classes"][3]
    assert (fray["positives"], fray["found"]) == (1, 1)
    assert fray["iou_pooled"] is None


def test_the_result_names_bundle_engine_and_part(levels_bundle, squares, tmp_path):
    figures, _ = evaluate(levels_bundle, squares, tmp_path, "--split", "by-part", "--part", "val")
    assert figures["bundle_id"] == load_bundle(levels_bundle).id
    assert figures["engine"].startswith("onnxruntime")
    assert (figures["part"], figures["split"]) == ("val", "by-part")
    assert figures["metrics"]["images"] == 7


@pytest.fixture
def trained_bundle(squares, tmp_path):
    """A bundle that was trained on the squares."""
    spec = spec_of()
    split = make_split(read_dataset(squares), "by-part", seed=3)
    model = levels_model(spec)
    return write_tiny_bundle(tmp_path / "trained", model, spec, split=split.model_dump(mode="json"))


def test_images_of_the_training_are_warned_of(trained_bundle, squares, tmp_path):
    figures, printed = evaluate(trained_bundle, squares, tmp_path)
    assert "42 of these 56 images are training images of this network" in " ".join(printed.split())
    assert figures["warning"].startswith("42 of these 56")


def test_without_a_split_the_parts_are_the_bundles_own(trained_bundle, squares, tmp_path):
    figures, printed = evaluate(trained_bundle, squares, tmp_path, "--part", "test")
    assert figures["metrics"]["images"] == 7
    assert figures["warning"] is None
    assert "warning" not in printed


def test_a_part_may_be_named_in_the_place_of_a_split(trained_bundle, squares, tmp_path):
    named, printed = evaluate(trained_bundle, squares, tmp_path, "--split", "test")
    assert named == evaluate(trained_bundle, squares, tmp_path, "--part", "test")[0]
    assert "part test" in printed


def test_the_figures_need_no_file(trained_bundle, squares):
    command = ["evaluate", str(trained_bundle), "--data", str(squares), "--split", "test", "--threads", "1"]
    assert "part test" in CliRunner().invoke(app, command, catch_exceptions=False).output


def test_a_split_file_is_used(trained_bundle, squares, tmp_path):
    bundle, dataset = load_bundle(trained_bundle), read_dataset(squares)
    split = make_split(dataset, "random", seed=9)
    save_split(split, tmp_path / "split.json")
    chosen = select(bundle, squares, str(tmp_path / "split.json"), "test")
    assert {sample.sha256 for sample in chosen.samples} == {h for h, side in split.images.items() if side == "test"}


@pytest.mark.parametrize("split", ["by-part", "no-such-file.json"])
def test_a_split_that_would_not_count_is_refused(trained_bundle, squares, split):
    with pytest.raises(
        SplitError, match=f"found {split} with part all, which takes every image.* expected --part train"
    ):
        select(load_bundle(trained_bundle), squares, split)


def test_a_random_split_does_not_fit_exposures_that_are_judged_together(trained_bundle, squares):
    bundle = load_bundle(trained_bundle)
    together = replace(bundle, manifest=bundle.manifest.model_copy(update={"exposures": "mean-odds"}))
    with pytest.raises(SplitError, match=r'a random one with thresholds\.exposures = "mean-odds", expected by-part'):
        select(together, squares, "random", "test")
    assert select(together, squares, part="test").samples


def test_a_validation_part_that_was_learnt_is_said(trained_bundle, squares):
    bundle = load_bundle(trained_bundle)
    split = without_validation(own_split(bundle))
    origin = bundle.manifest.made_from.model_copy(update={"split": split.model_dump(mode="json")})
    learnt = replace(bundle, manifest=bundle.manifest.model_copy(update={"made_from": origin}))
    with pytest.raises(LabelsError, match=r"in part val \(this network learnt its validation part as well\), expected"):
        select(learnt, squares, part="val")


def test_images_that_the_split_does_not_know_are_refused(levels_bundle, squares):
    with pytest.raises(SplitError, match="56 of 56 images that it does not name"):
        select(load_bundle(levels_bundle), squares, part="test")


def test_other_classes_are_refused(squares, tmp_path):
    spec = spec_of()
    model = levels_model(spec, ("dent", "scratch"))
    folder = write_tiny_bundle(tmp_path / "other", model, spec, classes=("dent", "scratch"))
    with pytest.raises(LabelsError, match="expected the bundle's dent, scratch"):
        select(load_bundle(folder), squares)


def cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-40])


def remove(path: Path) -> None:
    path.unlink()


def enlarge(path: Path) -> None:
    cv2.imwrite(str(path), cv2.resize(cv2.imread(str(path), 0), None, fx=2, fy=2))


@pytest.mark.parametrize(
    ("what", "damage", "said"),
    [
        ("MT_Crack/Imgs/*.jpg", cut, r"exp1_num_\d+\.jpg"),
        ("MT_Crack/Imgs/*.png", cut, r"exp1_num_\d+\.png"),
        ("MT_Crack/Imgs/*.png", remove, "no mask beside it"),
        ("MT_Crack/Imgs/*.png", enlarge, "found a mask of 96x128, expected 48x64"),
    ],
)
def test_a_damaged_image_ends_it(levels_bundle, squares, what, damage, said):
    from export.evaluate.evaluate import evaluate as run_evaluation

    damage(next(iter(squares.glob(what))))
    bundle = load_bundle(levels_bundle)
    with pytest.raises(DataError, match=said):
        run_evaluation(bundle, select(bundle, squares), threads=1)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["evaluate", "{bundle}", "--data", "{tmp}/nothing", "--json", "{tmp}/f.json"], "no such folder"),
        (["evaluate", "{tmp}/nothing", "--data", "{data}", "--json", "{tmp}/f.json"], "no such file"),
        (["evaluate", "{bundle}", "--data", "{data}", "--json", "{bundle}/model.onnx/f.json"], "model.onnx"),
        (["evaluate", "{bundle}", "--data", "{data}", "--json", "{tmp}/f.json", "--split", "{tmp}/s", "--part", "val"],
         "name a split file"),
    ],
)  # fmt: skip
def test_what_goes_wrong_is_one_line(levels_bundle, squares, tmp_path, arguments, said):
    places = {"bundle": levels_bundle, "data": squares, "tmp": tmp_path}
    with pytest.raises(SystemExit) as stop:
        main([argument.format(**places) for argument in arguments])
    assert isinstance(stop.value.code, str)  # Python prints it on standard error and exits with 1
    assert said in stop.value.code
    assert len(stop.value.code.splitlines()) == 1


def test_the_figures_are_printed_before_a_file_that_cannot_be_written(levels_bundle, squares, capsys):
    with pytest.raises(SystemExit):
        main(["evaluate", str(levels_bundle), "--data", str(squares), "--json", f"{levels_bundle}/model.onnx/f.json"])
    assert "mean of classes" in capsys.readouterr().out


def test_an_unknown_class_folder_is_refused(levels_bundle, squares):
    (squares / "MT_Rust" / "Imgs").mkdir(parents=True)
    with pytest.raises(DataError, match="unknown class folder"):
        select(load_bundle(levels_bundle), squares)
