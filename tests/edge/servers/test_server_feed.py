"""A server's process may die, hang or find something wrong: it is ended, said, and started again."""

import os
import signal
import threading
from collections.abc import Callable, Iterator

import pytest

from edge.alarms import Alarms
from edge.errors import ServerError
from edge.servers.channel import ServerPipe
from edge.servers.feed import ServerFeed

PATIENCE_S = 60.0


class StandInFeed(ServerFeed):
    """Gives its server one task after the other."""

    table, alarm, module, scheme = "stand-in", "stand-in", "tests.edge.servers.stand_in", "test"

    def __init__(self, *tasks: str, hang_s: float = PATIENCE_S) -> None:
        self.tasks, self.answers, self.problems = [*tasks], [], []  # type: ignore[var-annotated]
        self.changed = threading.Condition()
        super().__init__("127.0.0.1:0", Alarms(), retry_s=0.01, hang_s=hang_s)

    def _check(self) -> None:
        if not self.tasks:
            self._stop.set()
            raise ServerError("nothing left to do")

    def _begin(self, pipe: ServerPipe) -> None:
        pipe.write(self.tasks.pop(0).encode() + b"\n")
        said = pipe.answer()
        with self.changed:
            self.answers.append(said)
            self.changed.notify_all()
        if not said.isdigit():
            raise ServerError(said)

    def _update(self, pipe: ServerPipe) -> None:
        pipe.write(b"\n")
        pipe.answer()

    def _failed(self, problem: str) -> None:
        with self.changed:
            self.problems.append(problem)
            self.changed.notify_all()

    def wait_for(self, condition: Callable[[], object]) -> None:
        with self.changed:
            assert self.changed.wait_for(condition, PATIENCE_S), (self.answers, self.problems)


@pytest.fixture
def feeds() -> Iterator[list[StandInFeed]]:
    opened: list[StandInFeed] = []
    yield opened
    for feed in opened:
        feed.close()


def test_a_process_that_dies_is_said_and_started_again(feeds: list[StandInFeed]) -> None:
    feeds.append(feed := StandInFeed("work", "work"))
    feed.wait_for(lambda: feed.answers)
    os.kill(feed.process, signal.SIGKILL)
    feed.wait_for(lambda: len(feed.answers) == 2)

    assert feed.problems == ["its process has ended with status -9"]
    assert [int(said) for said in feed.answers] == [int(feed.answers[0]), feed.process]
    assert feed.answers[0] != feed.answers[1]


def test_a_process_that_hangs_is_ended_and_started_again(feeds: list[StandInFeed]) -> None:
    feeds.append(feed := StandInFeed("hang", "work", hang_s=1.0))
    feed.wait_for(lambda: feed.problems)
    hanging = feed.process

    assert feed.problems[0] == "its process has not answered for 1 s; it is ended"
    feed.close()
    with pytest.raises(ProcessLookupError):
        os.kill(hanging, 0)


def test_what_the_process_finds_wrong_is_said(feeds: list[StandInFeed]) -> None:
    feeds.append(feed := StandInFeed("complain"))
    feed.wait_for(lambda: feed.problems)

    assert feed.problems[0] == "the certificate is wrong"


def test_the_process_ends_with_the_station(feeds: list[StandInFeed]) -> None:
    feeds.append(feed := StandInFeed("work"))
    feed.wait_for(lambda: feed.answers)
    feed.close()

    with pytest.raises(ProcessLookupError):
        os.kill(feed.process, 0)
    assert feed.problems == []
