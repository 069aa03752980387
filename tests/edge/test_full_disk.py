"""The disk of the records fills up while parts run."""

from pathlib import Path

import pytest

from tests.edge.running_line import Run, RunningLine
from tests.edge.small_disk import fill_up

PARTS = 400
"""Parts within which the disk has refused a row, and those within which the station has recovered."""


def run_until(line: RunningLine, verdict: str, alarm: bool) -> None:
    """Trigger parts until one has this verdict, and the alarm of the records is up or not."""
    for _ in range(PARTS):
        given = line.verdicts(len(line.plc.results) + 1)
        if given[-1] == verdict and ("records" in line.alarms) is alarm:
            return
    pytest.fail(f"no part is {verdict} with the alarm {'on' if alarm else 'off'}: {given[-20:]}, {line.alarms}")


def test_parts_are_faults_until_the_disk_has_room_again(run: Run, small_disk: Path) -> None:
    with run(records=str(small_disk / "records.sqlite")) as line:
        assert set(line.verdicts(*range(1, 11))) == {"OK"}
        ballast = fill_up(small_disk)
        run_until(line, "FAULT", alarm=True)
        full = len(line.plc.results)
        assert set(line.verdicts(*range(full + 1, full + 6))[full:]) == {"FAULT"}
        told = [text for text in line.faults if text.startswith("records")]
        ballast.unlink()
        run_until(line, "OK", alarm=False)
        sent = [(result.part_id, result.verdict.value) for result in line.plc.results]

        assert told
    assert line.rows("SELECT part_id, verdict FROM parts ORDER BY number") == sent
