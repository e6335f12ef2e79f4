"""What one visitor of the Explore tab is looking at."""

from __future__ import annotations

from dataclasses import dataclass, field

from models.types import Expression, Image
from studio.services.layouts import LayoutChoice
from studio.services.map_session import MapChoice


@dataclass(frozen=True, eq=False)
class Newcomer:
    """A visitor's own face on the map."""

    picture: Image
    portrait: Image
    expression: Expression


@dataclass(frozen=True, eq=False)
class Desk:
    """What one visitor is looking at."""

    key: str = ""
    """Of the atlas."""
    wanted: MapChoice = field(default_factory=MapChoice)
    choice: LayoutChoice = field(default_factory=LayoutChoice)
    chosen: tuple[int, ...] = ()
    """Ids of the faces in the row below the map."""
    newcomer: Newcomer | None = None
