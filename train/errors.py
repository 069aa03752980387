"""What can go wrong in training that the person at the keyboard can put right.

TrainError(Exception)      the message is one line: which thing, found, expected, what to do
 +- DataError              an image, mask, label file or folder of the data set
 +- SplitError             a split file, or data that cannot be split as asked
 +- RecipeError            a recipe's file, key or value
 +- CheckpointError        a checkpoint that cannot be read or does not fit
 +- ThresholdError         a class whose threshold cannot be chosen from the validation part
"""


class TrainError(Exception):
    """Anything that the user can put right, said in one line."""


class DataError(TrainError):
    """An image, mask, label file or folder of the data set is not as it should be."""


class SplitError(TrainError):
    """A split file does not fit, or the data cannot be split as asked."""


class RecipeError(TrainError):
    """A recipe has an unknown key, a bad value, or cannot be found."""


class CheckpointError(TrainError):
    """A checkpoint is damaged, of another format, or belongs to something else."""


class ThresholdError(TrainError):
    """A class's threshold cannot be chosen on this validation part."""
