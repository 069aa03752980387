"""The link over real pseudo-terminals: round trips, ports that cannot be opened, peers that go and come back."""

import errno
import os
import subprocess
import sys
import termios
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from firmware_bridge.errors import (
    AddressInvalid,
    LinkClosed,
    PortFailed,
    PortInUse,
    PortMissing,
    PortNotPermitted,
)
from firmware_bridge.events import (
    Acknowledged,
    Event,
    HelloReceived,
    PeerBack,
    PeerLost,
    PortBack,
    PortLost,
    Undelivered,
)
from firmware_bridge.framed.session import Session
from firmware_bridge.link import Link, SerialLink, open_link
from firmware_bridge.messages import Hello, Result, Trigger, Verdict
from firmware_bridge.port import SerialPort, explain
from firmware_bridge.simulator.plc import PlcSimulator
from firmware_bridge.simulator.pseudo_terminal import PseudoTerminal

PATIENCE_S = 60.0  # a bound for a loaded machine, not a wait


def inspect_until(link: Link, done: Callable[[list[Event]], bool]) -> list[Event]:
    """Answer each trigger until the events fulfil `done`; every third part is NG."""
    events: list[Event] = []
    end = time.monotonic() + PATIENCE_S
    while not done(events):
        assert time.monotonic() < end, f"not done after {PATIENCE_S} s; last events {events[-5:]}"
        for event in link.poll(0.05):
            events.append(event)
            if isinstance(event, Trigger):
                verdict = Verdict.OK if event.part_id % 3 else Verdict.NG
                link.send(Result(event.part_id, event.encoder, verdict))
    return events


def count(events: list[Event], kind: type) -> int:
    """Count the events of one type."""
    return sum(isinstance(event, kind) for event in events)


@pytest.fixture
def simulator() -> Iterator[PlcSimulator]:
    """A line of thirty parts, three of them between camera and ejector."""
    with PlcSimulator(30, max_open=3) as running:
        yield running


def test_every_part_gets_its_verdict_over_a_pseudo_terminal(simulator: PlcSimulator) -> None:
    link = open_link(simulator.address, Hello())
    inspect_until(link, lambda events: count(events, Acknowledged) == 30)
    assert simulator.wait(PATIENCE_S)
    link.close()
    report = simulator.report()
    assert report.verdicts == {Verdict.OK: 20, Verdict.NG: 10}
    assert (report.parts, report.passed, report.rejected, report.unanswered) == (30, 20, 10, 0)
    assert len(report.round_trips_s) == 30


def test_parts_without_an_answer_are_rejected() -> None:
    with PlcSimulator(3, deadline_s=0.05) as simulator:
        link = open_link(simulator.address, Hello())
        while not simulator.wait(0):
            link.poll(0.01)
        link.close()
        report = simulator.report()
    assert (report.rejected, report.passed, report.unanswered) == (3, 0, 3)


def test_a_peer_that_disappears_comes_back_as_another_session(tmp_path: Path) -> None:
    path = tmp_path / "plc"
    with PlcSimulator(5, link_path=path) as first:
        link = open_link(first.address, Hello())
        inspect_until(link, lambda events: count(events, Acknowledged) == 5)
    events = inspect_until(link, lambda events: count(events, PortLost) > 0)
    with PlcSimulator(5, link_path=path):
        events = inspect_until(link, lambda events: count(events, Acknowledged) == 5)
    link.close()
    assert count(events, PortBack) == 1
    assert [event.restarted for event in events if isinstance(event, HelloReceived)] == [True]


def test_an_inspection_that_restarts_goes_on(simulator: PlcSimulator) -> None:
    for parts in (5, 25):
        link = open_link(simulator.address, Hello())
        inspect_until(link, lambda events, parts=parts: count(events, Acknowledged) >= parts or simulator.wait(0))
        link.close()
    assert simulator.wait(PATIENCE_S)
    assert simulator.report().passed >= 18  # of 20; up to three parts were open when the first one left


def test_a_missing_other_end_is_reported(tmp_path: Path) -> None:
    far, near = os.openpty()
    link = open_link(f"serial://{os.ttyname(near)}", Hello())
    events = inspect_until(link, lambda events: count(events, PeerLost) > 0)
    link.close()
    os.close(far)
    os.close(near)
    assert count(events, PeerBack) == 0


def test_a_port_that_does_not_exist_is_one_clear_line() -> None:
    with pytest.raises(PortMissing, match=r"^/dev/ttyNONE: no such port; plug the adapter in"):
        open_link("serial:///dev/ttyNONE", Hello())


def test_a_port_in_use_is_one_clear_line(simulator: PlcSimulator) -> None:
    link = open_link(simulator.address, Hello())
    with pytest.raises(PortInUse, match="in use by another program"):
        open_link(simulator.address, Hello())
    link.close()


def test_a_file_that_is_no_port_is_one_clear_line(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(PortFailed, match="does not open as a serial port"):
        open_link(f"serial://{tmp_path}/file", Hello())


@pytest.mark.parametrize(
    ("number", "kind"),
    [
        (errno.ENOENT, PortMissing),
        (errno.EBUSY, PortInUse),
        (errno.EACCES, PortNotPermitted),
        (errno.EPERM, PortNotPermitted),
        (errno.EIO, PortFailed),
    ],
)
def test_each_system_error_has_its_own_advice(number: int, kind: type[Exception]) -> None:
    assert type(explain("/dev/ttyX", 9600, OSError(number, "reason"))) is kind


@pytest.mark.parametrize(
    "address",
    [
        "/dev/ttyS0",
        "tcp:///dev/ttyS0",
        "serial://dev/ttyS0",
        "serial:///dev/ttyS0?speed=9600",
        "serial:///dev/ttyS0?baud=fast",
        "serial:///dev/ttyS0?baud=3",
        "serial:///dev/ttyS0?baud=9600&baud=19200",
        "modbus-rtu:///dev/ttyS0?role=master",
        "modbus-rtu:///dev/ttyS0?unit=248",
        "serial:///dev/ttyS0?unit=1",
    ],
)
def test_an_address_that_cannot_be_read_says_what_is_expected(address: str) -> None:
    with pytest.raises(AddressInvalid, match="expected"):
        open_link(address, Hello())


class BenchPort:
    """A port whose next write or opening fails as the test says; nothing ever arrives."""

    def __init__(self) -> None:
        self.error: Exception | None = None
        self.missing = False
        self.written = b""
        self.openings = 0

    def open(self) -> "BenchPort":
        self.openings += 1
        if self.missing:
            raise PortMissing("unplugged")
        return self

    def read(self, timeout_s: float) -> bytes:
        return b""

    def write(self, data: bytes) -> None:
        if self.error:
            raise self.error
        self.written += data

    def close(self) -> None:
        self.written = b""


class Clock:
    """Time that passes when the test says so."""

    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


def bench_link() -> tuple[SerialLink, BenchPort, Clock]:
    port, clock = BenchPort(), Clock()
    return SerialLink(port.open, Session(Hello(), 7, clock.now), clock), port, clock


def test_a_write_that_takes_too_long_is_dropped_and_counted() -> None:
    link, port, clock = bench_link()
    port.error = TimeoutError("the driver's buffer is full")
    clock.now += 0.3
    assert link.poll(0.0) == []
    assert link.write_timeouts == 1
    port.error = None
    clock.now += 0.3
    link.poll(0.0)
    assert port.written


def test_a_port_that_fails_is_opened_again_ever_more_patiently() -> None:
    link, port, clock = bench_link()
    port.error, port.missing = OSError(5, "Input/output error"), True
    clock.now += 0.3
    assert link.poll(0.0) == [PortLost("[Errno 5] Input/output error")]
    for _ in range(1_000):  # ten seconds
        clock.now += 0.01
        link.poll(0.0)
    assert 7 <= port.openings <= 10  # 0.1, 0.2, 0.4, 0.8, 1.6, then each 2 s
    port.error, port.missing = None, False
    clock.now += 2.0
    assert PortBack() in link.poll(0.0)


def test_a_dead_link_gives_results_up_and_says_so() -> None:
    link, port, clock = bench_link()
    port.error, port.missing = OSError(5, "Input/output error"), True
    result = Result(1, 1, Verdict.OK)
    link.send(result)
    clock.now += 1.1
    assert Undelivered(result, "no acknowledgement") in link.poll(0.0)


def test_a_fixed_address_takes_the_place_of_a_left_over_link_only(tmp_path: Path) -> None:
    path = tmp_path / "plc"
    path.symlink_to("/dev/null")
    terminal = PseudoTerminal(path)
    assert terminal.name.resolve() == terminal.path
    terminal.close()
    terminal.close()
    assert not path.is_symlink()
    path.touch()
    with pytest.raises(FileExistsError):
        PseudoTerminal(path)


def test_bytes_that_are_not_read_are_lost_as_on_a_wire() -> None:
    terminal = PseudoTerminal()
    for _ in range(100):
        terminal.write(bytes(1024))
    terminal.close()


def test_the_simulator_tool_runs_a_line(tmp_path: Path) -> None:
    path = tmp_path / "plc"
    tool = Path(__file__).resolve().parents[2] / "tools" / "plc-simulator"
    words = [sys.executable, tool, "--parts", "6", "--link", str(path)]
    process = subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    assert process.stdout
    first = process.stdout.readline()
    link = open_link(f"serial://{path}", Hello())
    inspect_until(link, lambda events: count(events, Acknowledged) == 6)
    said, _ = process.communicate(timeout=PATIENCE_S)
    link.close()
    assert str(path) in first
    assert "6 of 6 parts" in said
    assert process.returncode == 0


def test_the_simulator_tool_fails_where_a_part_has_no_answer(tmp_path: Path) -> None:
    path = tmp_path / "plc"
    tool = Path(__file__).resolve().parents[2] / "tools" / "plc-simulator"
    words = [sys.executable, tool, "--parts", "2", "--deadline", "0.05", "--link", str(path)]
    process = subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    assert process.stdout
    process.stdout.readline()
    link = open_link(f"serial://{path}", Hello())
    while process.poll() is None:
        link.poll(0.02)
    link.close()
    process.communicate()
    assert process.returncode == 1


def test_a_closed_link_says_so(simulator: PlcSimulator) -> None:
    link = open_link(simulator.address, Hello())
    link.close()
    link.close()
    with pytest.raises(LinkClosed):
        link.poll(0.0)
    with pytest.raises(LinkClosed):
        link.send(Result(1, 1, Verdict.OK))


class HungUpDriver:
    """A serial driver whose device is unplugged while it is opened."""

    def __init__(self, fails_at: str) -> None:
        self._fails_at, self.closed = fails_at, False

    def __call__(self, *words: object, **options: object) -> "HungUpDriver":
        self._fail("open")
        return self

    def _fail(self, at: str) -> None:
        if at == self._fails_at:
            raise termios.error(errno.EIO, "Input/output error")

    def set_low_latency_mode(self, on: bool) -> None:
        self._fail("low latency")

    def reset_input_buffer(self) -> None:
        self._fail("reset")

    def write(self, data: bytes) -> None:
        self._fail("write")

    def close(self) -> None:
        self.closed = True


@pytest.mark.parametrize("fails_at", ["open", "reset"])
def test_a_device_that_goes_while_it_is_opened_is_a_port_that_failed(fails_at: str) -> None:
    driver = HungUpDriver(fails_at)
    with pytest.raises(PortFailed, match="Input/output error"):
        SerialPort("/dev/ttyX", 9600, 0.2, driver=driver)
    assert driver.closed is (fails_at == "reset")


def test_a_device_that_goes_while_it_is_written_to_is_an_operating_system_error() -> None:
    port = SerialPort("/dev/ttyX", 9600, 0.2, driver=HungUpDriver("write"))
    with pytest.raises(OSError, match="Input/output error"):
        port.write(b"x")


def test_a_driver_without_low_latency_is_used_all_the_same() -> None:
    assert not SerialPort("/dev/ttyX", 9600, 0.2, driver=HungUpDriver("low latency")).low_latency
