import io
import re
from pathlib import Path

import cv2
import numpy as np
import pytest
from rich.console import Console

from tests.train.loop.test_run import make_run
from train.cli.dry_run import dry_run
from train.data.readers import read_dataset
from train.device import choose_compute
from train.errors import DataError
from train.evaluate.predict import evaluate_checkpoint
from train.loop.progress import EpochProgress
from train.loop.run import Run
from train.models.checkpoint import load_checkpoint
from train.recipe import Recipe
from train.report.run_report import write_report


@pytest.fixture(scope="module")
def finished(tiles: Path, tmp_path_factory: pytest.TempPathFactory) -> Run:
    """Finish a short run with crops."""
    content = {
        "name": "quick",
        "input": {"height": 48, "width": 32, "channels": 1},
        "network": {"width": 4, "pooling": 4},
        "crops": {"images": 8, "every": 1},
        "run": {"epochs": 2, "batch": 8, "precision": "float32"},
    }
    run = make_run(tiles, Recipe.model_validate(content), tmp_path_factory.mktemp("run"))
    run.train()
    run.test()
    return run


def test_report_needs_nothing_else(finished: Run) -> None:
    report = (finished.out / "report.html").read_text()
    assert "src='http" not in report
    assert "<link" not in report
    assert report.count("data:image/png;base64,") >= 3 + 6 + 4


@pytest.mark.parametrize(
    "said",
    [
        "CAN, 500 images",
        "mean of classes",
        "good parts with the largest scores",
        "schedule",
        "exp1_num_",
        "unsure_margin",
        "by part",
    ],
)
def test_report_says(finished: Run, said: str) -> None:
    assert said in (finished.out / "report.html").read_text()


def test_no_example_is_shown_twice(finished: Run) -> None:
    shown = re.findall(r"<figcaption>(exp\d_num_\d+\.jpg)", (finished.out / "report.html").read_text())
    assert shown
    assert sorted(shown) == sorted(set(shown))


def test_a_report_of_own_classes_does_not_speak_of_the_paper(finished: Run) -> None:
    stored = load_checkpoint(finished.best)
    found = finished.evaluate_part(stored, "test")
    assert "Columns of the paper" in write_report(stored.meta, finished.history.rows, found)
    names = dict(zip(stored.meta.classes, "abcde", strict=True))
    limits = {names[name]: limit for name, limit in stored.meta.thresholds.items()}
    own = stored.meta.model_copy(update={"classes": tuple("abcde"), "thresholds": limits})
    assert "paper" not in write_report(own, finished.history.rows, found)


def test_the_curve_of_thresholds_is_drawn(finished: Run) -> None:
    assert "share of parts over the shift of the thresholds" in (finished.out / "report.html").read_text()


def test_crop_probabilities_are_logged(finished: Run) -> None:
    first, second = finished.history.rows
    assert first["crop_probabilities"] is None
    losses = first["val_losses"]
    assert second["crop_probabilities"] == pytest.approx([loss / sum(losses) for loss in losses])


def test_tensorboard_gets_its_curves(tiles: Path, tmp_path: Path, quick_recipe) -> None:
    pytest.importorskip("tensorboard", reason="tensorboard is not installed: pip install tensorboard")
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    run = make_run(tiles, quick_recipe(), tmp_path)
    run.train(tensorboard=True)
    events = EventAccumulator(str(tmp_path / "tensorboard")).Reload()
    curves = {name: [event.value for event in events.Scalars(name)] for name in events.Tags()["scalars"]}
    rows = run.history.rows

    assert curves["learning_rate"] == pytest.approx([row["learning_rate"] for row in rows])
    assert curves["val/mean_iou_positives"] == pytest.approx([row["measures"]["mean_iou_positives"] for row in rows])
    for place, name in enumerate(run.dataset.classes):
        expected = [row["classes"][place]["average_precision"] for row in rows]
        assert curves[f"val_average_precision/{name}"] == pytest.approx(expected)
    shown = events.Tags()["images"]
    assert {tag.split("/")[1].rsplit(" ", 1)[0] for tag in shown} >= {*run.dataset.classes, "good"}
    for tag in shown:
        pictures = events.Images(tag)
        assert [picture.step for picture in pictures] == list(range(len(rows)))
        assert (pictures[0].height, pictures[0].width) == (48, 32)
    defect = next(tag for tag in shown if run.dataset.classes[0] in tag)
    picture = cv2.imdecode(np.frombuffer(events.Images(defect)[0].encoded_image_string, np.uint8), cv2.IMREAD_COLOR)
    assert (picture == (0, 170, 0)).all(axis=2).any()  # the true outline


def test_evaluation_gives_the_measures_of_the_run(finished: Run, tiles: Path) -> None:
    stored = load_checkpoint(finished.best)
    compute = choose_compute("cpu", "float32")
    judged, warning = evaluate_checkpoint(stored, read_dataset(tiles), stored.meta.split, "test", compute)
    assert judged.metrics().model_dump(mode="json") == stored.meta.metrics["test"]
    assert warning == ""


def test_evaluation_warns_of_images_it_was_trained_on(finished: Run, tiles: Path) -> None:
    stored = load_checkpoint(finished.best)
    judged, warning = evaluate_checkpoint(stored, read_dataset(tiles), None, "all", choose_compute("cpu", "float32"))
    assert len(judged.images) == 80
    assert "of 80 images trained it" in warning


def test_evaluation_of_other_classes_is_refused(finished: Run, tiles: Path) -> None:
    stored = load_checkpoint(finished.best)
    meta = stored.meta.model_copy(update={"classes": ("pit",)})
    other = type(stored)(meta, stored.weights)
    with pytest.raises(DataError, match=r"found the classes Blowhole, .*expected those of the checkpoint, pit"):
        evaluate_checkpoint(other, read_dataset(tiles), None, "all", choose_compute("cpu", "float32"))


def test_dry_run_of_tiles_counts_them(tiles: Path, tmp_path: Path, quick_recipe) -> None:
    spec = {"height": 48, "width": 32, "channels": 1, "tiles": {"height": 32, "width": 16, "overlap": 8}}
    run = make_run(
        tiles, quick_recipe(input=spec, tile_draws={"per_picture": 4}, crops={"images": 8}), tmp_path / "dry"
    )
    lines = "\n".join(dry_run(run))
    assert "one step of 8 images" in lines
    assert f"one epoch of {4 * len(run.samples['train']) + 8} images" in lines


def test_dry_run_names_time_and_memory(tiles: Path, tmp_path: Path, quick_recipe) -> None:
    run = make_run(tiles, quick_recipe(crops={"images": 8}), tmp_path / "dry")
    lines = "\n".join(dry_run(run))
    for said in ("weights", "images/s", "guided crops: 0.", "3 epochs:", "memory: data"):
        assert said in lines
    assert not (tmp_path / "dry").exists()


def test_run_stops_early_without_a_better_epoch(tiles: Path, tmp_path: Path, quick_recipe) -> None:
    settings = {"epochs": 30, "batch": 8, "precision": "float32", "patience": 2, "best": "mean_recall"}
    run = make_run(tiles, quick_recipe(run=settings, optimiser={"learning_rate": 1e-9}), tmp_path)
    run.history.rows = [{"measures": {"mean_recall": value}} for value in (0.1, 0.5, 0.2, 0.3)]
    assert not run.history.finished()
    run.history.rows.append({"measures": {"mean_recall": 0.4}})
    assert run.history.finished()


def test_progress_says_speed_and_time_left() -> None:
    now = iter([0.0, 0.0, 4.0, 4.0, 10.0, 10.0])
    told = io.StringIO()
    with EpochProgress(4, 1, Console(file=told, width=200), clock=lambda: next(now)) as progress:
        progress.start(1, images=20)
        progress.step(10, loss=0.5)
        progress.end("loss 0.5")
    assert "epoch 2/4: loss 0.5 (10 s, 0:00:20 left)" in told.getvalue()
