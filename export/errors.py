"""Errors of export that the user can correct.

ExportError(Exception)     one line: which thing, found, expected, what to do
 +- GraphError             a network that cannot be exported, or an invalid graph
 +- ComparisonError        outputs of two networks differ, or cannot be compared
 +- LabelsError            labelled images that do not fit the bundle, or none at all
 +- CalibrationError       images or a bundle unsuitable for INT8 calibration
 +- GateError              the accuracy gate refused a quantised network
 +- ThresholdsError        no thresholds meet the goal
 +- StageError             networks that cannot be joined to two stages, or are joined already
"""


class ExportError(Exception):
    """An error that the user can correct, in one line."""


class GraphError(ExportError):
    """A network cannot be exported as a bundle's graph, or a graph is not valid."""


class ComparisonError(ExportError):
    """The outputs of two networks on the same frames differ, or cannot be compared."""


class LabelsError(ExportError):
    """The labelled images do not fit the bundle, or none are left to use."""


class CalibrationError(ExportError):
    """Images or a bundle that are unsuitable for INT8 calibration."""


class GateError(ExportError):
    """The quantised network did not pass the accuracy gate; no bundle was written."""


class ThresholdsError(ExportError):
    """No thresholds meet the goal on these images, or those that do are of no use."""


class StageError(ExportError):
    """Networks that cannot be joined to two stages, or that are joined where one is expected."""
