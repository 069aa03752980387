"""Alarms are raised once, cleared once, and listeners get both events."""

from collections.abc import Iterator
from datetime import datetime, timedelta, timezone
from pathlib import Path

import pytest
from rich.console import Console

from edge.alarms import Alarm, Alarms, Area
from edge.cameras.synthetic import open_synthetic
from edge.pipeline.health_monitor import PLC, REPORTED, HealthMonitor
from edge.pipeline.plc_messages import to_fault
from edge.records.database import reading
from edge.records.summary import alarm_table
from edge.records.writer import REPLACED, ROWS_REFUSED, Records
from firmware_bridge.events import HelloReceived, LineCleared, LineDisturbed, LineTrouble, PeerBack, PeerLost, PortLost
from firmware_bridge.messages import Fault, FaultCode, Hello, Role

NOON = datetime(2026, 5, 4, 12, tzinfo=timezone.utc)


@pytest.fixture
def heard() -> list[tuple[str, str, int, bool]]:
    return []


@pytest.fixture
def alarms(heard: list[tuple[str, str, int, bool]]) -> Alarms:
    minutes = iter(range(100))
    made = Alarms(lambda: NOON + timedelta(minutes=next(minutes)))
    made.listeners.append(lambda alarm, raised: heard.append((alarm.name, alarm.text, alarm.part_id, raised)))
    return made


@pytest.fixture
def records(tmp_path: Path) -> Iterator[Records]:
    """Records whose thread ends also where a test fails."""
    made = Records(tmp_path / "r.sqlite")
    yield made
    made.close()


def test_an_alarm_is_heard_once_until_it_is_over(alarms: Alarms, heard: list[tuple[str, str, int, bool]]) -> None:
    alarms.raise_("lamp", "dark")
    alarms.raise_("lamp", "darker")
    alarms.clear("lamp")
    alarms.clear("lamp")

    assert heard == [("lamp", "dark", 0, True), ("lamp", "darker", 0, False)]
    assert alarms.active == ()


def test_an_alarm_in_force_takes_the_new_text_and_keeps_its_time(alarms: Alarms) -> None:
    alarms.raise_("lamp", "dark")
    alarms.raise_("belt", "stands")
    alarms.raise_("lamp", "darker")

    assert [(alarm.name, alarm.text, alarm.since) for alarm in alarms.active] == [
        ("lamp", "darker", NOON),
        ("belt", "stands", NOON + timedelta(minutes=1)),
    ]


def test_another_part_is_told_again(alarms: Alarms, heard: list[tuple[str, str, int, bool]]) -> None:
    alarms.raise_("escaped", "one", part_id=1)
    alarms.raise_("escaped", "two", part_id=2)

    assert [part_id for _, _, part_id, _ in heard] == [1, 2]


def test_a_listener_that_fails_keeps_no_other_from_the_alarm(
    alarms: Alarms, heard: list[tuple[str, str, int, bool]]
) -> None:
    def failing(alarm: Alarm, raised: bool) -> None:
        raise OSError("no bell")

    alarms.listeners.insert(0, failing)
    alarms.raise_("lamp", "dark")

    assert [name for name, *_ in heard] == ["lamp"]


def test_the_plc_is_told_the_name_in_ascii_of_the_wire_s_length() -> None:
    alarm = Alarm("camera über dem Förderband, linke Seite", "lost", Area.CAMERA, 7, NOON)

    assert to_fault(alarm) == Fault(FaultCode.CAMERA, 7, "camera ?ber dem F?rderband, link")


@pytest.mark.parametrize("area", list(Area))
def test_each_area_has_its_code_on_the_wire(area: Area) -> None:
    assert to_fault(Alarm("x", "", area, 0, NOON)).code.name == area.name


def test_a_lost_camera_and_a_full_disk_are_alarms_while_they_last(alarms: Alarms, records: Records) -> None:
    camera = open_synthetic("synthetic://", lambda: 0.0)
    monitor = HealthMonitor(alarms, {"top": camera}, records, deadline_s=0.2)
    camera.health.connected, records.refusal = False, "disk full"
    monitor.check()
    names = [(alarm.name, alarm.area) for alarm in alarms.active]
    camera.health.connected, records.refusal = True, ""
    monitor.check()

    assert names == [("camera top", Area.CAMERA), ("records", Area.DISK)]
    assert alarms.active == ()


def test_a_refused_row_and_a_replaced_file_are_alarms_until_they_are_acknowledged(
    alarms: Alarms, records: Records
) -> None:
    monitor = HealthMonitor(alarms, {}, records, 0.5)
    monitor.check()
    quiet = alarms.active
    records.rows_refused, records.replacements = 1, 1
    monitor.check()
    names = [(alarm.name, alarm.area) for alarm in alarms.active]
    alarms.clear(ROWS_REFUSED)
    alarms.clear(REPLACED)
    monitor.check()
    cleared = alarms.active
    records.rows_refused = 2
    monitor.check()

    assert (quiet, cleared) == ((), ())
    assert names == [(ROWS_REFUSED, Area.DISK), (REPLACED, Area.DISK)]
    assert "found 2 rows" in alarms.active[0].text


def test_an_alarm_is_a_row_with_its_beginning_and_end(tmp_path: Path) -> None:
    now = NOON
    alarms, records = Alarms(lambda: now), Records(tmp_path / "r.sqlite", lambda: now)
    alarms.listeners.append(records.note_alarm)
    alarms.raise_("rejects in a row", "found 5 up to part 7", part_id=7)
    alarms.raise_("rejects in a row", "found 5 up to part 12", part_id=12)
    alarms.raise_("camera top", "lost", Area.CAMERA)
    now += timedelta(minutes=90)
    alarms.clear("rejects in a row")
    alarms.raise_("rejects in a row", "found 5 up to part 30", part_id=30)
    records.close()

    with reading(records.path) as connection:
        rows = connection.execute("SELECT name, area, part_id, began, ended FROM alarms ORDER BY number").fetchall()
    console = Console(width=120)
    with console.capture() as captured:
        console.print(*alarm_table(records.path))
    began, ended = ("2026-05-04T12:00:00.000+00:00", "2026-05-04T13:30:00.000+00:00")
    assert rows == [
        ("rejects in a row", "other", 7, began, ended),
        ("camera top", "camera", 0, began, None),
        ("rejects in a row", "other", 30, ended, None),
    ]
    assert [cell.strip() for cell in captured.get().splitlines()[3].split("│")[1:5]] == [
        "rejects in a row", "2", "90.0", "1",
    ]  # fmt: skip


@pytest.mark.parametrize("lost", [PeerLost(1.0), PortLost("gone")])
@pytest.mark.parametrize("back", [PeerBack(), HelloReceived(Hello(Role.PLC), restarted=False)])
def test_a_silent_plc_is_an_alarm_until_it_answers(
    alarms: Alarms, records: Records, lost: PeerLost | PortLost, back: PeerBack | HelloReceived
) -> None:
    monitor = HealthMonitor(alarms, {}, records, deadline_s=0.2)
    monitor.handle(lost)
    names = [alarm.name for alarm in alarms.active]
    monitor.handle(back)

    assert names == [PLC]
    assert alarms.active == ()


def test_the_plc_s_own_fault_is_an_alarm_until_it_restarts(alarms: Alarms, records: Records) -> None:
    monitor = HealthMonitor(alarms, {}, records, deadline_s=0.2)
    monitor.handle(Fault(FaultCode.OUTPUT, 7, "eject not confirmed"))
    (alarm,) = alarms.active
    monitor.handle(HelloReceived(Hello(Role.PLC), restarted=True))

    assert (alarm.name, alarm.area, alarm.part_id) == (REPORTED, Area.OUTPUT, 7)
    assert "eject not confirmed" in alarm.text
    assert alarms.active == ()


def test_a_disturbance_of_the_wire_is_an_alarm_until_it_is_over(alarms: Alarms, records: Records) -> None:
    monitor = HealthMonitor(alarms, {}, records, deadline_s=0.2)
    monitor.handle(LineDisturbed(LineTrouble.STRANGER, "twin has the role EDGE; the true peer answers as well"))
    assert [(alarm.name, alarm.area) for alarm in alarms.active] == [("wire: stranger", Area.LINK)]
    monitor.handle(LineDisturbed(LineTrouble.ECHO, "our own frames come back"))
    monitor.handle(LineCleared(LineTrouble.STRANGER))
    assert [alarm.name for alarm in alarms.active] == ["wire: echo"]
