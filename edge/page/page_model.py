"""Page model: the current state of the station, assembled for the routes."""

import threading
from collections.abc import Callable
from datetime import datetime
from urllib.parse import quote

from edge.cameras.camera import Clock
from edge.monitoring.verdict_rates import NOT_INSPECTED
from edge.page.history import History
from edge.page.part_counters import BucketsAndSum, PartCounters
from edge.page.state import ChartBar, Condition, HealthReport, PageState, PartMark, ShownPart, StationInfo, ViewPicture
from edge.servers.state import PartState, ServerMessage, StateUpdate, StationState
from edge.wall_clock import SteadyClock, hour_start, latest_time_of_day

SILENT_S = 2.0
"""A station without an update for this time is silent; it sends four per second."""


class PageModel:
    """Receives messages in one thread, serves the routes in another."""

    def __init__(self, welcome: StationInfo, clock: Clock, utc: Callable[[], datetime] | None = None) -> None:
        self.welcome = welcome
        self.history = History()
        self.counters = PartCounters()
        self.station: StationState | None = None
        self.ended = False
        """Whether the station has ended and no update will follow."""
        self.updates = 0
        """Messages so far, and the end of the station."""
        self.changed: Callable[[], None] = lambda: None
        """Callback after each update, in the receiving thread."""
        self._clock, self._utc = clock, utc or SteadyClock()
        self._heard_at = clock()
        self._lock = threading.Lock()

    def take(self, message: ServerMessage, content: bytes) -> None:
        """Process one message of the pipe."""
        with self._lock:
            self.updates += 1
            if isinstance(message, StateUpdate):
                self.station, self._heard_at = message.station, self._clock()
                self.history.add(message.parts)
                self.counters.add(message.parts)
            elif isinstance(message, ViewPicture):
                self.history.keep_picture(message.number, message.camera, content)
        if isinstance(message, StateUpdate):
            self.changed()

    def end(self) -> None:
        """Mark the station as ended."""
        with self._lock:
            self.ended = True
            self.updates += 1
        self.changed()

    def state(self) -> PageState:
        """Return everything that the page shows."""
        now = self._utc()
        begun = latest_time_of_day(now, self.welcome.settings.shift_starts) or now
        with self._lock:
            last = self.history.last
            return PageState(
                title=self.welcome.settings.title,
                condition=self._condition(),
                silent_s=round(self._silent_s(), 1),
                station=self.station,
                last=self._shown(last) if last else None,
                rejects=tuple(self._shown(part) for part in reversed(self.history.rejects)),
                hour=self.history.since(hour_start(now), now),
                shift=self.history.since(begun, now),
                latency=self.history.latency(),
            )

    def health(self) -> HealthReport:
        """Return whether parts are inspected, with the reasons if not."""
        with self._lock:
            station, condition = self.station, self._condition()
            reasons = list(_obstacles(station)) if station else []
        if self.ended:
            reasons.append("the station has ended")
        elif condition == "silent":
            reasons.append(f"no update from the station for {self._silent_s():.0f} s")
        alarms = tuple(alarm.name for alarm in station.alarms) if station else ()
        return HealthReport(healthy=not reasons, condition=condition, reasons=tuple(reasons), alarms=alarms)

    def counted(self) -> tuple[BucketsAndSum, dict[str, BucketsAndSum], dict[tuple[str, str, str], int]]:
        """Return the latency of parts and of each stage, and the parts by verdict, class and camera."""
        with self._lock:
            stages = {name: stage.read() for name, stage in self.counters.stages.items()}
            return self.counters.latency.read(), stages, dict(self.counters.defective)

    def buckets(self, minutes: int, bars: int) -> list[ChartBar]:
        """Return the bars of the chart."""
        with self._lock:
            return self.history.buckets(self._utc(), minutes, bars)

    def picture(self, number: int, camera: str) -> bytes | None:
        """Return the picture of a view as JPEG; None if it is not available."""
        with self._lock:
            return self.history.picture(number, camera)

    def _silent_s(self) -> float:
        return self._clock() - self._heard_at

    def _condition(self) -> Condition:
        station = self.station
        if station is not None and self.ended:  # the pipe closes when the station has ended, or crashed
            return "stopped" if station.stopping and station.alive else "failed"
        if station is None or self._silent_s() > SILENT_S:
            return "silent"
        if not station.alive:
            return "failed"
        if station.stopping:
            return "stopping"
        if not station.link_open:
            return "waiting"
        if station.paused is not None:
            return "paused"
        return "alarm" if station.alarms or any(not camera.connected for camera in station.cameras) else "running"

    def thresholds(self) -> dict[str, float]:
        """Return the score thresholds of the bundle in use by class; empty before the first update."""
        with self._lock:
            return self.station.thresholds if self.station else {}

    def shown(self, part: PartState, stored: tuple[str, ...] = (), mark: PartMark | None = None) -> ShownPart:
        """Add the addresses of a part's pictures, in memory and `stored`, by camera, and its mark."""
        with self._lock:
            return self._shown(part, stored, mark)

    def _shown(self, part: PartState, stored: tuple[str, ...] = (), mark: PartMark | None = None) -> ShownPart:
        cameras = dict.fromkeys((*self.history.cameras(part.number), *stored, *self.history.stored(part.number)))
        addresses = {camera: f"api/pictures/{part.number}/{quote(camera, safe='')}" for camera in cameras}
        return ShownPart(**part.model_dump(), pictures=addresses, mark=mark)


def _obstacles(station: StationState) -> list[str]:
    found = [] if station.alive else ["a thread of the station has failed"]
    found += ["the station is stopping"] if station.stopping else []
    found += [f"paused by {station.paused.who}: {station.paused.reason}"] if station.paused else []
    found += [] if station.link_open else ["the PLC is not connected"]
    found += [f"camera {camera.name} is lost" for camera in station.cameras if not camera.connected]
    found += [f"the disk refuses rows: {station.disk_refuses}"] if station.disk_refuses else []
    found += [f"{alarm.name}: {alarm.text}" for alarm in station.alarms if alarm.name in NOT_INSPECTED]
    return found
