"""Ejector timing: triggers, verdicts and belt counts in, pulses on the output out."""

import threading
from collections.abc import Callable

from edge.alarms import Alarms, Area
from edge.cameras.camera import Clock
from edge.config.ejector import EjectorSettings
from edge.ejector.belt import Belt
from edge.ejector.output import Output
from edge.ejector.track import Fate, Fates, Track
from edge.errors import OutputError
from edge.part import Part

STEP_S = 0.002
"""Step while parts are before the ejector: a belt at 1 m/s moves 2 mm per step."""
IDLE_S = 0.01
"""Step while there are none."""

BELT, STANDS, OUTPUT, FULL = "ejector without counts", "belt stands", "ejector output", "ejector queue full"
"""Names of the alarms."""


class Ejector:
    """Fires for every part that is not OK. Safe to use from several threads; `run` is the body of one."""

    def __init__(
        self,
        settings: EjectorSettings,
        output: Output,
        alarms: Alarms,
        clock: Clock,
        settled: Callable[[int, Fate], None],
        needs_plc: bool = True,
    ) -> None:
        """settled: called once with each part's number and fate. needs_plc: parts are unknown without a PLC."""
        self._settings, self._output, self._alarms = settings, output, alarms
        self._clock, self._settled = clock, settled
        self._connected = not needs_plc
        self._by_time = settings.delay_ms is not None
        self._track = _track(settings)
        self._belt = Belt(settings.coast_ms / 1e3, back=settings.distance_counts or 0)
        self._has_belt_messages = False  # then the older counts of triggers are not read
        self._at_start = True
        self._moved = (0.0, clock())  # place of the belt, and since when it stands there
        self._held = False  # by `fail_safe`
        self._output_on: bool | None = None  # state of the output; None if unknown
        self._lock = threading.Lock()
        self._stop = threading.Event()

    def expect(self, part: Part) -> None:
        """Add a triggered part."""
        with self._lock:
            if self._by_time:
                apart = self._track.add(part.number, part.triggered)
            else:
                lost = [] if self._has_belt_messages else self._read(part.encoder, part.triggered)
                apart = self._track.add(part.number, self._belt.place(part.encoder))
            if not apart:
                found = f"found more than {self._settings.queue} parts before the ejector; raise queue"
                self._alarms.raise_(FULL, found, Area.OUTPUT, part.part_id)
        if not self._by_time:
            self._tell(lost)

    def decide(self, part: Part, passes: bool) -> None:
        """Set a part's verdict."""
        with self._lock:
            fates = self._track.decide(part.number, passes)
        self._tell(fates)

    def belt_at(self, count: int) -> None:
        """Set the present encoder count."""
        with self._lock:
            self._has_belt_messages = True
            lost = self._read(count, self._clock())
        self._tell(lost)

    def connected(self, there: bool, restarted: bool = False) -> None:
        """Set the connection to the PLC. restarted: the PLC and its encoder count have restarted."""
        with self._lock:
            self._connected = there
            lost = self._lose() if restarted and not self._by_time else []
            if restarted:
                self._belt.forget()
                self._has_belt_messages = False
        self._tell(lost)

    def run(self) -> None:
        """Step until `stop` is called; then set the output to `fail_safe`."""
        busy = False
        try:
            while not self._stop.wait(STEP_S if busy else IDLE_S):
                busy = self.step()
        finally:
            self._switch(self._settings.fail_safe == "on")
        with self._lock:
            lost = self._track.lose()
        self._tell(lost)

    def stop(self) -> None:
        """End `run`."""
        self._stop.set()

    def step(self) -> bool:
        """Evaluate the present belt position; true while parts are before the ejector or a pulse is on."""
        with self._lock:
            now = self._clock()
            position = now if self._by_time else self._belt.at(now) if self._belt.known else None
            fates = [] if position is None else self._advance(position, now)
            blind = self._is_blind(now)
            self._held = (blind or not self._connected) and self._settings.fail_safe == "on"
            on, busy = self._track.on or self._held, self._track.waiting > 0 or self._track.on
        works = self._switch(on)
        self._tell(fates if works else [(key, Fate.ESCAPED if fate is Fate.EJECTED else fate) for key, fate in fates])
        return busy

    def _advance(self, position: float, now: float) -> Fates:
        if self._at_start and self._settings.default == "reject":
            self._track.distrust(position)
        self._at_start = False
        self._watch_standstill(position, now)
        if not self._track.full:
            self._alarms.clear(FULL)
        return self._track.advance(position, now, covered=self._held)

    def _read(self, count: int, at: float) -> Fates:
        """Add a count; returns the lost parts if the encoder has restarted."""
        return [] if self._belt.read(count, at) else self._lose()

    def _lose(self) -> Fates:
        self._at_start = True
        return self._track.lose()

    def _is_blind(self, now: float) -> bool:
        silence_s = self._settings.belt_silence_ms / 1e3
        if self._by_time or not self._track.waiting or self._belt.age(now) <= silence_s:
            self._alarms.clear(BELT)
            return False
        found = f"found no encoder count for {silence_s:g} s with parts before the ejector; check "
        self._alarms.raise_(
            BELT, found + "that the PLC sends BeltPosition messages, or raise belt_silence_ms", Area.OUTPUT
        )
        return True

    def _watch_standstill(self, position: float, now: float) -> None:
        if position != self._moved[0] or not self._track.waiting:
            self._moved = (position, now)
            self._alarms.clear(STANDS)
        elif 0 < self._settings.belt_stop_s <= now - self._moved[1]:
            found = f"found {self._track.waiting} parts before the ejector on a belt that has stood for "
            self._alarms.raise_(STANDS, found + f"{self._settings.belt_stop_s:g} s; start the belt", Area.OUTPUT)

    def _switch(self, on: bool) -> bool:
        """Switch the output if it changes; false if that fails, which is retried at the next step."""
        if on == self._output_on:
            return True
        try:
            self._output.set(on)
        except OutputError as error:
            self._output_on = None
            self._alarms.raise_(OUTPUT, f"{error}; no part can be ejected meanwhile", Area.OUTPUT)
            return False
        self._output_on = on
        self._alarms.clear(OUTPUT)
        return True

    def _tell(self, fates: Fates) -> None:
        for number, fate in fates:
            self._settled(number, fate)


def _track(settings: EjectorSettings) -> Track:
    """Make the track, in counts, or in seconds for a belt without an encoder."""
    timed = settings.distance_counts is not None and settings.length_ms is not None
    return Track(
        settings.distance_counts or (settings.delay_ms or 0) / 1e3,
        settings.length_counts or (settings.length_ms or 0) / 1e3,
        timed=timed,
        reject_unproved=settings.default == "reject",
        room=settings.queue,
    )
