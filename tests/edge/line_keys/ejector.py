"""Cases of `[ejector]` and `[confirmation]`."""

from firmware_bridge.messages import BeltPosition
from tests.edge.line_keys.registry import BRIGHT, EJECTOR, observes
from tests.edge.running_line import Run, RunningLine

TIMED = {"output": "simulated://", "default": "pass", "fail_safe": "off", "delay_ms": 500, "length_ms": 40}


def reject_at_10(line: RunningLine, *part_ids: int) -> RunningLine:
    """Start belt and PLC, and reject parts whose encoder counts are ten times their ids."""
    line.connect()
    line.ejects_at(0)
    line.verdicts(*(part_ids or (1,)))
    return line


@observes("ejector.output")
def address_of_the_output(run: Run) -> None:
    with run(ejector=EJECTOR | {"output": "gpio:///dev/gpiochip0?line=7"}) as line:
        assert line.outputs == ["gpio:///dev/gpiochip0?line=7"]


@observes("ejector.distance_counts")
def place_of_the_pulse(run: Run) -> None:
    with run([BRIGHT], ejector=EJECTOR | {"distance_counts": 700}) as line:
        reject_at_10(line)
        assert (line.ejects_at(709), line.ejects_at(710)) == (False, True)


@observes("ejector.length_counts")
def length_of_the_pulse(run: Run) -> None:
    with run([BRIGHT], ejector=EJECTOR | {"length_counts": 30}) as line:
        reject_at_10(line)
        assert (line.ejects_at(510), line.ejects_at(539), line.ejects_at(540)) == (True, True, False)


@observes("ejector.delay_ms")
def time_of_the_pulse(run: Run) -> None:
    with run([BRIGHT], ejector=TIMED | {"delay_ms": 700}) as line:
        reject_at_10(line)
        assert (line.ejects(0.699), line.ejects(0.701)) == (False, True)


@observes("ejector.length_ms")
def duration_of_the_pulse(run: Run) -> None:
    with run([BRIGHT], ejector=TIMED | {"length_ms": 60}) as line:
        reject_at_10(line)
        assert (line.ejects(0.501), line.ejects(0.559), line.ejects(0.561)) == (True, True, False)


@observes("ejector.default")
def part_without_a_verdict_at_the_ejector(run: Run) -> None:
    with run(ejector=EJECTOR | {"default": "reject"}) as line:
        line.connect()
        line.inferring.clear()
        line.ejects_at(0)
        before = line.ejects_at(1000)  # past all that lay between camera and ejector at the start
        line.plc.trigger(101)
        line.plc.drain()
        assert (before, line.ejects_at(1510)) == (False, True)


@observes("ejector.fail_safe")
def output_without_a_plc(run: Run) -> None:
    with run(ejector=EJECTOR | {"fail_safe": "on"}) as line:
        before = line.ejects()
        line.connect()
        assert (before, line.ejects()) == (True, False)


@observes("ejector.coast_ms")
def belt_between_two_counts(run: Run) -> None:
    with run([BRIGHT], ejector=EJECTOR | {"distance_counts": 280, "coast_ms": 1000}) as line:
        reject_at_10(line)
        line.clock.now = 0.1
        line.ejects_at(100)  # so the belt moves by 1000 counts a second
        assert (line.ejects(0.285), line.ejects(0.295)) == (False, True)


@observes("ejector.belt_silence_ms")
def silence_of_the_belt(run: Run) -> None:
    with run([BRIGHT], ejector=EJECTOR | {"belt_silence_ms": 300}) as line:
        reject_at_10(line)
        line.ejects(0.299)
        before = line.alarms
        line.ejects(0.301)
        assert (before, line.alarms) == ([], ["ejector without counts"])


@observes("ejector.belt_stop_s")
def standstill_of_the_belt(run: Run) -> None:
    with run([BRIGHT], ejector=EJECTOR | {"belt_stop_s": 5, "belt_silence_ms": 100_000}) as line:
        reject_at_10(line)
        line.ejects(4.9)
        before = line.alarms
        line.ejects(5.1)
        assert (before, line.alarms) == ([], ["belt stands"])


@observes("ejector.queue")
def parts_before_the_ejector(run: Run) -> None:
    with run([BRIGHT], ejector=EJECTOR | {"queue": 2}) as line:
        reject_at_10(line, 1, 2)
        before = line.alarms
        line.verdicts(3)
        assert (before, line.alarms) == ([], ["ejector queue full"])


@observes("confirmation.within_counts")
def way_into_the_bin(run: Run) -> None:
    with run([BRIGHT], confirmation={"within_counts": 300}) as line:
        line.connect()
        line.plc.tell(BeltPosition(0))
        line.verdicts(1)
        found = []
        for encoder in (310, 311):
            line.plc.tell(BeltPosition(encoder))
            line.plc.drain()
            found.append(line.alarms)

    assert found == [[], ["eject not confirmed"]]


@observes("confirmation.within_ms")
def time_into_the_bin(run: Run) -> None:
    with run([BRIGHT], confirmation={"within_ms": 300}) as line:
        line.verdicts(1)
        found = []
        for line.clock.now in (0.299, 0.301):
            line.plc.drain()
            found.append(line.alarms)

    assert found == [[], ["eject not confirmed"]]
