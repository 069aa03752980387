"""`edge-inspect config` says what line.toml may hold, and its examples are such files."""

from pathlib import Path

import pytest

from edge.cli import main
from edge.config.challenge import ChallengeSettings
from edge.config.ejector import ConfirmationSettings, EjectorSettings
from edge.config.explain import EXAMPLES, example, explain, meanings_of
from edge.config.line import Line, load_line
from edge.config.page import PageSettings
from edge.config.schema import CameraSettings, DriftSettings, PictureSettings

KINDS = ("several-cameras", "several-exposures", "shadow", "triggered", "web")


TABLES = [
    Line,
    CameraSettings,
    PictureSettings,
    DriftSettings,
    EjectorSettings,
    ConfirmationSettings,
    ChallengeSettings,
    PageSettings,
]


@pytest.mark.parametrize("table", TABLES)
def test_every_key_is_there_with_its_meaning(table: type[Line]) -> None:
    text, meanings = " ".join(explain().split()), meanings_of(table)

    for name in table.model_fields:
        assert name in meanings, f"{table.__name__}.{name} has no docstring"
        assert " ".join(meanings[name].split()) in text
        assert f"{name}:" in text or f"[{name}]" in text


@pytest.mark.parametrize(
    "line",
    [
        "bundle: path, required",
        "deadline_ms: number, default 500, above 0, at most 60000",
        "shadow: true or false, default false",
        'records: path, default "records.sqlite"',
        "mm_per_px: number, optional, above 0, at most 100",
        "one_in_good: whole number, default 0, at least 0, at most 1000000",
    ],
)
def test_a_key_has_its_type_default_and_range(line: str) -> None:
    assert line in explain().splitlines()


@pytest.mark.parametrize("kind", KINDS)
def test_each_example_is_a_working_file(kind: str, tmp_path: Path) -> None:
    path = tmp_path / "line.toml"
    path.write_text(example(kind))

    line = load_line(path)

    assert line.shadow is (kind == "shadow")
    assert (len(line.camera) > 1) is (kind == "several-cameras")
    assert (len(line.views) > len(line.camera)) is (kind == "several-exposures")
    assert (line.trigger == "free") is (kind == "web")


def test_there_is_no_other_example() -> None:
    assert tuple(sorted(path.stem for path in EXAMPLES.iterdir())) == KINDS


def test_the_command_prints_an_example_as_it_is(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["config", "--example", "shadow"])

    assert ended.value.code in (0, None)
    assert capsys.readouterr().out == (EXAMPLES / "shadow.toml").read_text()


@pytest.mark.parametrize(
    ("arguments", "problem"),
    [
        (["config"], "expected one of them"),
        (["config", "--explain", "--example", "shadow"], "expected one of them"),
        (["config", "--example", "roll"], "found 'roll', expected one of several-cameras, several-exposures, sh"),
    ],
)
def test_what_is_asked_wrongly_is_said(arguments: list[str], problem: str) -> None:
    with pytest.raises(SystemExit) as ended:
        main(arguments)

    assert problem in str(ended.value.code)
