"""What one visitor of the Occlusion tab is looking at."""

from __future__ import annotations

from dataclasses import dataclass

from models.errors import NoFaceFound
from models.types import Image
from studio.services.expression import PhotoReading
from studio.services.occlusion import Filled, Mask, Subject
from studio.services.occlusion_methods import OWN
from studio.services.occlusion_pictures import is_same

SENT = 6
"""How many masks that were sent to the painting are remembered: it answers each with what it was sent."""


@dataclass(frozen=True, eq=False)
class Desk:
    """What one visitor is looking at."""

    reading: PhotoReading | None = None
    picture: Image | None = None
    """The photo as it was given."""
    subject: Subject | None = None
    mask: Mask | None = None
    sent: tuple[Mask, ...] = ()
    radius: float = 1.0
    """In units of the detector's own."""
    method: str = OWN
    filled: Filled | None = None
    is_painting: bool = False

    @property
    def known(self) -> Subject:
        """The face that is worked on; raises NoFaceFound when the photo is gone."""
        if self.subject is None:
            raise NoFaceFound("The photo is no longer here; pictures are forgotten after half an hour. Give it again.")
        return self.subject

    @property
    def limit(self) -> float:
        """The radius in the detector's unit."""
        return self.known.detection.radius * self.radius

    def echoes(self, painted: Mask) -> bool:
        """Tell whether the painting only answers what it was sent, now or before its last mask."""
        if self.mask is not None and is_same(painted, self.mask):
            return True
        return any(is_same(painted, old) and not is_same(old, self.sent[0]) for old in self.sent[1:])
