"""Snapshot of the running station for its page."""

from collections.abc import Callable, Mapping
from datetime import datetime
from importlib.metadata import version

from edge.cameras.camera import Camera
from edge.monitoring.operator_service import ChallengeState
from edge.page.state import AlarmState, CameraState, StationState
from edge.pipeline.runtime import Runtime
from edge.records.writer import Records
from edge.wall_clock import SteadyClock


class Snapshot:
    """Reads counters of the line's threads without a lock: each value is exact, but they may differ by one part."""

    def __init__(
        self,
        runtime: Runtime,
        cameras: Mapping[str, Camera],
        records: Records,
        link_open: Callable[[], bool],
        shadow: bool,
        challenge: Callable[[], ChallengeState],
        utc: Callable[[], datetime] | None = None,
    ) -> None:
        self._runtime, self._cameras, self._records = runtime, cameras, records
        self._link_open, self._shadow, self._challenge = link_open, shadow, challenge
        self._utc = utc or SteadyClock()
        self._started, self._software = self._utc(), version("edge-inspect")

    def __call__(self) -> StationState:
        """Return the current state."""
        runtime, inspector, challenge = self._runtime, self._runtime.inspector, self._challenge()
        return StationState(
            time=self._utc(),
            started=self._started,
            software=self._software,
            bundle_name=inspector.bundle.manifest.name,
            bundle_id=inspector.bundle.id,
            engine=inspector.engine.description,
            shadow=self._shadow,
            alive=runtime.alive,
            link_open=self._link_open(),
            cameras=tuple(_camera(name, camera) for name, camera in self._cameras.items()),
            alarms=tuple(
                AlarmState(name=alarm.name, text=alarm.text, since=alarm.since, part_id=alarm.part_id)
                for alarm in runtime.alarms.active
            ),
            triggers=runtime.triggers,
            overruns=runtime.overruns,
            acknowledged=runtime.tally.acknowledged,
            undelivered=runtime.tally.undelivered,
            challenge_due=challenge.due_since,
            challenge_missing=challenge.missing,
            rows_late=self._records.late,
            disk_refuses=self._records.trouble,
        )


def _camera(name: str, camera: Camera) -> CameraState:
    health = camera.health
    return CameraState(
        name=name,
        connected=health.connected,
        frames=health.frames,
        damaged=health.damaged,
        lost=health.lost,
        last_error=health.last_error,
    )
