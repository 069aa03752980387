"""Floods in the log: each kind of line is limited, and what is left out is counted."""

import logging
from collections.abc import Iterator, Sequence

import pytest

from edge.rate_limited_log import KINDS, LINES, WINDOW_S, RateLimitedHandler
from firmware_bridge.events import (
    Event,
    HelloReceived,
    LineCleared,
    LineDisturbed,
    LineTrouble,
    PeerBack,
    PeerLost,
    PortBack,
    PortLost,
    Refused,
)
from firmware_bridge.messages import Changeover, Fault, FaultCode, Hello, Offline, Role, Settings
from tests.edge.running_line import Run


class Shelf(logging.Handler):
    """Keeps what a log file would hold."""

    def __init__(self) -> None:
        super().__init__()
        self.lines: list[str] = []
        self.closed = False

    def emit(self, record: logging.LogRecord) -> None:
        self.lines.append(record.getMessage())

    def close(self) -> None:
        self.closed = True
        super().close()


class Log:
    """A logger of its own behind the limit, with a clock set by hand."""

    def __init__(self) -> None:
        self.now, self.shelf = 0.0, Shelf()
        self.handler = RateLimitedHandler(self.shelf, lambda: self.now)
        self.logger = logging.Logger("edge.test")
        self.logger.addHandler(self.handler)

    @property
    def lines(self) -> list[str]:
        return self.shelf.lines


@pytest.fixture
def log() -> Iterator[Log]:
    made = Log()
    yield made
    made.handler.close()


def test_lines_of_one_kind_are_limited_and_counted(log: Log) -> None:
    for number in range(100):
        log.now = number * 0.01
        log.logger.info("line: %s", f"hello {number}")
    within = list(log.lines)
    log.now = WINDOW_S
    log.logger.warning("the next line of any kind")

    assert within == [f"line: hello {number}" for number in range(LINES)]
    assert log.lines[LINES:] == [
        f"80 more lines of this kind within {WINDOW_S:.0f} s; the latest: line: hello 99",
        "the next line of any kind",
    ]


def test_ten_minutes_of_hellos_cost_a_few_lines_a_minute(log: Log) -> None:
    for number in range(100 * 600):
        log.now = number / 100
        log.logger.info("line: %s", "hello received")

    assert len(log.lines) == 10 * (LINES + 1) - 1  # the last count is still open
    assert sum(len(line) + 1 for line in log.lines) / 600 < 40  # bytes a second


def test_another_kind_is_not_held_up(log: Log) -> None:
    for _ in range(1000):
        log.logger.info("line: %s", "hello received", extra={"kind": "hello"})
        log.logger.info("line: %s", "port back", extra={"kind": "port back"})
    log.logger.info("line: %s", "port lost", extra={"kind": "port lost"})
    log.logger.error("line: %s", "hello received", extra={"kind": "hello"})

    assert len(log.lines) == 2 * LINES + 2
    assert log.lines[-2:] == ["line: port lost", "line: hello received"]


def test_after_a_window_a_kind_has_its_lines_again(log: Log) -> None:
    for _ in range(LINES):
        log.logger.info("as usual")
    log.now = WINDOW_S
    for _ in range(LINES):
        log.logger.info("as usual")

    assert log.lines == ["as usual"] * 2 * LINES


def test_kinds_beyond_the_most_share_one_limit(log: Log) -> None:
    for number in range(KINDS + 1000):
        log.logger.info(f"kind {number}")

    assert len(log.lines) == KINDS + LINES
    assert len(log.handler._windows) == KINDS + 1


def test_closing_writes_the_counts(log: Log) -> None:
    for _ in range(LINES + 7):
        log.logger.info("again")
    log.handler.close()

    assert log.lines[-1] == f"7 more lines of this kind within {WINDOW_S:.0f} s; the latest: again"
    assert log.shelf.closed


@pytest.mark.parametrize(
    "flood",
    [
        [HelloReceived(Hello(Role.PLC), restarted=True)],
        [PeerLost(1.0), PeerBack()],
        [PortLost("gone"), PortBack()],
        [LineDisturbed(LineTrouble.ECHO, "check"), LineCleared(LineTrouble.ECHO)],
        [Fault(FaultCode.CAMERA, text="lamp", part_id=1), Fault(FaultCode.CAMERA, text="lamp", part_id=2)],
        [Fault(FaultCode.CAMERA, text="lamp"), HelloReceived(Hello(Role.PLC), restarted=True)],
        [Refused(Hello(Role.PLC), "two stations"), PeerBack()],
        [Settings(1, 1, 1, 1), Settings(10**6, 1, 1, 1)],
        [Offline("stopped")],
        [Changeover(recipe=9)],
    ],
    ids=lambda flood: "-".join(type(event).__name__ for event in flood),
)
def test_no_message_of_a_plc_can_flood_the_log(run: Run, root_log: Shelf, flood: Sequence[Event]) -> None:
    with run() as line:
        for event in [*flood] * (5 * LINES):
            line.plc.tell(event)
        line.plc.drain()
        line.verdicts(1)

    kinds = 2 * len(flood)  # at most an alarm and its end, or a line, for each
    other = 40  # of start and stop
    assert len(root_log.lines) <= kinds * (LINES + 1) + other


def test_parts_that_are_not_inspected_do_not_flood_the_log(run: Run, root_log: Shelf) -> None:
    with run(open_parts=1) as line:
        line.inferring.clear()
        line.plc.trigger(*range(1, 5 * LINES))
        line.plc.drain()
        line.inferring.set()
        line.plc.wait_for(5 * LINES - 1)

    assert sum(text.startswith("part ") for text in root_log.lines) == LINES


@pytest.fixture
def root_log() -> Iterator[Shelf]:
    shelf, root = Shelf(), logging.getLogger()
    handler, level = RateLimitedHandler(shelf, lambda: 0.0), root.level
    root.addHandler(handler)
    root.setLevel(logging.INFO)
    yield shelf
    root.removeHandler(handler)
    root.setLevel(level)
    handler.close()
