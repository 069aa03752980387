"""Errors of the inspection station.

StationError(Exception)         the message is one line: which thing, found, expected, what to do
 +- LineConfigError             line.toml: file, key, value, allowed
 +- CameraError                 a camera cannot be opened or used
 |   +- CameraTimeout           no frame within the time allowed; also a TimeoutError
 |   +- FrameDamaged            one exposure has no usable frame; the camera continues
 |   |   +- CameraLost          the same, because the camera is disconnected; it is being reopened
 |   +- CameraFinished          a folder has no more pictures
 +- EngineError                 an engine cannot be opened, or its output is invalid
 |   +- EngineMissing           its packages, driver or device are not on this machine
 |   +- DeviceError             the GPU or its driver failed; the engine must be opened again
 |   +- PlanRefused             TensorRT rejects a plan
 |   +- CaptureRefused          the network cannot be captured as a CUDA graph
 +- RecordsError                the database cannot be opened, read or written
 +- MarkError                   a person's mark does not fit the part, or cannot be stored or collected
 +- ReleaseError                a bundle cannot be released to the line, or rolled back
 |   +- ReleaseBusy             another process is switching the line
 +- AccessError                 users, passwords, log-in or certificate of the page cannot be used
 +- DriftError                  a baseline cannot be read or written
 +- OperatorRequestError        a running station does not respond, or a challenge is not passed
 +- OutputError                 the ejector's output cannot be opened or switched
 +- ScaleError                  a picture has no chessboard to measure the scale
 +- ServerError                 the page, OPC UA server or MQTT client cannot run; the line continues without it
 +- CheckFailed                 a check of the doctor found something wrong
"""


class StationError(Exception):
    """Any error of the station that is not an error of the bundle or the link."""


class LineConfigError(StationError):
    """The configuration of a line is invalid."""


class CameraError(StationError):
    """A camera cannot be opened or used."""


class CameraTimeout(CameraError, TimeoutError):
    """The camera sent no frame within the time allowed."""


class FrameDamaged(CameraError):
    """The frame of one exposure is unreadable, suspect or missing; the next one may be good."""

    def __init__(self, message: str, exposure: int) -> None:
        super().__init__(message)
        self.exposure = exposure


class CameraLost(FrameDamaged):
    """The frame of one exposure is missing because the camera is disconnected; it is being reopened."""


class CameraFinished(CameraError):
    """The last picture of a folder has been grabbed."""


class EngineError(StationError):
    """An engine cannot be opened, or its output is invalid."""


class EngineMissing(EngineError):
    """The packages, the driver or the device of an engine are not on this machine."""


class DeviceError(EngineError):
    """The GPU or its driver failed: memory, launch, a lost device. The engine must be opened again."""


class PlanRefused(EngineError):
    """TensorRT rejects a plan: it is damaged, or for another GPU, version or network."""


class CaptureRefused(EngineError):
    """The network cannot be captured as a CUDA graph; the engine runs without one."""


class RecordsError(StationError):
    """The records cannot be opened, read or written."""


class OperatorRequestError(StationError):
    """A request to a running station failed: no response, or a challenge that was not passed."""


class OutputError(StationError):
    """The ejector's output cannot be opened or switched."""


class CheckFailed(StationError):
    """A check of `doctor` failed that raises no other error."""


class MarkError(StationError):
    """A person's mark does not fit its part, or cannot be stored or collected."""


class ReleaseError(StationError):
    """A bundle cannot be released to the line, or rolled back."""


class ReleaseBusy(ReleaseError):
    """Another process is switching the line."""


class AccessError(StationError):
    """Users, passwords, log-in or certificate of the page cannot be used."""


class DriftError(StationError):
    """A baseline of the drift monitor cannot be read or written."""


class ServerError(StationError):
    """A server in a process of its own cannot run."""


class ScaleError(StationError):
    """The picture shows no chessboard to measure the scale."""
