"""What happens once is waited for, and not for longer than asked."""

import threading

from edge.moment import Moment


def test_a_moment_that_does_not_come_is_not_waited_for_any_longer() -> None:
    assert not Moment().wait(0.001)
    assert not Moment().wait(-1.0)


def test_who_waits_wakes_when_it_comes_and_who_asks_later_need_not_wait() -> None:
    moment = Moment()
    waiting = [threading.Thread(target=moment.wait, args=(60.0,)) for _ in range(2)]
    for thread in waiting:
        thread.start()
    moment.come()
    for thread in waiting:
        thread.join(10.0)

    assert not any(thread.is_alive() for thread in waiting)
    assert moment.wait(0.0)
