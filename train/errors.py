"""Errors of training that the user can correct.

TrainError(Exception)      the message is one line: which thing, found, expected, what to do
 +- DataError              an image, mask, label file or folder of the data set
 +- SplitError             a split file, or data that cannot be split as requested
 +- RecipeError            a recipe's file, key or value
 +- CheckpointError        a checkpoint that cannot be read or does not fit
 +- ThresholdError         a threshold that cannot be chosen on the given images
"""


class TrainError(Exception):
    """An error that the user can correct; its message is one line."""


class DataError(TrainError):
    """An invalid image, mask, label file or folder of the data set."""


class SplitError(TrainError):
    """A split file that does not fit the data, or data that cannot be split as requested."""


class RecipeError(TrainError):
    """A recipe that cannot be found, or has an unknown key or an invalid value."""


class CheckpointError(TrainError):
    """A checkpoint that is damaged, of another format, or of another run."""


class ThresholdError(TrainError):
    """A threshold that cannot be chosen on the given images."""
