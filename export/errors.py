"""What can go wrong in export that the person at the keyboard can put right.

ExportError(Exception)     the message is one line: which thing, found, expected, what to do
 +- GraphError             a network that cannot be written as a bundle's graph, or a graph that is none
 +- ComparisonError        two that should say the same of the same frames do not
 +- LabelsError            labelled images that do not belong to the bundle, or none to use
"""


class ExportError(Exception):
    """Anything that the user can put right, said in one line."""


class GraphError(ExportError):
    """A network cannot be written as a bundle's graph, or a graph is not one."""


class ComparisonError(ExportError):
    """Two networks that should say the same of the same frames do not."""


class LabelsError(ExportError):
    """The labelled images do not belong to the bundle, or none are left to use."""
