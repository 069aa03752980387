"""Cost of growth: the exponent, one step in a process of its own, the report."""

from pathlib import Path

import cv2
import numpy as np
import pytest

from tools.growth.fit import Cost, exponent
from tools.growth.measure import measured
from tools.growth.report import growth_chart, growth_table

SIZES = (1, 2, 4, 8)


@pytest.mark.parametrize("power", [0, 1, 2])
def test_the_exponent_is_that_of_the_power_law(power: int) -> None:
    assert exponent(SIZES, [3.0 * size**power for size in SIZES]) == pytest.approx(power)


def test_costs_of_nothing_have_no_exponent() -> None:
    assert exponent(SIZES, [0.0, 1.0, 2.0, 3.0]) is None


@pytest.mark.parametrize("step", ["blobs of a mask", "picture in tiles"])
def test_a_step_is_measured_in_a_process_of_its_own(step: str, tmp_path: Path) -> None:
    few, many = measured(step, 4, tmp_path), measured(step, 64, tmp_path)

    assert many.processor_ms > 2 * few.processor_ms
    assert many.memory_mib >= few.memory_mib >= 0


def test_a_step_that_fails_says_why(tmp_path: Path) -> None:
    with pytest.raises(RuntimeError, match="no such step, 4: KeyError"):
        measured("no such step", 4, tmp_path)


def test_the_report_tells_linear_from_quadratic() -> None:
    found = {
        name: [Cost(size=size, processor_ms=size**power, memory_mib=0) for size in SIZES]
        for name, power in (("cameras", 1), ("classes", 2))
    }

    rows = growth_table(found)[2:]

    assert [row.split("|")[5:7] for row in rows] == [[" 1.00 ", " 1.00 "], [" 2.00 ", " 2.00 "]]
    assert cv2.imdecode(np.frombuffer(growth_chart(found), np.uint8), cv2.IMREAD_COLOR) is not None
