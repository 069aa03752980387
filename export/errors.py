"""What can go wrong in export that the person at the keyboard can put right.

ExportError(Exception)     the message is one line: which thing, found, expected, what to do
 +- GraphError             a network that cannot be written as a bundle's graph, or a graph that is none
 +- ComparisonError        two that should say the same of the same frames do not
 +- LabelsError            labelled images that do not belong to the bundle, or none to use
 +- CalibrationError       pictures or a bundle that no quantiser can be calibrated on
 +- GateError              a changed network that is worse than the one it would replace
 +- ThresholdsError        no thresholds that fulfil what was asked for
"""


class ExportError(Exception):
    """Anything that the user can put right, said in one line."""


class GraphError(ExportError):
    """A network cannot be written as a bundle's graph, or a graph is not one."""


class ComparisonError(ExportError):
    """Two networks that should say the same of the same frames do not."""


class LabelsError(ExportError):
    """The labelled images do not belong to the bundle, or none are left to use."""


class CalibrationError(ExportError):
    """Pictures that no quantiser can be calibrated on, or a bundle that is not to be quantised."""


class GateError(ExportError):
    """A changed network is worse than the one it would replace; nothing was written."""


class ThresholdsError(ExportError):
    """No thresholds fulfil what was asked for on these images."""
