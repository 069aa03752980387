from pathlib import Path

import pytest

from edge.config.line import Line, load_line
from edge.errors import LineConfigError

SMALLEST = 'bundle = "b"\nplc = "serial:///dev/ttyS0"\ncamera = [{ address = "synthetic://" }]\n'
SIGNALS = SMALLEST.replace("serial:///dev/ttyS0", "io-gpio:///dev/gpiochip0")


def written(tmp_path: Path, text: str) -> Path:
    path = tmp_path / "line.toml"
    path.write_text(text)
    return path


def test_paths_are_relative_to_the_file(tmp_path: Path) -> None:
    line = load_line(written(tmp_path, SMALLEST + 'records = "/var/rows.sqlite"\n'))

    assert line.bundle == tmp_path / "b"
    assert line.records == Path("/var/rows.sqlite")


def test_a_byte_order_mark_is_no_part_of_the_text(tmp_path: Path) -> None:
    assert load_line(written(tmp_path, "\ufeff" + SMALLEST)).plc == "serial:///dev/ttyS0"


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        (SMALLEST + "deadline = 3\n", "deadline: unknown key"),
        (SMALLEST + "deadline_ms = 0\n", "deadline_ms: found 0, expected: .*greater than 0"),
        (SMALLEST + 'open_parts = "many"\n', "open_parts: found 'many'"),
        ('camera = [{ address = "synthetic://" }]\n', "bundle: missing"),
        (SMALLEST.replace("address", "adress"), "camera.0.adress: unknown key"),
        (SMALLEST.replace("}]", "}, { address = 'x' }]"), "not all different"),
        (SMALLEST.replace('{ address = "synthetic://" }', ""), "camera: found"),
        ("bundle = \n", "is not TOML"),
        (
            SMALLEST + "[ejector]\noutput = 'simulated://'\ndistance_mm = 5\n",
            "ejector.distance_mm: .*keys are: output, dist",
        ),
        (
            SMALLEST + "[ejector]\noutput = 'simulated://'\ndelay_ms = 5\n",
            "ejector: found neither, expected length_counts",
        ),
        (SMALLEST + "[confirmation]\n", "confirmation: found both or neither"),
        (SMALLEST + "[challenge]\nat = ['6:61']\n", "challenge.at: found '6:61', expected a time of day"),
        (SMALLEST + "every_counts = 5\n", 'with trigger = "plc"'),
        (SMALLEST.replace("}]", "}, { name = 'b', address = 'x' }]") + "trigger = 'free'\n", "found 2 cameras .* one"),
        (
            SMALLEST.replace("}]", ", exposures = 2 }]") + "trigger = 'free'\n",
            "found exposures = 2 with .*, expected 1",
        ),
        (SMALLEST.replace("}]", ", exposure_interval_ms = 5 }]"), "found exposure_interval_ms = 5 with exposures = 1"),
        (SMALLEST.replace("}]", ", exposures = 17 }]"), "camera.0.exposures: found 17"),
        (
            SMALLEST.replace("}]", ", name = 'a', exposures = 2 }, { address = 'x', name = 'a-2' }]"),
            r"the names \['a-1', 'a-2', 'a-2'\] are not all different",
        ),
        (SIGNALS + "trigger = 'free'\n", "found trigger = 'free' with plc = 'io-gpio', whose 24 V signals carry no"),
        (SIGNALS + "[recipes]\n2 = 'other'\n", "found recipes with plc = 'io-gpio'"),
        (
            SIGNALS + "[ejector]\noutput = 'simulated://'\ndistance_counts = 5\nlength_counts = 5\n",
            "found distances in encoder counts with plc = 'io-gpio'",
        ),
        (SIGNALS + "[confirmation]\nwithin_counts = 5\n", "found distances in encoder counts with plc = 'io-gpio'"),
        (SMALLEST + "trigger = 'sensor'\n", "trigger: found 'sensor', expected"),
    ],
)
def test_what_is_wrong_is_named(tmp_path: Path, text: str, problem: str) -> None:
    path = written(tmp_path, text)

    with pytest.raises(LineConfigError, match=problem) as refusal:
        load_line(path)
    assert str(path) in str(refusal.value)
    assert "\n" not in str(refusal.value)


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(LineConfigError, match="cannot be read"):
        load_line(tmp_path / "line.toml")


def test_a_line_cannot_be_changed(tmp_path: Path) -> None:
    line = load_line(written(tmp_path, SMALLEST))

    with pytest.raises(ValueError, match="frozen"):
        line.deadline_ms = 3  # type: ignore[misc]
    assert isinstance(line, Line)
