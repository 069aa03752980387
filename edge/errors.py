"""What can go wrong at a station.

StationError(Exception)         the message is one line: which thing, found, expected, what to do
 +- LineConfigError             line.toml: file, key, value, allowed
 +- CameraError                 a camera cannot be opened or used
 |   +- CameraTimeout           no frame within the time allowed; also a TimeoutError
 |   +- FrameDamaged            one exposure has no usable frame; the camera goes on
 |   |   +- CameraLost          the same, because the camera is gone; it is being opened again
 |   +- CameraFinished          a folder has no more pictures
 +- EngineError                 an engine cannot be opened, or gave an impossible answer
 |   +- EngineMissing           its packages, driver or device are not on this machine
 |   +- DeviceError             the GPU or its driver failed; the engine must be opened again
 |   +- PlanRefused             TensorRT does not take a plan that it is given
 |   +- CaptureRefused          the network cannot be made a CUDA graph; it runs without
 +- RecordsError                the database cannot be opened, read or written
 +- DriftError                  a baseline cannot be read or written
 +- OperatorRequestError        a running station does not respond, or a challenge is not passed
 +- OutputError                 the ejector's output cannot be opened or switched
 +- ScaleError                  a picture has no board to measure the scale by
 +- PageError                   the operator's page cannot be served; the line goes on without it
 +- CheckFailed                 a check of the doctor found something wrong
"""


class StationError(Exception):
    """Anything wrong at the station that is not the bundle's or the link's doing."""


class LineConfigError(StationError):
    """A line's configuration is not valid."""


class CameraError(StationError):
    """A camera cannot be opened or used."""


class CameraTimeout(CameraError, TimeoutError):
    """The camera sent no frame within the time allowed."""


class FrameDamaged(CameraError):
    """The frame of this one exposure cannot be read, must not be trusted or never came; the next one may be fine."""

    def __init__(self, message: str, exposure: int) -> None:
        super().__init__(message)
        self.exposure = exposure


class CameraLost(FrameDamaged):
    """The frame of this one exposure never came, because the camera is gone; it is being opened again."""


class CameraFinished(CameraError):
    """The camera plays a folder, and its last picture has been grabbed."""


class EngineError(StationError):
    """An engine cannot be opened, or answered with something impossible."""


class EngineMissing(EngineError):
    """The packages, the driver or the device of an engine are not on this machine."""


class DeviceError(EngineError):
    """The GPU or its driver failed: memory, launch, a lost device. The engine must be opened again."""


class PlanRefused(EngineError):
    """TensorRT does not take a plan: it is broken, or for another GPU, version or network."""


class CaptureRefused(EngineError):
    """The network's launches cannot be captured as a CUDA graph; the engine goes on without."""


class RecordsError(StationError):
    """The records cannot be opened, read or written."""


class OperatorRequestError(StationError):
    """A request to a running station failed: no response, or a challenge that was not passed."""


class OutputError(StationError):
    """The ejector's output cannot be opened or switched."""


class CheckFailed(StationError):
    """A check of the doctor found something wrong that nothing else complains of."""


class DriftError(StationError):
    """A baseline of the drift watch cannot be read or written."""


class PageError(StationError):
    """The operator's page cannot be served."""


class ScaleError(StationError):
    """There is no board in the picture to measure the scale by."""
