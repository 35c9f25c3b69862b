"""What can go wrong, by what the user can do about it.

Every message says what happened, which value was met, and what to do next. The library raises these; the command line
and the GUI display them. Anything else that escapes is a defect.
"""


class MedSAMSegmentError(Exception):
    """Base of every error that a user can meet and act on."""


class InvalidImageError(MedSAMSegmentError):
    """The image cannot be segmented: unreadable, wrong dimension, no finite voxel, non-linear transform."""


class InvalidPromptError(MedSAMSegmentError):
    """A box, ROI or point does not describe a place in the image."""


class InvalidOptionError(MedSAMSegmentError):
    """A named choice (model, plane, window, level) does not exist, or does not fit the rest."""


class InvalidOutputError(MedSAMSegmentError):
    """The result cannot be written where, or as what, it was asked for."""


class SegmentWriteError(MedSAMSegmentError):
    """Slicer's segment editing engine did not take the mask."""


class MissingPackageError(MedSAMSegmentError):
    """A Python package that is needed now is not installed."""


class DeviceError(MedSAMSegmentError):
    """The device or precision that was asked for is not available, or its memory ran out."""


class WeightsError(MedSAMSegmentError):
    """Model weights are missing, corrupt, of the wrong hash, unsafe to load, or of an unknown architecture."""


class CancelledError(MedSAMSegmentError):
    """The user cancelled; nothing was written."""
