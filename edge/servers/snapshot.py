"""Snapshot of the running station for its servers."""

from collections.abc import Callable, Mapping
from datetime import datetime
from importlib.metadata import version

from bundle import Verdict
from edge.cameras.camera import Camera
from edge.monitoring.operator_service import ACKNOWLEDGED, OperatorService
from edge.pipeline.runtime import Runtime
from edge.records.writer import Records
from edge.servers.state import AlarmState, CameraState, PauseInForce, StationState, TrialState
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
        operators: OperatorService,
        utc: Callable[[], datetime] | None = None,
        trial: Callable[[], TrialState | None] = lambda: None,
    ) -> None:
        self._runtime, self._cameras, self._records = runtime, cameras, records
        self._link_open, self._shadow, self._operators = link_open, shadow, operators
        self._trial = trial
        self._utc = utc or SteadyClock()
        self._started, self._software = self._utc(), version("edge-inspect")

    def __call__(self) -> StationState:
        """Return the current state."""
        runtime, inspector, challenge = self._runtime, self._runtime.inspector, self._operators.challenge
        pause = self._operators.pause
        return StationState(
            time=self._utc(),
            started=self._started,
            software=self._software,
            bundle_name=inspector.bundle.manifest.name,
            bundle_id=inspector.bundle.id,
            bundle_folder=str(inspector.bundle.folder),
            engine=inspector.engine.description,
            thresholds={name: limit.score for name, limit in inspector.bundle.manifest.thresholds.items()},
            shadow=self._shadow,
            alive=runtime.alive or (runtime.stopping and runtime.failure is None),
            threads=runtime.threads,
            open_parts=max(0, runtime.triggers - runtime.tally.reported),
            stopping=runtime.stopping,
            paused=PauseInForce(who=pause.who, reason=pause.reason, since=pause.since) if pause else None,
            link_open=self._link_open(),
            cameras=tuple(_camera(name, camera) for name, camera in self._cameras.items()),
            alarms=tuple(
                AlarmState(
                    name=alarm.name,
                    text=alarm.text,
                    since=alarm.since,
                    part_id=alarm.part_id,
                    acknowledgeable=alarm.name in ACKNOWLEDGED,
                )
                for alarm in runtime.alarms.active
            ),
            recipe=runtime.recipe,
            verdicts={verdict.name: runtime.tally.verdicts[verdict] for verdict in Verdict},
            triggers=runtime.triggers,
            overruns=runtime.overruns,
            acknowledged=runtime.tally.acknowledged,
            undelivered=runtime.tally.undelivered,
            challenge_due=challenge.due_since,
            challenge_missing=challenge.missing,
            trial=self._trial(),
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
