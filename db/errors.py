"""The error tree of the memory side.

StoreError
├── NotThere          no row has this id or name; it may have been deleted
├── AlreadyThere      a row with this name exists
├── WrongShape        a vector, answer or setting that the tables cannot hold
├── NotAllowed        this person may not do this
├── LeaseLost         the question was given to somebody else meanwhile
└── BrokenFile        a file to import has a wrong row; nothing of it was kept
"""


class StoreError(Exception):
    """Anything the store can explain to a person: the message is shown as it stands."""


class NotThere(StoreError):
    """No row has this id or name."""


class AlreadyThere(StoreError):
    """A row with this name exists."""


class WrongShape(StoreError):
    """The value cannot be held by its table."""


class NotAllowed(StoreError):
    """This person may not do this."""


class LeaseLost(StoreError):
    """The question was given to somebody else meanwhile."""


class BrokenFile(StoreError):
    """A file to import has a wrong row; nothing of it was kept."""

    def __init__(self, message: str, *, line: int) -> None:
        super().__init__(f"line {line}: {message}")
        self.line = line
