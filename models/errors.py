"""The error tree of the pixels side.

MienError
├── BadInput            the file or value a person gave cannot be used; the message says what to do
│   ├── NotAnImage      not a picture, or truncated
│   ├── ImageTooLarge   more pixels than can be decoded safely
│   └── BadClip         not a video, or no frame could be decoded
├── NoFaceFound         a step that needs a face got a picture without one
├── MissingWeights      a checkpoint or data file that the user has to bring is not there
├── BadWeights          a checkpoint is there, and is not what its name says
└── Cancelled           the visitor stopped the work
"""


class MienError(Exception):
    """Anything Mien can explain to a person: the message is shown as it stands."""


class BadInput(MienError):
    """The file or value given cannot be used."""


class NotAnImage(BadInput):
    """The bytes are not a picture, or end too early."""


class ImageTooLarge(BadInput):
    """The picture has more pixels than can be decoded safely."""


class BadClip(BadInput):
    """The file is not a video, or no frame of it can be decoded."""


class NoFaceFound(MienError):
    """A step that needs a face got a picture without one."""


class MissingWeights(MienError):
    """A checkpoint or data file that the user has to bring is not there."""


class BadWeights(MienError):
    """A checkpoint is there, and is not what its name says."""


class Cancelled(MienError):
    """The visitor stopped the work."""
