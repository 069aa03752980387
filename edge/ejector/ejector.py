"""The ejector: triggers, verdicts and belt counts in, pulses on a wire out."""

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
"""How often the belt is looked at while parts are on their way: at 1 m/s it moves by 2 mm in between."""
IDLE_S = 0.01

BELT, STANDS, OUTPUT, FULL = "ejector without counts", "belt stands", "ejector output", "ejector queue full"
"""Names of the alarms."""


class Ejector:
    """Fires for every part that is not proved good. Safe to use from several threads; `run` is the body of one."""

    def __init__(
        self,
        settings: EjectorSettings,
        output: Output,
        alarms: Alarms,
        clock: Clock,
        settled: Callable[[int, Fate], None],
        needs_plc: bool = True,
    ) -> None:
        """`settled` is told each part's number and fate once; needs_plc: whether no part is known without the PLC."""
        self._settings, self._output, self._alarms = settings, output, alarms
        self._clock, self._settled = clock, settled
        self._connected = not needs_plc
        self._by_time = settings.delay_ms is not None
        self._track = _track(settings)
        self._belt = Belt(settings.coast_ms / 1e3, back=settings.distance_counts or 0)
        self._hears_belt = False  # whether the belt is read by messages of its own, fresher than those of the triggers
        self._at_start = True
        self._moved = (0.0, clock())  # the farthest place, and since when the belt stands there
        self._held = False  # by `fail_safe`
        self._wire: bool | None = None  # its level as far as it is known
        self._lock = threading.Lock()
        self._stop = threading.Event()

    @property
    def waiting(self) -> int:
        """Parts between camera and ejector."""
        with self._lock:
            return self._track.waiting

    def expect(self, part: Part) -> None:
        """Take a part that was triggered."""
        with self._lock:
            if self._by_time:
                apart = self._track.add(part.number, part.triggered)
            else:
                lost = [] if self._hears_belt else self._read(part.encoder, part.triggered)
                apart = self._track.add(part.number, self._belt.place(part.encoder))
            if not apart:
                found = f"found more than {self._settings.queue} parts before the ejector; they are thrown out together"
                self._alarms.raise_(FULL, found, Area.OUTPUT, part.part_id)
        if not self._by_time:
            self._tell(lost)

    def decide(self, part: Part, passes: bool) -> None:
        """Take a part's verdict."""
        with self._lock:
            fates = self._track.decide(part.number, passes)
        self._tell(fates)

    def belt_at(self, count: int) -> None:
        """Take the encoder's present count."""
        with self._lock:
            self._hears_belt = True
            lost = self._read(count, self._clock())
        self._tell(lost)

    def connected(self, there: bool, anew: bool = False) -> None:
        """Note whether the PLC is there; `anew`: it has started again, and its encoder with it."""
        with self._lock:
            self._connected = there
            lost = self._lose() if anew and not self._by_time else []
            if anew:
                self._belt.forget()
                self._hears_belt = False
        self._tell(lost)

    def run(self) -> None:
        """Look at the belt until `stop` is called; then leave the output as `fail_safe` asks."""
        busy = False
        while not self._stop.wait(STEP_S if busy else IDLE_S):
            busy = self.step()
        self._switch(self._settings.fail_safe == "on")
        with self._lock:
            lost = self._track.lose()
        self._tell(lost)

    def stop(self) -> None:
        """Let `run` come to its end."""
        self._stop.set()

    def step(self) -> bool:
        """Move on to where the belt is now; true while a part is on its way."""
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
        """Note a count; returns who was on its way if the encoder has started anew."""
        return [] if self._belt.read(count, at) else self._lose()

    def _lose(self) -> Fates:
        self._at_start = True
        return self._track.lose()

    def _is_blind(self, now: float) -> bool:
        silence_s = self._settings.belt_silence_ms / 1e3
        if self._by_time or not self._track.waiting or self._belt.age(now) <= silence_s:
            self._alarms.clear(BELT)
            return False
        found = f"found no encoder count for {silence_s:g} s, expected them while parts are before the ejector; check "
        self._alarms.raise_(BELT, found + "that the PLC sends Belt messages, or raise coast_ms", Area.OUTPUT)
        return True

    def _watch_standstill(self, position: float, now: float) -> None:
        if position != self._moved[0] or not self._track.waiting:
            self._moved = (position, now)
            self._alarms.clear(STANDS)
        elif 0 < self._settings.belt_stop_s <= now - self._moved[1]:
            found = f"found {self._track.waiting} parts before the ejector on a belt that has stood for "
            self._alarms.raise_(STANDS, found + f"{self._settings.belt_stop_s:g} s; they are kept", Area.OUTPUT)

    def _switch(self, on: bool) -> bool:
        """Move the wire if it has to move; false while that fails, which is tried again at the next step."""
        if on == self._wire:
            return True
        try:
            self._output.set(on)
        except OutputError as error:
            self._wire = None
            self._alarms.raise_(OUTPUT, f"{error}; no part can be thrown out until then", Area.OUTPUT)
            return False
        self._wire = on
        self._alarms.clear(OUTPUT)
        return True

    def _tell(self, fates: Fates) -> None:
        for number, fate in fates:
            self._settled(number, fate)


def _track(settings: EjectorSettings) -> Track:
    """In counts, or in seconds where the belt has no encoder."""
    timed = settings.distance_counts is not None and settings.length_ms is not None
    return Track(
        settings.distance_counts or (settings.delay_ms or 0) / 1e3,
        settings.length_counts or (settings.length_ms or 0) / 1e3,
        timed=timed,
        reject_unproved=settings.default == "reject",
        room=settings.queue,
    )
