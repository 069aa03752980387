"""Memory and open files in the summary of a soak test."""

import pytest

from tools.fault_rig.results.slope import Slope
from tools.fault_rig.results.summary import Limits, leaks

LIMITS = Limits(memory_mib=8.0, files=1.0)


@pytest.mark.parametrize(
    ("memory", "files", "said"),
    [
        (Slope(9.0, 1.0), Slope(0.0, 0.0), []),  # perhaps, but not for sure
        (Slope(11.0, 1.0), Slope(0.0, 0.0), ["memory rises by at least 9.0 MiB an hour"]),
        (Slope(-5.0, 1.0), Slope(3.0, 0.5), ["open files rise by at least 2.0 an hour"]),
        (Slope(float("nan"), float("nan")), Slope(float("nan"), float("nan")), []),
    ],
)
def test_what_rises_for_sure_is_a_leak(memory: Slope, files: Slope, said: list[str]) -> None:
    assert leaks(memory, files, LIMITS) == said
