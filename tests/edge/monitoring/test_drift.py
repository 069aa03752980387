"""Drift monitor: a changed signal raises an alarm with its name, an unchanged one does not."""

import logging
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest

from bundle import Image, Manifest, Verdict
from edge.alarms import Alarms, Area
from edge.config.schema import DriftSettings
from edge.monitoring.drift import Drift
from edge.monitoring.drift_baseline import Baseline, baseline_path
from edge.monitoring.drift_signals import brightness, sharpness
from edge.part import Part
from tests.conftest import tiny_manifest
from tests.edge.part_doubles import judged

MANIFEST = tiny_manifest().sealed()
SETTINGS = DriftSettings(baseline_parts=200, span_parts=50)
SIZE = (32, 32)

Look = Callable[[Image], Image]


def unchanged(frame: Image) -> Image:
    return frame


def brighter(frame: Image) -> Image:
    return np.asarray(np.clip(frame.astype(np.int16) + 25, 0, 255), np.uint8)


def blurred(frame: Image) -> Image:
    return np.asarray(cv2.GaussianBlur(frame, (0, 0), 1.0), np.uint8)


class Production:
    """Parts that differ a little from each other, some of them rejected."""

    def __init__(self, drift: Drift, seed: int = 1) -> None:
        self.drift, self._random, self._number = drift, np.random.default_rng(seed), 0

    def run(self, parts: int, look: Look = unchanged, rejects: float = 0.02, bright_spots: float = 0.0) -> None:
        """Feed parts of this look; a share of them has a spot that the tiny model finds bright."""
        for _ in range(parts):
            self._number += 1
            level = self._random.normal(110, 2)
            frame = np.clip(self._random.normal(level, 12, SIZE), 0, 255).astype(np.uint8)
            if self._random.random() < bright_spots:
                frame[0] = 255
            verdict = Verdict.NG if self._random.random() < rejects else Verdict.OK
            self.drift.add(judged(self._number, verdict, [look(frame)], MANIFEST))


@pytest.fixture
def drift(tmp_path: Path) -> Drift:
    return Drift(SETTINGS, tmp_path / "records.sqlite", lambda: MANIFEST)


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_parts_like_the_first_ones_are_no_alarm(drift: Drift, seed: int, caplog: pytest.LogCaptureFixture) -> None:
    Production(drift, seed).run(1000)

    assert drift.alarms == {}
    assert [record.message for record in caplog.records if record.levelno > logging.INFO] == []


@pytest.mark.parametrize(
    ("change", "name", "words"),
    [
        ({"look": brighter}, "brightness camera0", "check lamp"),
        ({"look": blurred}, "sharpness camera0", "check focus"),
        ({"rejects": 0.4}, "rejects", "rejected parts"),
        ({"bright_spots": 0.9}, "score Bright", "of the parts below"),
    ],
)
def test_what_has_changed_is_named_once(
    drift: Drift, change: dict[str, object], name: str, words: str, caplog: pytest.LogCaptureFixture
) -> None:
    production = Production(drift)
    production.run(400)
    production.run(300, **change)  # type: ignore[arg-type]

    assert name in drift.alarms
    said = [record.getMessage() for record in caplog.records if record.getMessage().startswith(f"alarm: drift {name}")]
    assert len(said) == 1
    for part in ("found", "expected", words):
        assert part in said[0]


def test_the_alarm_says_what_was_found_and_expected(drift: Drift) -> None:
    for number in range(700):
        frame = np.full(SIZE, 110 if number < 200 else 135, np.uint8)
        drift.add(judged(number, Verdict.OK, [frame], MANIFEST))

    assert drift.alarms["brightness camera0"] == "found 135, expected 110 (102 to 118); check lamp, exposure and lens"


def test_an_alarm_ends_when_things_are_as_before(drift: Drift, caplog: pytest.LogCaptureFixture) -> None:
    production = Production(drift)
    production.run(200)
    production.run(300, brighter)
    production.run(300)

    assert drift.alarms == {}
    assert "alarm cleared: drift brightness camera0" in [record.getMessage() for record in caplog.records]


def test_the_baseline_outlives_the_station(drift: Drift, tmp_path: Path) -> None:
    Production(drift).run(200)
    later = Drift(SETTINGS, tmp_path / "records.sqlite", lambda: MANIFEST)
    Production(later, seed=2).run(150, brighter)

    assert "brightness camera0" in later.alarms


def test_the_baseline_is_on_disk_with_what_was_seen(drift: Drift, tmp_path: Path) -> None:
    Production(drift).run(200, rejects=0.1)

    found = Baseline.model_validate_json(baseline_path(tmp_path / "records.sqlite", MANIFEST.id).read_bytes())
    assert (found.bundle_id, found.parts) == (MANIFEST.id, 200)
    assert found.values["brightness camera0"].mean == pytest.approx(110, abs=1)  # of 200 parts, sigma 2
    assert found.values["brightness camera0"].deviation == pytest.approx(2, rel=0.2)  # 3 / sqrt(2 * 200) is 0.15
    assert found.values["rejects"].mean == pytest.approx(0.1, abs=0.06)  # 3 sigma of 200 parts
    assert found.scores["Bright"].below == tuple(sorted(found.scores["Bright"].below))


@pytest.mark.parametrize("content", ["{", '{"bundle_id": "", "parts": 3}'])
def test_a_damaged_baseline_is_said_and_learned_again(
    drift: Drift, tmp_path: Path, content: str, caplog: pytest.LogCaptureFixture
) -> None:
    path = baseline_path(tmp_path / "records.sqlite", MANIFEST.id)
    path.write_text(content)
    Production(drift).run(200)

    assert str(path) in caplog.text
    assert Baseline.model_validate_json(path.read_bytes()).parts == 200


def test_a_disk_that_refuses_the_baseline_does_not_stop_the_watch(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "a-file").touch()
    drift = Drift(SETTINGS, tmp_path / "a-file" / "records.sqlite", lambda: MANIFEST)
    production = Production(drift)
    production.run(200)
    production.run(100, brighter)

    assert "cannot be written" in caplog.text
    assert "brightness camera0" in drift.alarms


def test_another_camera_needs_another_baseline(drift: Drift, tmp_path: Path) -> None:
    Production(drift).run(200)
    later = Drift(SETTINGS, tmp_path / "records.sqlite", lambda: MANIFEST)
    frame = np.full(SIZE, 110, np.uint8)
    for number in range(200):
        later.add(judged(number, Verdict.OK, [frame, frame], MANIFEST))

    found = Baseline.model_validate_json(baseline_path(tmp_path / "records.sqlite", MANIFEST.id).read_bytes())
    assert "brightness camera1" in found.values


def test_each_bundle_has_its_own_baseline(tmp_path: Path) -> None:
    other = tiny_manifest(name="other").sealed()
    used = [MANIFEST]
    drift = Drift(SETTINGS, tmp_path / "records.sqlite", lambda: used[0])
    Production(drift).run(200)
    used[0] = other
    Production(drift).run(10)  # still judged by the bundle before
    for number in range(200):
        drift.add(judged(number, Verdict.OK, [np.full(SIZE, 200, np.uint8)], other))

    found = Baseline.model_validate_json(baseline_path(tmp_path / "records.sqlite", other.id).read_bytes())
    assert drift.alarms == {}
    assert len(list(tmp_path.glob("records.baseline-*.json"))) == 2
    assert found.values["brightness camera0"].mean == 200  # none of the ten parts of 110


def test_what_says_nothing_about_the_part_says_nothing_about_drift(drift: Drift, tmp_path: Path) -> None:
    for number, verdict in enumerate((Verdict.TIMEOUT, Verdict.FAULT) * 200):
        drift.add(judged(number, verdict, [None], MANIFEST))

    assert list(tmp_path.iterdir()) == []


def test_signals_of_grey_and_colour_frames_agree() -> None:
    grey = np.random.default_rng(1).integers(0, 256, (300, 400), dtype=np.uint8)
    colour = np.dstack([grey] * 3)

    assert brightness(colour) == pytest.approx(brightness(grey))
    assert sharpness(colour) == sharpness(grey)


def test_sharpness_is_the_variance_of_the_laplacian() -> None:
    grey = np.random.default_rng(1).integers(0, 256, (100, 120), dtype=np.uint8)

    expected = np.log1p(cv2.Laplacian(grey, cv2.CV_64F).var())

    assert sharpness(grey) == pytest.approx(expected, abs=1e-9)  # the same sum in another order


def test_the_station_s_alarms_have_it_until_it_is_over(tmp_path: Path) -> None:
    alarms = Alarms()
    drift = Drift(SETTINGS, tmp_path / "records.sqlite", lambda: MANIFEST, alarms)
    line = Production(drift)
    line.run(400)
    line.run(100, brighter)
    raised = alarms.active
    line.run(400)

    assert ("drift brightness camera0", Area.DRIFT) in [(alarm.name, alarm.area) for alarm in raised]
    assert alarms.active == ()


TRAINED = MANIFEST.model_copy(
    update={"made_from": MANIFEST.made_from.model_copy(update={"metrics": {"train": {"brightness": [90.0, 120.0]}}})}
).sealed()


def level_part(number: int, level: int, manifest: Manifest = TRAINED) -> Part:
    return judged(number, Verdict.OK, [np.full(SIZE, level, np.uint8)], manifest)


@pytest.mark.parametrize(("level", "named"), [(7, True), (59, True), (61, False), (149, False), (151, True)])
def test_a_single_picture_unlike_the_training_pictures_is_said(tmp_path: Path, level: int, named: bool) -> None:
    alarms = Alarms()
    drift = Drift(SETTINGS, tmp_path / "records.sqlite", lambda: TRAINED, alarms)
    drift.add(level_part(1, level))

    assert ("levels camera0" in drift.alarms) == named
    assert [alarm.area for alarm in alarms.active] == [Area.DRIFT] * named


def test_levels_of_another_bit_depth_say_what_to_check(tmp_path: Path) -> None:
    drift = Drift(SETTINGS, tmp_path / "records.sqlite", lambda: TRAINED)
    drift.add(level_part(1, 110 * 16 // 256))

    assert drift.alarms["levels camera0"] == (
        "found a picture of brightness 6, expected 60 to 150 as in the bundle's training; check exposure and bit "
        "depth of the camera, or train with such pictures"
    )


def test_a_picture_like_the_training_pictures_ends_the_alarm(tmp_path: Path) -> None:
    drift = Drift(SETTINGS, tmp_path / "records.sqlite", lambda: TRAINED)
    drift.add(level_part(1, 7))
    drift.add(level_part(2, 100))

    assert drift.alarms == {}


@pytest.mark.parametrize(
    "stored", [{}, {"train": None}, {"train": {"brightness": [1]}}, {"train": {"brightness": "x"}}]
)
def test_a_bundle_without_the_levels_of_its_training_raises_nothing(tmp_path: Path, stored: dict) -> None:
    manifest = TRAINED.model_copy(
        update={"made_from": TRAINED.made_from.model_copy(update={"metrics": stored})}
    ).sealed()
    drift = Drift(SETTINGS, tmp_path / "records.sqlite", lambda: manifest)
    drift.add(level_part(1, 7, manifest))

    assert drift.alarms == {}
